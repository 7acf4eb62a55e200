"""A stream's way through its stages as an operator types it: words, JSON, exit codes, processes that die."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dualwrite import runs, switch
from dualwrite.control import transition
from dualwrite.control.status import stream_status
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.acceptance.test_commands import NOWHERE
from tests.integration.moving import eventually, relayed, write
from tests.process import manage, managed, start
from tests.support import add, enabled, fill, one

STREAM = ("--stream", "index_memberships")
QUICK = {"INSTRUMENT_REGISTRY_SOAK_SECONDS": "0"}


def said(*arguments: str, code: int = 0, **changes: str) -> str:
    """What `dualwrite ...` answers people, having ended with that code."""
    done = manage("dualwrite", *arguments, **QUICK, **changes)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout or done.stderr


def answered(*arguments: str, code: int = 0, **changes: str) -> Any:
    """What it answers machines."""
    return json.loads(said(*arguments, "--json", code=code, **changes))


@contextmanager
def relay_running() -> Iterator[None]:
    """The relay, as a process of its own."""
    process = start("relay")
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        (["advance"], "name a stream with --stream; valid: index_memberships, instruments"),
        (["rollback", "--all"], "name a stream with --stream"),
        (["advance", "--stream", "nope"], "valid: index_memberships, instruments"),
        (["advance", *STREAM, "--to", "done"], "valid: complete, dualwrite, live, off, rampdown, shadow"),
        (["advance", *STREAM, "--to", "live"], "one stage at a time; stream index_memberships is at off; valid: --to"),
        (["advance", *STREAM, "--from", "done"], "valid: complete, dualwrite, live, off, rampdown, shadow"),
        (["pause", *STREAM, "--from", "live"], "pause takes no --from; valid with advance, rollback"),
        (["rollback", *STREAM], "rollback needs a reason: --reason WHY"),
        (["rollback", *STREAM, "--reason", "x"], "valid: manage.py dualwrite disable"),
        (["advance", *STREAM, "--force"], "force needs a reason"),
        (["backfill"], "--stream NAME, or take --all"),
        (
            ["redrive", "--all", "--dry-run"],
            "redrive takes no --dry-run; valid with advance, backfill, disable, enable",
        ),
        (["enable", "--all", "--to", "live"], "enable takes no --to; valid with advance, partitions, rollback"),
    ],
)
def test_a_wrong_word_is_answered_with_the_valid_ones(stores: None, arguments: list[str], valid: str) -> None:
    done = managed("dualwrite", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert valid in done.stderr
    assert "Traceback" not in done.stderr


def test_the_way_of_an_operator_forward_and_back(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "A")
    plan = said("advance", *STREAM, "--dry-run")
    assert plan.startswith("index_memberships: off → dualwrite: nothing blocks it")
    assert "1. The authority has 1 rows" in plan
    assert "index_memberships: off → dualwrite" in said("advance", *STREAM)
    assert "is at stage dualwrite, not at off" in said("advance", *STREAM, "--from", "off", code=1)
    refused = said("advance", *STREAM, code=1)
    assert "index_memberships: dualwrite → shadow: refused" in refused
    assert "! relaying: no relay works" in refused
    assert "    manage.py relay --stream index_memberships" in refused
    with relay_running():
        relayed(memberships)
        assert manage("run_validation", *STREAM, "--level", "strict").returncode == 0
        assert answered("advance", *STREAM)["after"] == "shadow"
        blocked = answered("advance", *STREAM, "--dry-run")
        assert (blocked["changed"], blocked["blocked"], blocked["before"], blocked["after"]) == (
            False,
            [],
            "shadow",
            "live",
        )
        moved = said("advance", *STREAM, "--reason", "the day")
        assert "shadow → live; writers waited" in moved
        assert "open" in moved
        write(registry, Store.REGISTRY, "B")
        relayed(memberships)
        assert manage("run_validation", *STREAM, "--level", "strict").returncode == 0
        back = answered("rollback", *STREAM, "--reason", "a rehearsal")
        assert (back["after"], back["changed"]) == ("shadow", True)
        assert back["stall_seconds"] > 0
        assert {gate["gate"] for gate in back["gates"]} >= {"capture", "pair", "backfill", "lag"}
    assert one(screener, "SELECT count(*) FROM index_memberships") == 2
    assert transition.stage_of(memberships) is Stage.SHADOW


def test_a_dry_run_that_is_blocked_says_by_what_and_ends_with_1(screener: Session, memberships: Stream) -> None:
    add(screener, "A")
    enabled(memberships)
    text = said("advance", *STREAM, "--dry-run", code=1)
    assert "dualwrite → shadow: would be refused" in text
    assert "1. Nothing changes in either store" in text
    assert "validation  CLOSED" in text
    blocked = answered("advance", *STREAM, "--dry-run", code=1)
    assert {"plan", "gates", "blocked"} <= blocked.keys()
    closed = [gate for gate in blocked["gates"] if not gate["passed"]]
    assert {"relaying", "validation"} == {gate["gate"] for gate in closed}
    assert all(gate["mend"].startswith("manage.py") for gate in closed)


def test_one_that_is_under_way_is_named_and_the_code_is_4(stores: None, memberships: Stream) -> None:
    enabled(memberships)
    with runs.only_run(transition.KIND, memberships):
        text = said("advance", *STREAM, "--reason", "x", code=4)
        assert "It is already running" in text
        assert "of stream index_memberships" in text
        assert "It is already running" in said("enable", *STREAM, code=4)


def test_the_emergency_stop_needs_no_words_and_stops_every_stream(screener: Session, memberships: Stream) -> None:
    add(screener, "A")
    enabled(memberships)
    assert [row["changed"] for row in answered("disable", "--dry-run")["streams"]] == [True, False]
    text = said("disable")
    assert "index_memberships: disabled; writes to the screener store are no longer noted" in text
    assert "instruments: nothing is mirrored already" in text
    assert not switch.authority(memberships).capture


@pytest.mark.parametrize(("store", "code"), [("DATABASE_URL", 0), ("SCREENER_DATABASE_URL", 3)])
def test_the_emergency_stop_with_a_store_away_does_what_it_can_and_says_the_rest(
    screener: Session, memberships: Stream, store: str, code: int
) -> None:
    add(screener, "A")
    enabled(memberships)
    rows = answered("disable", code=code, **{store: NOWHERE})["streams"]
    assert [row["changed"] for row in rows] == ([True, False] if code == 0 else [None, None])
    assert switch.state(memberships, Store.SCREENER).capture is bool(code)
    if code:
        assert "A database cannot be reached" in rows[0]["error"]
    else:
        assert "the registry's audit lacks it" in rows[0]["pending"][0]


def test_a_backfill_notes_every_key_again(screener: Session, memberships: Stream) -> None:
    add(screener, "A")
    enabled(memberships)
    assert "0 deleted" in said("backfill", *STREAM, "--dry-run")
    assert "1 keys noted" in said("backfill", *STREAM)
    assert "is not mirrored" in said("backfill", "--stream", "instruments", code=1)


def test_a_process_killed_in_the_middle_is_shown_and_mended_by_the_health_checks(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """Killed while it waits for a writer: the row is there, the switch has not begun."""
    add(screener, "A")
    enabled(memberships)
    with relay_running():
        relayed(memberships)
        assert manage("run_validation", *STREAM, "--level", "strict").returncode == 0
        said("advance", *STREAM)
        with screener.transaction(), dedicated(Store.SCREENER, "watch") as watch:
            add(screener, "SLOW")
            process = start("dualwrite", "advance", *STREAM, **QUICK)
            try:
                waits = (
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name LIKE 'dualwrite switch %'"
                )
                eventually(lambda: bool(one(watch, waits)))
                under_way = stream_status(memberships)["transition"]
            finally:
                process.kill()
                process.communicate(timeout=30)
    assert under_way is not None
    assert under_way.endswith("is under way")
    eventually(lambda: not transition.under_way(memberships))
    shown = answered("status", *STREAM)["streams"][0]["transition"]
    assert "advance shadow → live" in shown
    assert "was left half-done; manage.py run_health_checks settles it" in shown
    manage("run_health_checks")
    assert answered("status", *STREAM)["streams"][0]["transition"] is None
    assert transition.stage_of(memberships) is Stage.SHADOW
    last = transition.latest(memberships)
    assert last is not None
    assert (last.status, last.error) == ("taken_back", "its process died")


def test_a_dry_run_within_a_stage_tells_its_plan_and_changes_nothing(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A")
    enabled(memberships)
    paused = said("pause", *STREAM, "--dry-run")
    assert paused.startswith("index_memberships: would be paused\n1. The relay of index_memberships stops after")
    assert "1. screener: writes of index_memberships are no longer noted." in said("disable", *STREAM, "--dry-run")
    assert not one(registry, "SELECT paused FROM dualwrite_stream")
    assert switch.authority(memberships).capture
    assert said("resume", *STREAM, "--dry-run") == "index_memberships: was not paused\n"


def test_a_dry_run_of_enabling_says_that_too_much_would_be_deleted(screener: Session, memberships: Stream) -> None:
    fill(screener, 20)
    enabled(memberships)
    said("disable", *STREAM)
    screener.execute("DELETE FROM index_memberships")
    answer = said("enable", *STREAM, "--dry-run", code=1, INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS="3")
    assert "! index_memberships: 20 rows of the mirror would be deleted, more than 3: is it the right store?" in answer
