"""The tasks of validation and of the relay's safety net, called as the worker calls them."""

import json
import threading
from typing import Any

import pytest
from celery import current_app

from dualwrite import switch, tasks
from dualwrite.control import transition
from dualwrite.control.pause import pause
from dualwrite.exceptions import StoreUnreachable
from dualwrite.models import Audit, ValidationRun
from dualwrite.relay import worker
from dualwrite.relay.pipe import open_pipe
from dualwrite.stages import Role
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from tests.support import at_work, enabled, fill, tampered

pytestmark = pytest.mark.usefixtures("stores")

LEVEL = "INSTRUMENT_REGISTRY_VALIDATION_LEVEL"


def add(screener: Session, *symbols: str) -> None:
    """Instruments in the old store."""
    for symbol in symbols:
        screener.execute("INSERT INTO public.instruments (symbol, exchange) VALUES (%s, 'NSE')", (symbol,))


def names(registry: Session) -> set[str]:
    """The instruments that arrived."""
    return {row[0] for row in registry.execute("SELECT symbol FROM instrument_registry.instruments").fetchall()}


def test_every_task_is_known_by_its_name_and_what_somebody_ordered_is_done_once() -> None:
    found = current_app.tasks
    scheduled = ("validation.run", "retention.run", "monitoring.check", "relay.sweep", "retention.drill")
    assert all(found[f"dualwrite.{name}"].acks_late for name in scheduled)
    assert not found["dualwrite.validation.run_ordered"].acks_late


def test_the_task_of_every_half_hour_validates_what_is_mirrored_and_passes_the_rest_over(
    screener: Session, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(screener, "A", "B")
    enabled(instruments)
    monkeypatch.setenv(LEVEL, "strict")

    told = {one["stream"]: one for one in tasks.validate_all()}

    assert json.loads(json.dumps(told)) == told
    assert (told["instruments"]["status"], told["index_memberships"]["status"]) == ("passed", "skipped")
    assert ValidationRun.objects.get(stream="instruments").level == "strict"


def test_validation_that_is_switched_off_validates_nothing(
    instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(instruments)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_ENABLED", "false")
    assert tasks.validate_all() == []
    assert not ValidationRun.objects.exists()


def test_an_ordered_validation_is_of_those_streams_at_that_level_and_repairs_in_that_name(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    fill(screener, 3)
    enabled(memberships)
    tampered(registry, "UPDATE index_memberships SET weight = 99 WHERE instrument_key = 'NSE:S1'")

    stop = threading.Event()
    with at_work(lambda: worker.run([memberships], stop)):
        (told,) = tasks.validate_ordered(["index_memberships"], "anna", "asked", level="strict", repair=True)
        stop.set()

    assert (told["status"], told["found"]) == ("failed", 1)
    run = ValidationRun.objects.get(pk=told["run"])
    assert (run.level, run.repair and run.repair["repaired"]) == ("strict", 1)
    assert Audit.objects.get(verb="repair", actor="anna").reason == "asked"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"streams": ["nonsense"]}, "stream 'nonsense'; valid: index_memberships, instruments"),
        ({"streams": ["instruments"], "level": "close"}, "level 'close'; valid: basic, detailed, strict"),
        ({"streams": ["instruments"], "batch_size": 0}, "batch size 0; valid: a number from 1 to 1e+06"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_a_sentence(values: dict[str, Any], sentence: str) -> None:
    (told,) = tasks.validate_ordered(actor="anna", **values)
    assert told["status"] == "refused"
    assert told["sentence"].endswith(sentence)


def test_the_sweep_relays_where_no_relay_is_there_and_leaves_what_one_works_on(
    screener: Session, registry: Session, instruments: Stream
) -> None:
    enabled(instruments)
    add(screener, "A", "B", "C")

    with open_pipe(instruments) or pytest.fail("nothing is mirrored"):
        assert tasks.sweep_relay() == []
    assert names(registry) == set()

    (told,) = tasks.sweep_relay()
    assert told == {"stream": "instruments", "settled": False, "relayed": 3, "parked": 0, "sentence": ""}
    assert names(registry) == {"A", "B", "C"}
    assert tasks.sweep_relay() == []


def test_the_sweep_leaves_a_stream_alone_that_an_operator_paused(
    screener: Session, registry: Session, instruments: Stream
) -> None:
    enabled(instruments)
    add(screener, "A")
    pause(instruments, Actor("anna", "test"))
    assert tasks.sweep_relay() == []
    assert names(registry) == set()


def test_the_sweep_ends_a_switch_that_was_left_half_done(instruments: Stream) -> None:
    enabled(instruments)
    here = switch.authority(instruments)
    switch.fence(instruments, here.store, Actor("anna", "test"))
    told = {one["stream"]: one for one in tasks.sweep_relay()}
    assert told["instruments"]["settled"]
    assert Role.FENCED not in {state.role for state in switch.both(instruments)}
    assert Audit.objects.filter(verb="repair", stream="instruments").exists()


def test_a_stream_that_cannot_be_swept_is_a_sentence_and_holds_no_other_up(
    screener: Session, registry: Session, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(instruments)
    add(screener, "A")
    settle = transition.settle_and_repair

    def away(stream: Stream, actor: Actor) -> bool:
        if stream.name == "index_memberships":
            raise StoreUnreachable("screener")
        return settle(stream, actor)

    monkeypatch.setattr(transition, "settle_and_repair", away)
    told = {one["stream"]: one for one in tasks.sweep_relay()}
    assert told["instruments"]["relayed"] == 1
    assert told["index_memberships"]["sentence"].endswith("screener")
