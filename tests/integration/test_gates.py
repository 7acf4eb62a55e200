"""Each gate, open and closed, on real stores."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from dualwrite import outbox, switch
from dualwrite.control import probes
from dualwrite.control.disable import disable
from dualwrite.control.gates import Finding, findings
from dualwrite.control.handover import hand_over
from dualwrite.control.pause import pause
from dualwrite.exceptions import StoreUnreachable, UsageError
from dualwrite.models import ParkedKey, StreamControl, ValidationRun
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.integration.relays import relay, unattended
from tests.support import add, column, enabled, engine_role, noted, one, tampered

KEY = '["NSE:A","NIFTY 50"]'
CHANGES = {
    "backfilled": "UPDATE dualwrite.stream_state SET backfilled = false",
    "fenced": "UPDATE dualwrite.stream_state SET role = 'fenced'",
    "detached": "UPDATE dualwrite.stream_state SET role = 'detached'",
}
MEND = "manage.py dualwrite {} --stream index_memberships"


@pytest.fixture(autouse=True)
def shadow(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row, mirrored and validated, at stage shadow; nobody relays any more."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SOAK_SECONDS", "0.3")
    add(screener, "A", weight=2)
    enabled(memberships)
    assert validate(memberships).status == "passed"
    StreamControl.objects.filter(stream=memberships.name).update(stage=Stage.SHADOW.value)
    unattended(memberships)


@pytest.fixture
def relayed(shadow: None, memberships: Stream) -> Iterator[None]:
    """A relay works."""
    with relay(memberships):
        yield


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay is hardly waited for."""
    monkeypatch.setattr(probes, "RELAY_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("dualwrite.control.canary.PATIENCE_SECONDS", 0.1)


def found(stream: Stream, to: Stage = Stage.LIVE, *, soak: bool = False) -> dict[str, Finding]:
    return {one.gate: one for one in findings(stream, to, soak=soak)}


def closed(stream: Stream, to: Stage = Stage.LIVE, *, soak: bool = False) -> list[str]:
    return [one.gate for one in findings(stream, to, soak=soak) if not one.passed]


@pytest.mark.usefixtures("relayed")
def test_with_everything_in_order_every_gate_is_open_and_shows_evidence(memberships: Stream) -> None:
    gates = found(memberships, soak=True)
    assert [one.why for one in gates.values() if one.why] == []
    assert list(gates) == [
        "capture",
        "pair",
        "backfill",
        "relaying",
        "canary",
        "validation",
        "parked",
        "lag",
        "way_back",
    ]
    assert all(one.passed and not one.mend and one.evidence for one in gates.values())
    assert [name for name, one in gates.items() if not one.forcible] == ["capture", "pair", "backfill", "relaying"]
    assert json.loads(json.dumps([vars(one) for one in gates.values()]))


@pytest.mark.usefixtures("relayed")
def test_the_evidence_says_what_was_seen(screener: Session, registry: Session, memberships: Stream) -> None:
    gates = {name: one.evidence for name, one in found(memberships, soak=True).items()}
    installed = "SELECT fingerprint FROM dualwrite.installation WHERE stream = 'index_memberships'"
    assert gates["capture"] == {
        "screener": {"problems": [], "version": 1, "fingerprint": one(screener, installed)},
        "registry": {"problems": [], "version": 1, "fingerprint": one(registry, installed)},
    }
    assert gates["pair"]["screener"]["remembers"]["identity"] == gates["pair"]["registry"]["identity"]
    state = switch.state(memberships, Store.SCREENER)
    assert (gates["backfill"]["generation"], gates["backfill"]["epoch"]) == (state.generation, state.epoch)
    assert gates["relaying"]["partitions_held"] == 16
    assert gates["canary"]["noted"]["key"] == gates["canary"]["relayed"]["key"] == KEY
    assert gates["validation"]["run"] == ValidationRun.objects.get().pk
    assert gates["parked"] == {"count": 0, "keys": []}
    assert gates["lag"]["samples"] >= 2
    assert gates["lag"]["highest_seconds"] < gates["lag"]["max_lag_seconds"]
    assert gates["way_back"]["tried"] == 1


def test_a_single_look_writes_nothing_and_waits_for_nothing(screener: Session, memberships: Stream) -> None:
    before = column(screener, "SELECT (xmin, xmax, ctid)::text FROM index_memberships")
    gates = found(memberships)
    assert gates["canary"].evidence == {"skipped": "a canary is sent only when the stage is about to change"}
    assert gates["lag"].evidence["samples"] == 1
    assert closed(memberships) == ["relaying"]
    assert column(screener, "SELECT (xmin, xmax, ctid)::text FROM index_memberships") == before
    assert noted(screener) == []


def test_gates_can_be_left_out(memberships: Stream) -> None:
    names = [one.gate for one in findings(memberships, Stage.LIVE, soak=False, without={"way_back", "canary"})]
    assert names == ["capture", "pair", "backfill", "relaying", "validation", "parked", "lag"]


@pytest.mark.parametrize("to", [Stage.SHADOW, Stage.OFF])
def test_where_no_way_leads_nothing_is_looked_at(memberships: Stream, to: Stage) -> None:
    with pytest.raises(UsageError, match="no way leads"):
        findings(memberships, to, soak=False)


def test_going_back_without_a_switch_asks_for_nothing(memberships: Stream) -> None:
    assert findings(memberships, Stage.DUALWRITE) == []


@pytest.mark.usefixtures("relayed")
def test_a_disabled_trigger_closes_capture_for_good_and_nothing_is_tried(
    screener: Session, memberships: Stream
) -> None:
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_update")
    gates = found(memberships, soak=True)
    capture = gates["capture"]
    assert (capture.passed, capture.forcible) == (False, False)
    assert "screener: trigger dualwrite_b_update is not enabled for every session" in capture.why
    assert capture.mend == "manage.py dualwrite install --store screener"
    assert (gates["canary"].passed, gates["canary"].why) == (False, "not tried, as the gate capture is closed")
    assert gates["canary"].mend == capture.mend
    assert gates["lag"].evidence["samples"] == 1
    assert "UPDATE" not in "".join(noted(screener))


def test_a_table_changed_in_the_mirror_closes_capture_as_well(registry: Session, memberships: Stream) -> None:
    registry.execute("ALTER TABLE index_memberships ADD COLUMN extra int")
    try:
        capture = found(memberships)["capture"]
    finally:
        registry.execute("ALTER TABLE index_memberships DROP COLUMN extra")
    assert "registry: the table, a trigger or a function was changed" in capture.why
    assert capture.mend == "manage.py dualwrite install --store registry"


def test_a_store_without_the_engine_closes_its_gates_and_names_the_command(
    registry: Session, memberships: Stream
) -> None:
    registry.execute("DROP SCHEMA dualwrite CASCADE")
    gates = found(memberships)
    assert gates["capture"].why == "registry: the engine is not installed"
    assert {gates[name].passed for name in ("capture", "pair", "backfill")} == {False}
    assert "manage.py dualwrite install" in gates["pair"].mend


def test_an_exchanged_database_closes_the_pair(registry: Session, memberships: Stream) -> None:
    registry.execute("UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
    pair = found(memberships, soak=True)["pair"]
    assert (pair.passed, pair.forcible) == (False, False)
    assert "screener was paired with another registry database" in pair.why
    assert pair.mend == MEND.format("enable") + " --force --reason WHY, when it is the right one"
    assert pair.evidence["screener"]["remembers"]["identity"] != pair.evidence["registry"]["identity"]


def test_a_store_that_went_back_in_time_closes_the_pair(registry: Session, memberships: Stream) -> None:
    registry.execute("UPDATE dualwrite.stream_state SET peer_epoch = 99 WHERE stream = 'index_memberships'")
    pair = found(memberships)["pair"]
    assert (pair.passed, pair.forcible) == (False, False)
    assert "99" in pair.why
    assert json.dumps(pair.evidence)


@pytest.mark.parametrize(
    ("store", "change", "why", "mend"),
    [
        ("screener", "backfilled", "the backfill is not complete", "enable"),
        ("screener", "fenced", "a switch is half-done: the screener store is fenced", "status"),
        ("registry", "detached", "the registry store is detached, not the mirror", "enable"),
    ],
)
def test_a_stream_that_is_not_followed_closes_the_backfill(
    request: pytest.FixtureRequest, memberships: Stream, store: str, change: str, why: str, mend: str
) -> None:
    request.getfixturevalue(store).execute(CHANGES[change])
    backfill = found(memberships)["backfill"]
    assert (backfill.passed, backfill.forcible) == (False, False)
    assert (backfill.why, backfill.mend) == (why, MEND.format(mend))


def test_a_disabled_stream_closes_the_backfill(memberships: Stream) -> None:
    disable(memberships, TESTER)
    assert found(memberships)["backfill"].why == "writes are not noted: the stream is disabled"


def test_an_authority_that_the_stage_does_not_say_closes_the_backfill(memberships: Stream) -> None:
    StreamControl.objects.update(stage=Stage.LIVE.value)
    backfill = found(memberships, Stage.RAMPDOWN)["backfill"]
    assert backfill.why == "the screener store takes the writes, which is not what stage live says"


@pytest.mark.usefixtures("hasty")
def test_without_a_relay_relaying_is_closed(memberships: Stream) -> None:
    gates = found(memberships, soak=True)
    assert [name for name, one in gates.items() if not one.passed] == ["relaying", "canary"]
    assert gates["relaying"].why == "no relay works on stream index_memberships"
    assert gates["relaying"].mend == gates["canary"].mend == "manage.py relay --stream index_memberships"


@pytest.mark.usefixtures("relayed")
def test_a_paused_stream_closes_relaying_which_no_reason_opens_for_a_switch(memberships: Stream) -> None:
    pause(memberships, TESTER)
    gate = found(memberships)["relaying"]
    assert (gate.passed, gate.forcible, gate.why) == (False, False, "an operator paused the stream")
    assert gate.mend == MEND.format("resume")


@pytest.mark.usefixtures("relayed")
def test_a_stream_that_the_brake_holds_closes_relaying(memberships: Stream) -> None:
    StreamControl.objects.update(held_because="too many deletes")
    gate = found(memberships)["relaying"]
    assert gate.why == "the relay stopped by itself: too many deletes"
    assert gate.mend == MEND.format("resume") + " --force --reason WHY"


def test_a_relay_on_some_partitions_only_is_not_enough(screener: Session, memberships: Stream) -> None:
    screener.execute("SELECT pg_advisory_lock(25720, hashtext('index_memberships/3'))")
    gate = found(memberships)["relaying"]
    assert gate.why == "relays work on 1 of the 16 partitions of stream index_memberships only"


def aged(seconds: float) -> None:
    ValidationRun.objects.update(finished_at=timezone.now() - timedelta(seconds=seconds))


def test_an_old_validation_closes_its_gate(memberships: Stream) -> None:
    aged(3_500)
    assert found(memberships)["validation"].passed
    aged(3_700)
    gate = found(memberships)["validation"]
    assert "ended 3700 s ago, more than 3600 s" in gate.why
    assert gate.mend == "manage.py run_validation --stream index_memberships --level strict"
    assert gate.forcible
    assert gate.evidence["age_seconds"] == pytest.approx(3_700, abs=60)


def test_without_any_validation_the_gate_is_closed(memberships: Stream) -> None:
    ValidationRun.objects.all().delete()
    assert found(memberships)["validation"].why == "no strict validation has finished yet"


def test_a_validation_that_found_something_closes_the_gate(registry: Session, memberships: Stream) -> None:
    tampered(registry, "UPDATE index_memberships SET weight = 3")
    run = validate(memberships)
    assert found(memberships)["validation"].why == f"validation {run.pk} ended as failed"


def test_a_validation_of_an_earlier_generation_does_not_count(memberships: Stream) -> None:
    disable(memberships, TESTER)
    enabled(memberships)
    assert "is about an earlier time" in found(memberships)["validation"].why


def test_a_run_at_a_lower_level_neither_proves_nor_spoils(memberships: Stream) -> None:
    generation = switch.state(memberships, Store.SCREENER).generation
    run = ValidationRun(stream=memberships.name, level="basic", status="passed", authority="screener")
    run.generation, run.finished_at = generation, timezone.now()
    run.save()
    assert found(memberships)["validation"].passed
    ValidationRun.objects.filter(level="strict").delete()
    assert not found(memberships)["validation"].passed


def test_on_the_way_back_a_missing_validation_says_that_it_may_be_forced(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    ValidationRun.objects.all().delete()
    StreamControl.objects.update(stage=Stage.LIVE.value)
    gates = found(memberships, Stage.SHADOW)
    assert "way_back" not in gates
    assert gates["validation"].why == (
        "no strict validation has finished yet; the way back may be taken without it, with --force --reason WHY"
    )
    assert gates["validation"].forcible


@pytest.mark.parametrize("to", [Stage.RAMPDOWN, Stage.SHADOW])
def test_after_a_switch_the_gates_look_in_the_other_direction(
    registry: Session, memberships: Stream, to: Stage
) -> None:
    hand_over(memberships, Store.REGISTRY, TESTER)
    StreamControl.objects.update(stage=Stage.LIVE.value)
    with relay(memberships):
        gates = found(memberships, to, soak=True)
        # The validation of before the switch is about another authority.
        assert [name for name, one in gates.items() if not one.passed] == ["validation"]
        assert validate(memberships).status == "passed"
        assert closed(memberships, to, soak=True) == []
    assert gates["backfill"].evidence["authority"] == "registry"
    assert gates["canary"].evidence["noted"]["key"] == gates["canary"].evidence["relayed"]["key"] == KEY
    # A write that changes nothing, and is rolled back, makes no history either.
    assert one(registry, "SELECT count(*) FROM index_membership_history") == 1


def test_parked_keys_close_their_gate(memberships: Stream) -> None:
    ParkedKey.objects.create(stream=memberships.name, key=KEY, error="x")
    ParkedKey.objects.create(stream="instruments", key='["NSE:A"]', error="x")
    gate = found(memberships)["parked"]
    assert gate.evidence == {"count": 1, "keys": [KEY]}
    assert gate.why == "1 keys are parked, so the mirror does not have what they stand for"
    assert gate.mend == MEND.format("parked")


@pytest.mark.usefixtures("hasty")
def test_a_key_that_waits_too_long_closes_lag(screener: Session, memberships: Stream) -> None:
    outbox.note(memberships, Store.SCREENER, [KEY], outbox.Cause.REDRIVE)
    assert found(memberships)["lag"].passed
    screener.execute("UPDATE dualwrite.outbox SET noted_at = noted_at - interval '7 seconds'")
    gate = found(memberships, soak=True)["lag"]
    assert (gate.passed, gate.evidence["samples"]) == (False, 1)
    assert gate.evidence["highest_seconds"] >= 7
    assert "s, 5 s are tolerated" in gate.why


@pytest.mark.usefixtures("hasty")
def test_a_lag_that_rises_during_the_soak_time_closes_lag(memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SOAK_SECONDS", "60")
    monkeypatch.setenv("INSTRUMENT_REGISTRY_MAX_LAG_SECONDS", "0.4")
    outbox.note(memberships, Store.SCREENER, [KEY], outbox.Cause.REDRIVE)
    assert found(memberships, soak=True)["lag"].evidence["highest_seconds"] >= 0.4


@pytest.mark.parametrize("store", Store)
def test_a_store_that_is_away_is_no_closed_gate(
    memberships: Stream, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(store, CLOSED_PORT, monkeypatch)
    with pytest.raises(StoreUnreachable, match=store.value) as caught:
        findings(memberships, Stage.LIVE)
    assert caught.value.exit_code == 3


def test_without_rights_in_the_old_store_only_the_way_back_is_closed(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_role(screener, monkeypatch, only_reads=True) as role, relay(memberships):
        gates = found(memberships, soak=True)
        assert {name: one.why for name, one in gates.items() if not one.passed} == {
            "way_back": "the engine's role may not write to the screener store what the relay would have to"
        }
        assert f'GRANT INSERT, UPDATE, DELETE ON "public"."index_memberships" TO {role};' in gates["way_back"].mend
        assert "no right to update" in gates["canary"].evidence["noted"]["skipped"]
