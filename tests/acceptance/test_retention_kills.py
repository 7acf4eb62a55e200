"""A retention run gets SIGKILL at every place and in every batch; the next run goes on, and nothing is lost.

What is gone from the table is exactly what a restore brings back, row for row, all columns.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dualwrite.models import RetentionBackup, RetentionRun, RetentionState
from dualwrite.retention.restore import Conflict
from dualwrite.runs import holder
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from tests.integration.letters import (
    LONG_AGO,
    approved,
    brought_back,
    execute,
    files,
    held_back,
    ids,
    send,
    texts,
)
from tests.process import killed_at, manage, start
from tests.support import one, until_it_waits

OLD, HELD, YOUNG = 420, 30, 10
#: Where a run may be killed, and what becomes of its state when the next one begins.
DISCARDED, CONTINUED = RetentionState.DISCARDED, RetentionState.CONTINUED
ONCE = {
    "retention planned": DISCARDED,
    "retention part written": DISCARDED,
    "retention part stored": DISCARDED,
    "retention exported": DISCARDED,
    "retention manifest stored": DISCARDED,
    "retention part verified": DISCARDED,
    "retention verified": DISCARDED,
    "retention deleting": CONTINUED,
    "retention reconciled": CONTINUED,
}
IN_EVERY_BATCH = ("retention batch", "retention batch removed", "retention batch committed")
BATCHES = 5
PLACES = {place: [1] for place in ONCE} | {place: list(range(1, BATCHES + 1)) for place in IN_EVERY_BATCH}
#: The other actions differ in what a batch does.
FEWER = [("retention deleting", 1), *((place, nth) for place in IN_EVERY_BATCH for nth in (2, BATCHES))]


@pytest.fixture
def sent(letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Old letters in five batches, some held, some young; two parts, and one session at a time."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_SESSIONS", "1")
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_PART_ROWS", "200")
    send(letterbox, OLD)
    send(letterbox, YOUNG, days_ago=3)
    send(letterbox, HELD, recipient="held")
    held_back("held")
    return letterbox


def let_go(table: str = "letters") -> None:
    """Return when the server has noticed that the process is gone."""
    deadline = time.monotonic() + 20
    while holder("retention", table) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def killed_and_done(place: str, nth: int, between: Callable[[], object] = lambda: None) -> tuple[str, RetentionRun]:
    """Killed there, then begun again: what the first run is called now, and the second one."""
    killed_at(place, execute, nth)
    let_go()
    between()
    done = execute()
    _, first = RetentionRun.objects.filter(dry_run=False).order_by("-id")[:2]
    assert done.pk > first.pk
    assert (first.status, "died or lost its connection" in first.error) == ("error", True)
    assert (done.status, done.state) == ("complete", "complete")
    return first.state, done


def require_files_of_backups(folder: Path) -> None:
    """Nothing is stored but what belongs to a backup, whole."""
    kept = [row.location for row in RetentionBackup.objects.all()]
    names = ["manifest.json", "part-00001.zst", "part-00002.zst", "part-00003.zst"]
    assert files(folder) == sorted(f"{location}/{name}" for location in kept for name in names)


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_while_it_deletes(sent: Session, backups: Path, place: str) -> None:
    before = texts(sent)
    approved()
    for number, nth in enumerate(PLACES[place], 1):
        state, done = killed_and_done(place, nth)

        assert state == ONCE.get(place, CONTINUED)
        assert (done.removed, done.changed, done.held) == (OLD, 0, 0)
        assert set(texts(sent)) == set(range(OLD + 1, OLD + YOUNG + HELD + 1))
        assert RetentionBackup.objects.count() == number
        require_files_of_backups(backups)
        assert brought_back(done).restored == OLD
        assert texts(sent) == before


def test_killed_anywhere_while_it_archives(sent: Session, backups: Path) -> None:
    before = texts(sent)
    approved(action="archive")
    for place, nth in FEWER:
        state, done = killed_and_done(place, nth)

        assert (state, done.removed) == (CONTINUED, OLD)
        assert ids(sent, "letters_archive") == set(range(1, OLD + 1))
        assert ids(sent) == set(range(OLD + 1, OLD + YOUNG + HELD + 1))
        require_files_of_backups(backups)
        assert brought_back(done).restored == OLD
        assert (texts(sent), ids(sent, "letters_archive")) == (before, set())


@pytest.mark.parametrize("place", IN_EVERY_BATCH)
def test_killed_anywhere_while_it_archives_without_a_backup(
    sent: Session, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_BEFORE_DELETE", "false")
    approved(action="archive", backup=False)

    state, _ = killed_and_done(place, 3)

    assert state == DISCARDED
    assert ids(sent, "letters_archive") == set(range(1, OLD + 1))
    assert ids(sent) == set(range(OLD + 1, OLD + YOUNG + HELD + 1))


def test_killed_anywhere_while_it_marks(sent: Session, backups: Path) -> None:
    before = texts(sent)
    approved(action="mark_inactive")
    for place, nth in FEWER:
        state, done = killed_and_done(place, nth)

        assert (state, done.removed, done.changed, done.held) == (CONTINUED, OLD, 0, 0)
        assert one(sent, "SELECT count(*) FROM letters WHERE NOT is_open") == OLD
        require_files_of_backups(backups)
        assert brought_back(done, Conflict.OVERWRITE).overwritten == OLD
        assert texts(sent) == before


def test_killed_again_and_again_it_comes_to_its_end(sent: Session, backups: Path) -> None:
    before = texts(sent)
    approved()
    for place, nth in [("retention exported", 1), *[("retention batch removed", 2)] * 3, ("retention reconciled", 1)]:
        killed_at(place, execute, nth)
        let_go()

    done = execute()

    assert (done.status, done.removed, done.changed, done.held) == ("complete", OLD, 0, 0)
    states = RetentionRun.objects.filter(dry_run=False).order_by("id").values_list("state", flat=True)
    assert list(states) == [DISCARDED, *[CONTINUED] * 4, RetentionState.COMPLETE]
    require_files_of_backups(backups)
    assert brought_back(done).restored == OLD
    assert texts(sent) == before


def test_what_changes_comes_and_is_held_between_the_kill_and_the_next_run_stays(sent: Session) -> None:
    approved()

    def between() -> None:
        sent.execute("UPDATE letters SET topic = 'changed' WHERE id IN (150, 250, 350)")
        sent.execute("DELETE FROM letters WHERE id = 351")
        sent.execute("INSERT INTO letters (id, sent_at) OVERRIDING SYSTEM VALUE VALUES (7, now() - interval '9 years')")
        sent.execute("UPDATE letters SET recipient = recipient WHERE id = 400")
        held_back("NSE:INFY")

    sent.execute("UPDATE letters SET recipient = 'NSE:INFY' WHERE id BETWEEN 360 AND 369")
    before = texts(sent)

    state, done = killed_and_done("retention batch committed", 1, between)

    stay = {7, 150, 250, 350, 400} | set(range(360, 370))
    assert ids(sent) == stay | set(range(OLD + 1, OLD + YOUNG + HELD + 1))
    # The row that somebody else deleted is gone all the same; number 7 went and came anew.
    assert (state, done.removed, done.changed, done.held) == (CONTINUED, OLD - len(stay), 5, 10)
    brought_back(done, Conflict.OVERWRITE)
    assert texts(sent) == before


def test_a_restore_killed_before_its_commit_brings_nothing_back_and_can_be_done_again(sent: Session) -> None:
    before = texts(sent)
    approved()
    done = execute()
    left = texts(sent)

    killed_at("retention restored", lambda: brought_back(done))

    let_go()
    assert texts(sent) == left
    assert brought_back(done).restored == OLD
    assert texts(sent) == before


@pytest.fixture
def audit(registry: Session, backups: Path) -> Session:
    """Fifty old rows of the business audit in five batches, and an approved policy."""
    registry.execute(
        "INSERT INTO audit_log (at, actor, action, object_type, object_key)"
        " SELECT now() - make_interval(days => %s, secs => g), 'jane', 'update', 'membership', 'key ' || g"
        " FROM generate_series(1, 50) AS g",
        (LONG_AGO,),
    )
    approved("audit", table="audit_log", date="at", batch_size=10)
    return registry


def test_the_command_is_killed_in_the_midst_of_a_batch_and_is_given_again(audit: Session, backups: Path) -> None:
    words = ("run_retention", "--execute", "--policy", "audit", "--json")
    before = texts(audit, "audit_log")
    place = {"BACKUP_STORAGE_URL": str(backups), "INSTRUMENT_REGISTRY_RETENTION_SESSIONS": "1"}
    with dedicated(Store.REGISTRY, "test") as somebody, somebody.transaction():
        somebody.execute("SELECT FROM audit_log WHERE id = %s FOR UPDATE", (sorted(before)[25],))
        process = start(*words, **place)
        try:
            until_it_waits(audit, Process(process))
        finally:
            process.kill()
            process.communicate()
    assert len(texts(audit, "audit_log")) == 30
    let_go("audit_log")

    done = manage(*words, **place)

    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["policies"]
    assert (told["status"], told["removed"], texts(audit, "audit_log")) == ("complete", 50, {})
    back = manage("restore_backup", str(told["run"]), **place)
    assert (back.returncode, "Traceback" in back.stderr) == (0, False)
    assert texts(audit, "audit_log") == before


class Process:
    """A process as work that is done or not."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def done(self) -> bool:
        return self._process.poll() is not None
