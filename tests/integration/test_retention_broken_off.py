"""A run that was broken off goes on where it was, unless something says that it had better begin anew."""

import hashlib
from pathlib import Path

import pytest
from psycopg import errors

from dualwrite.exceptions import DualWriteError, RunLost, StoreFailed, StoreUnreachable
from dualwrite.models import RetentionBackup, RetentionPolicy, RetentionRun, RetentionState
from dualwrite.retention import trim
from dualwrite.retention.approval import approve
from dualwrite.retention.exceptions import TableChanged
from dualwrite.retention.run import Order, run
from dualwrite.runs import Watch
from dualwrite.stores import Session
from tests.integration.letters import OPERATOR, approved, brought_back, copied, doing, execute, ids, send
from tests.integration.test_retention_faults import REST, Broken, broken, manifest, require_refusal
from tests.integration.test_retention_races import CHANGES


@pytest.fixture
def sent(letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Three batches of old letters, approved; one session."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_SESSIONS", "1")
    send(letterbox, 300)
    approved()
    return letterbox


def test_a_run_that_is_cancelled_stops_after_its_batch_and_the_next_one_goes_on(sent: Session) -> None:
    before, watch = copied(sent), Watch()

    with doing("retention batch committed", watch.stop):
        stopped = execute(watch=watch)

    assert (stopped.status, stopped.state, stopped.removed) == ("cancelled", "deleting", None)
    assert ids(sent) == REST
    done = execute()
    assert (done.removed, done.resumes, ids(sent)) == (300, stopped.pk, set())
    brought_back(done)
    assert copied(sent) == before


#: Of this database only: other workers of the suite use the same server.
ENDED = (
    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
    " WHERE application_name = %s AND datname = current_database()"
)


@pytest.mark.parametrize(
    ("session", "kind"),
    [("dualwrite retention batch", StoreUnreachable), ("dualwrite retention letters lock", RunLost)],
)
@pytest.mark.parametrize("place", ["retention batch", "retention batch removed"])
def test_a_run_whose_session_ends_removes_whole_batches_only_and_the_next_one_goes_on(
    sent: Session, session: str, kind: type[DualWriteError], place: str
) -> None:
    before, watch = copied(sent), Watch()

    def end() -> None:
        assert sent.execute(ENDED, (session,)).fetchone() == (1,)
        if kind is RunLost:
            watch.pause(20)  # until it has been seen

    with doing(place, end, 2), pytest.raises(kind) as raised:
        execute(watch=watch)

    assert len(str(raised.value).splitlines()) == 1
    assert ids(sent) == REST
    done = execute()
    assert (done.removed, ids(sent)) == (300, set())
    brought_back(done)
    assert copied(sent) == before


def test_a_policy_that_is_another_one_when_its_run_is_to_go_on_begins_anew(sent: Session) -> None:
    sent.execute("UPDATE letters SET topic = 'kept' WHERE id > 250")
    made = RetentionPolicy.objects.get()
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    RetentionPolicy.objects.filter(pk=made.pk).update(
        conditions=[{"column": "topic", "is": "not_equal", "value": "kept"}]
    )
    run("letters", Order(OPERATOR))
    approve("letters", OPERATOR)

    done = execute()

    assert (done.removed, ids(sent)) == (150, set(range(251, 301)))
    states = RetentionRun.objects.filter(dry_run=False).order_by("id").values_list("state", flat=True)
    assert list(states) == ["abandoned", "complete"]


def test_a_longer_period_keeps_what_a_run_that_is_to_go_on_would_have_removed(sent: Session) -> None:
    sent.execute("UPDATE letters SET sent_at = now() - interval '500 days' WHERE id > 200")
    made = RetentionPolicy.objects.get()
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    RetentionPolicy.objects.filter(pk=made.pk).update(days=600)

    done = execute()

    assert (done.removed, ids(sent)) == (100, set(range(201, 301)))


@pytest.mark.parametrize("change", ["a column more", "another type"])
def test_a_table_that_is_changed_before_a_run_goes_on_is_begun_anew(sent: Session, change: str) -> None:
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    sent.execute(CHANGES[change].encode())

    with pytest.raises(TableChanged, match="the next run begins anew"):
        execute()

    assert ids(sent) == set(range(101, 301))
    assert (execute().removed, ids(sent)) == (200, set())


def test_a_run_does_not_go_on_in_another_cluster(sent: Session, backups: Path) -> None:
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    system = sent.execute("SELECT (pg_control_system()).system_identifier::text").fetchone()
    assert system is not None
    _as_if_written_by(backups, system[0], "1")

    require_refusal(TableChanged, RetentionState.ABANDONED)

    assert ids(sent) == REST
    assert (execute().removed, ids(sent)) == (200, set())


def test_a_run_does_not_go_on_after_so_many_transactions_that_their_numbers_begin_anew(
    sent: Session, backups: Path
) -> None:
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    sent.execute("SELECT pg_current_xact_id()")
    snapshot = sent.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
    assert snapshot is not None
    for far in (-2_000_000_000, 1_000):
        text = manifest(backups).read_text()
        (old,) = [line for line in text.splitlines() if '"snapshot":' in line]
        _replaced(backups, old, f'  "snapshot": "{int(snapshot[0]) + far}",')
        require_refusal(TableChanged, RetentionState.ABANDONED)
        RetentionRun.objects.filter(state=RetentionState.ABANDONED).update(state=RetentionState.VERIFIED)

    assert ids(sent) == REST


def _as_if_written_by(folder: Path, old: str, new: str) -> None:
    _replaced(folder, f'"system": "{old}"', f'"system": "{new}"')


def _replaced(folder: Path, old: str, new: str) -> None:
    path = manifest(folder)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    RetentionBackup.objects.update(manifest_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("times", [2, 99])
def test_a_batch_that_is_in_the_way_is_tried_again_and_not_for_ever(
    sent: Session, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    left, go = iter(range(times)), trim._go

    def in_the_way(session: Session, case: trim.Trim, place: trim.Place) -> tuple[int, int, int]:
        if next(left, None) is not None:
            raise errors.DeadlockDetected("for the test\nwith a second line")
        return go(session, case, place)

    with monkeypatch.context() as patch:
        patch.setattr(trim, "_go", in_the_way)
        if times == 2:
            assert execute().removed == 300
            return
        with pytest.raises(StoreFailed, match=r"in others' way 3 times: for the test$"):
            execute()
    assert execute().removed == 300
