"""Every stage forward and back on real databases, with writers, gates, refusals, and two operators at once."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.utils import timezone
from psycopg import errors

from dualwrite import failpoints, switch
from dualwrite.control import transition
from dualwrite.control.advance import advance, rollback
from dualwrite.control.asked import Asked
from dualwrite.control.pause import pause
from dualwrite.control.status import stream_status
from dualwrite.control.step import GatesClosed, Moved
from dualwrite.exceptions import AlreadyRunning, ConcurrentChange, DualWriteError, Refused, TakenBack, UsageError
from dualwrite.management import began
from dualwrite.management.commands.dualwrite import Command
from dualwrite.models import StageTransition, StreamControl
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from tests.conftest import TESTER
from tests.integration.moving import (
    bring,
    eventually,
    held,
    proven,
    quick,
    relay_at_work,
    relayed,
    roles,
    write,
)
from tests.integration.test_operator_input import everything
from tests.support import add, at_work, one

NOBODY = Actor("test")
#: Whether somebody waits for the lock of a stream's writers.
ASKED_FOR = """
SELECT EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND NOT l.granted AND l.classid = 25719
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


@pytest.fixture(autouse=True)
def _ready(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quick(monkeypatch)
    add(screener, "FIRST")
    with relay_at_work(memberships):
        yield
    failpoints.clear()


def rows(stream: Stream) -> list[tuple[str, str, str]]:
    """The stream's transitions in order: before, after, how they ended."""
    found = StageTransition.objects.filter(stream=stream.name).order_by("id")
    return list(found.values_list("before", "after", "status"))


def kept(moved: Moved) -> StageTransition:
    """The row of what was done."""
    assert moved.transition is not None
    return StageTransition.objects.get(pk=moved.transition)


def audited(registry: Session, verb: str) -> list[Any]:
    """before, after, evidence, reason of each line with that verb."""
    query = "SELECT before, after, evidence, reason FROM dualwrite.audit WHERE verb = %s ORDER BY id"
    return registry.execute(query, (verb,)).fetchall()


def test_all_stages_forward_and_back_with_writes_on_the_right_side_and_nothing_lost(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    sessions = {Store.SCREENER: screener, Store.REGISTRY: registry}
    written = {"FIRST"}

    def write_and_see(stage: Stage) -> None:
        assert transition.stage_of(memberships) is stage
        store, symbol = stage.authority, f"W{len(written)}"
        assert switch.authority(memberships).store is store
        write(sessions[store], store, symbol)
        written.add(symbol)
        with pytest.raises(errors.DatabaseError, match=rf"the {store} store takes its writes, this one"):
            write(sessions[store.peer], store.peer, "LOST")
        relayed(memberships)
        assert held(screener, registry) == (written, written)

    for stage in (Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN):
        bring(memberships, stage)
        write_and_see(stage)
    for stage in (Stage.LIVE, Stage.SHADOW, Stage.DUALWRITE):
        proven(memberships)
        rollback(memberships, TESTER)
        write_and_see(stage)
    bring(memberships, Stage.COMPLETE)
    assert rows(memberships) == [
        ("off", "dualwrite", "done"),
        ("dualwrite", "shadow", "done"),
        ("shadow", "live", "done"),
        ("live", "rampdown", "done"),
        ("rampdown", "live", "done"),
        ("live", "shadow", "done"),
        ("shadow", "dualwrite", "done"),
        ("dualwrite", "shadow", "done"),
        ("shadow", "live", "done"),
        ("live", "rampdown", "done"),
        ("rampdown", "complete", "done"),
    ]


def test_after_complete_the_old_store_refuses_writes_and_the_registry_goes_on_unmirrored(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    bring(memberships, Stage.RAMPDOWN)
    proven(memberships)
    write(registry, Store.REGISTRY, "LAST")
    moved = advance(memberships, TESTER)
    assert moved.after == "complete"
    assert moved.plan[0].startswith("There is no way back")
    assert roles(memberships) == (Role.DETACHED, Role.AUTHORITY)
    assert held(screener, registry) == ({"FIRST", "LAST"}, {"FIRST", "LAST"}), "an exact copy stays behind"
    with pytest.raises(errors.DatabaseError, match="the registry store takes its writes"):
        write(screener, Store.SCREENER, "LATE")
    write(registry, Store.REGISTRY, "ON")
    row = stream_status(memberships)
    assert (row["stage"], row["mirroring"], row["outbox"]["pending"]) == ("complete", "off", 0)
    assert (row["transition"], row["rollback_ready"], row["blocked_by"]) == (None, False, [])
    with pytest.raises(Refused, match="no way leads back"):
        rollback(memberships, TESTER)
    with pytest.raises(Refused, match="the last one"):
        advance(memberships, TESTER)


def test_what_is_committed_while_complete_waits_for_its_writer_is_in_the_copy_that_stays(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    bring(memberships, Stage.RAMPDOWN)
    proven(memberships)
    with ExitStack() as stack:
        watch = stack.enter_context(dedicated(Store.REGISTRY, "watch"))
        with registry.transaction():
            write(registry, Store.REGISTRY, "SLOW")
            completing = stack.enter_context(at_work(lambda: advance(memberships, TESTER)))
            eventually(lambda: bool(one(watch, ASKED_FOR)))
        assert completing.result().after == "complete"
    assert held(screener, registry) == ({"FIRST", "SLOW"},) * 2


def test_the_row_and_the_audit_keep_who_why_and_the_evidence(registry: Session, memberships: Stream) -> None:
    bring(memberships, Stage.SHADOW)
    proven(memberships)
    moved = advance(memberships, Actor("anna", "the big day"))
    row = kept(moved)
    assert (row.actor, row.reason, row.forced, row.status) == ("anna", "the big day", False, "done")
    assert [gate["gate"] for gate in row.gates] == [gate.gate for gate in moved.gates]
    assert all(gate["passed"] for gate in row.gates)
    assert row.epoch == switch.authority(memberships).epoch
    assert row.stall_seconds == moved.stall_seconds
    assert row.finished_at is not None
    (before, after, evidence, reason) = audited(registry, "advance")[-1]
    assert (before, after, reason) == ({"stage": "shadow"}, {"stage": "live"}, "the big day")
    assert evidence["gates"] == row.gates


def test_a_closed_gate_refuses_and_is_kept_in_the_audit(registry: Session, memberships: Stream) -> None:
    bring(memberships, Stage.DUALWRITE)
    with pytest.raises(GatesClosed, match="validation: no strict validation") as caught:
        advance(memberships, TESTER)
    assert not caught.value.moved.changed
    assert transition.stage_of(memberships) is Stage.DUALWRITE
    assert rows(memberships) == [("off", "dualwrite", "done")]
    (before, after, evidence, _) = audited(registry, "advance")[-1]
    assert before == after == {"stage": "dualwrite"}
    assert evidence["refused"][0].startswith("validation")


def test_force_overrides_what_may_be_overridden_and_says_so_for_ever(memberships: Stream) -> None:
    bring(memberships, Stage.DUALWRITE)
    moved = advance(memberships, TESTER, force=True)
    row = kept(moved)
    assert (row.forced, row.status) == (True, "done")
    assert [gate["gate"] for gate in row.gates if not gate["passed"]] == ["validation"]


def test_force_where_nothing_is_closed_forces_nothing(memberships: Stream) -> None:
    bring(memberships, Stage.DUALWRITE)
    proven(memberships)
    moved = advance(memberships, TESTER, force=True)
    assert not kept(moved).forced


def test_force_does_not_open_a_gate_that_the_switch_itself_relies_on(screener: Session, memberships: Stream) -> None:
    bring(memberships, Stage.SHADOW)
    proven(memberships)
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_insert")
    with pytest.raises(GatesClosed, match="capture: screener: trigger dualwrite_b_insert"):
        advance(memberships, TESTER, force=True)
    assert switch.authority(memberships).store is Store.SCREENER


@pytest.mark.parametrize("verb", [advance, rollback])
def test_force_and_rollback_without_a_reason_are_no_valid_request(memberships: Stream, verb: Any) -> None:
    bring(memberships, Stage.SHADOW)
    with pytest.raises(UsageError, match="needs a reason: --reason WHY"):
        verb(memberships, NOBODY, force=True)
    with pytest.raises(UsageError, match="rollback needs a reason"):
        rollback(memberships, Actor("test", "  "))
    assert transition.stage_of(memberships) is Stage.SHADOW


def test_complete_without_a_reason_is_no_valid_request(memberships: Stream) -> None:
    bring(memberships, Stage.RAMPDOWN)
    with pytest.raises(UsageError, match="going to complete needs a reason"):
        advance(memberships, NOBODY)


def test_a_stage_that_is_not_the_next_one_is_answered_with_the_valid_one(memberships: Stream) -> None:
    bring(memberships, Stage.DUALWRITE)
    for to in (Stage.LIVE, Stage.DUALWRITE, Stage.OFF):
        with pytest.raises(UsageError, match=r"one stage at a time; .* is at dualwrite; valid: --to shadow"):
            advance(memberships, TESTER, to=to)
    with pytest.raises(UsageError, match=r"no way leads back from dualwrite; valid: .* disable"):
        rollback(memberships, TESTER)
    bring(memberships, Stage.LIVE)
    for to in (Stage.OFF, Stage.LIVE, Stage.COMPLETE):
        with pytest.raises(UsageError, match="valid: --to shadow, dualwrite"):
            rollback(memberships, TESTER, to=to)


def test_rolling_back_several_stages_goes_step_by_step(memberships: Stream) -> None:
    bring(memberships, Stage.RAMPDOWN)
    proven(memberships)
    moved = rollback(memberships, TESTER, to=Stage.DUALWRITE)
    assert (moved.before, moved.after) == ("rampdown", "dualwrite")
    assert moved.stall_seconds is not None
    assert rows(memberships)[-3:] == [
        ("rampdown", "live", "done"),
        ("live", "shadow", "done"),
        ("shadow", "dualwrite", "done"),
    ]
    assert switch.authority(memberships).store is Store.SCREENER


def test_a_switch_that_is_taken_back_leaves_stage_and_row_saying_so(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    bring(memberships, Stage.SHADOW)
    proven(memberships)
    failpoints.at("switch caught up", lambda: add(screener, "X", sector="x"))
    registry.execute("ALTER TABLE index_memberships ADD CONSTRAINT no_x CHECK (sector <> 'x')")
    try:
        with pytest.raises(TakenBack, match="1 keys could not be applied"):
            advance(memberships, TESTER)
    finally:
        registry.execute("ALTER TABLE index_memberships DROP CONSTRAINT no_x")
    row = StageTransition.objects.get(after="live")
    assert row.status == "taken_back"
    assert "could not be applied" in row.error
    assert transition.stage_of(memberships) is Stage.SHADOW
    assert stream_status(memberships)["transition"] is None
    add(screener, "Y")


def test_a_writer_in_the_way_is_named_and_the_row_says_refused(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(memberships, Stage.SHADOW)
    proven(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SWITCH_LOCK_SECONDS", "0.1")
    with screener.transaction():
        add(screener, "SLOW")
        with pytest.raises(Refused, match=f"a writer does not finish \\(process {screener.info.backend_pid}"):
            advance(memberships, TESTER)
    assert StageTransition.objects.get(after="live").status == "refused"
    assert transition.stage_of(memberships) is Stage.SHADOW


def test_two_operators_at_once_make_one_step_and_the_other_learns_of_the_first(memberships: Stream) -> None:
    """Held at the place where the first has the lock and its row, the second is told who it is."""
    bring(memberships, Stage.SHADOW)
    proven(memberships)
    recorded, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        recorded.set()
        assert go_on.wait(30)

    failpoints.at("transition recorded", wait)
    with at_work(lambda: advance(memberships, Actor("first", "x"))) as first:
        try:
            assert recorded.wait(30)
            with pytest.raises(AlreadyRunning, match=r"advance shadow → live of stream .*, by first since 20"):
                advance(memberships, Actor("second", "x"))
            shown = stream_status(memberships)["transition"]
            assert shown is not None
            assert "advance shadow → live, by first" in shown
            assert shown.endswith("is under way")
            assert not transition.settle_and_repair(memberships, TESTER), "a living one is left alone"
        finally:
            go_on.set()
        assert first.result().after == "live"
    assert [status for _, _, status in rows(memberships)] == ["done"] * 3


def test_operators_that_start_together_never_go_two_stages(memberships: Stream) -> None:
    bring(memberships, Stage.DUALWRITE)
    proven(memberships)
    barrier = threading.Barrier(2)

    def race(name: str) -> Moved | DualWriteError:
        barrier.wait(30)
        try:
            return advance(memberships, Actor(name, "x"))
        except DualWriteError as exc:
            return exc

    with at_work(lambda: race("one")) as one_, at_work(lambda: race("two")) as two:
        results = [one_.result(), two.result()]
    assert len([r for r in results if isinstance(r, Moved)]) == 1, results
    assert len([r for r in results if isinstance(r, AlreadyRunning | ConcurrentChange)]) == 1, results
    assert transition.stage_of(memberships) is Stage.SHADOW


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_stage_that_is_not_the_one_believed_is_refused_and_named(memberships: Stream, dry_run: bool) -> None:
    bring(memberships, Stage.SHADOW)
    for verb in (advance, rollback):
        with pytest.raises(ConcurrentChange, match="index_memberships is at stage shadow, not at live"):
            verb(memberships, TESTER, asked=Asked(Stage.LIVE), dry_run=dry_run)
    assert rows(memberships)[-1] == ("dualwrite", "shadow", "done")
    assert rollback(memberships, TESTER, asked=Asked(Stage.SHADOW)).after == "dualwrite"


def test_who_asked_before_another_transition_ended_does_not_act_on_the_stage_it_made(memberships: Stream) -> None:
    bring(memberships, Stage.RAMPDOWN)
    moment = timezone.now()
    rollback(memberships, Actor("first", "x"))
    with pytest.raises(ConcurrentChange, match=r"rollback rampdown → live of .*, by first, ended after this was asked"):
        rollback(memberships, TESTER, asked=Asked(at=moment))
    with pytest.raises(ConcurrentChange, match="say so with --from live"):
        advance(memberships, TESTER, asked=Asked(at=moment))
    assert transition.stage_of(memberships) is Stage.LIVE
    assert advance(memberships, TESTER, asked=Asked(at=timezone.now())).after == "rampdown"
    assert rollback(memberships, TESTER, asked=Asked(Stage.RAMPDOWN, moment)).after == "live"


def test_a_command_that_was_still_loading_while_another_one_worked_is_refused(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(memberships, Stage.SHADOW)
    moment = timezone.now()
    rollback(memberships, Actor("first", "x"))
    monkeypatch.setattr(began, "BEGAN", moment)
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "dualwrite", "advance", "--stream", memberships.name])
    assert ended.value.code == 1
    assert "rollback shadow → dualwrite" in capsys.readouterr().err
    assert transition.stage_of(memberships) is Stage.DUALWRITE


def test_a_stage_that_changes_before_the_lock_is_had_is_not_left_for_the_one_wanted(memberships: Stream) -> None:
    """With a stage to go to, going on from wherever it is is what was meant; not where the stage was said."""
    bring(memberships, Stage.RAMPDOWN)
    proven(memberships)

    def somebody_else_rolls_back() -> None:
        StreamControl.objects.filter(stream=memberships.name).update(stage=Stage.LIVE)

    failpoints.at("transition locked", somebody_else_rolls_back)
    with pytest.raises(ConcurrentChange, match="has come to stage live"):
        rollback(memberships, TESTER, to=Stage.SHADOW, asked=Asked(Stage.RAMPDOWN))
    assert rollback(memberships, TESTER, to=Stage.SHADOW).after == "shadow"


def test_a_dry_run_prints_the_plan_and_what_blocks_and_changes_nothing(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    bring(memberships, Stage.SHADOW)
    proven(memberships)
    before = everything(screener, registry)
    epoch = switch.authority(memberships).epoch + 1
    moved = advance(memberships, NOBODY, dry_run=True)
    assert (moved.before, moved.after, moved.changed, moved.blocked) == ("shadow", "live", False, ())
    text = "\n".join(moved.plan)
    order = ["relays give way", "screener: writers", f"fenced at epoch {epoch}", "registry: takes the writes", "mirror"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert {gate.gate for gate in moved.gates} >= {"capture", "validation", "way_back"}
    registry.execute("DELETE FROM dualwrite_validation_run")
    assert advance(memberships, NOBODY, dry_run=True).blocked[0].startswith("validation")
    assert everything(screener, registry) == before
    assert rows(memberships)[-1] == ("dualwrite", "shadow", "done")


def test_a_dry_run_of_several_steps_back_shows_all_of_them(memberships: Stream) -> None:
    bring(memberships, Stage.RAMPDOWN)
    proven(memberships)
    moved = rollback(memberships, NOBODY, to=Stage.SHADOW, dry_run=True)
    assert (moved.before, moved.after, moved.blocked) == ("rampdown", "shadow", ())
    text = "\n".join(moved.plan)
    assert "becomes live" in text
    assert "screener: takes the writes" in text
    assert "becomes shadow" in text


def test_from_off_advance_is_enable(screener: Session, memberships: Stream) -> None:
    plan = advance(memberships, NOBODY, dry_run=True)
    assert (plan.before, plan.after, plan.blocked) == ("off", "dualwrite", ())
    assert "the mirror gets 1" in plan.plan[0]
    assert not switch.authority(memberships).capture
    with pytest.raises(UsageError, match="valid: --to dualwrite"):
        advance(memberships, NOBODY, to=Stage.LIVE)
    assert advance(memberships, NOBODY, to=Stage.DUALWRITE).changed
    assert rows(memberships) == [("off", "dualwrite", "done")]
    assert switch.authority(memberships).backfilled


def test_a_dry_run_from_off_says_when_the_parameter_forbids_it(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED", "false")
    moved = advance(memberships, NOBODY, dry_run=True)
    assert "DUAL_WRITE_ENABLED is false" in moved.blocked[0]


def test_status_tells_whether_the_way_back_is_open(registry: Session, memberships: Stream) -> None:
    assert not stream_status(memberships)["rollback_ready"], "from off no way leads back"
    bring(memberships, Stage.LIVE)
    assert not stream_status(memberships)["rollback_ready"], "nothing has been proven in this direction"
    proven(memberships)
    # The relay has just given way to the switch, and takes its partitions again within a second.
    eventually(lambda: bool(stream_status(memberships)["rollback_ready"]))
    pause(memberships, TESTER)
    assert not stream_status(memberships)["rollback_ready"]


def test_a_stage_changed_by_hand_is_put_right_by_the_stores_and_the_verb_goes_no_further(
    registry: Session, memberships: Stream
) -> None:
    bring(memberships, Stage.LIVE)
    proven(memberships)
    registry.execute("UPDATE dualwrite_stream SET stage = 'shadow'")
    moved = advance(memberships, TESTER)
    assert (moved.before, moved.after) == ("shadow", "live")
    assert transition.stage_of(memberships) is Stage.LIVE
    assert one(registry, "SELECT count(*) FROM dualwrite.audit WHERE verb = 'repair'") == 1
