"""The mirror's breaker: all processes know of it, no write waits for a dead mirror, no key is lost by it."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from prometheus_client.samples import Sample

from dualwrite import breaker, emergency, writing
from dualwrite.breaker import Breaker, Position, breaker_of, shared, state
from dualwrite.configuration import keep
from dualwrite.control.pause import pause
from dualwrite.control.status import stream_status
from dualwrite.models import Audit, ConfigSource
from dualwrite.monitoring.checks import check_named
from dualwrite.monitoring.collector import families
from dualwrite.monitoring.snapshot import Snapshot, take
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, present
from dualwrite.stream import Stream
from dualwrite.writing import Outcome
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.integration.moving import eventually, relay_at_work
from tests.integration.test_writing import outcomes, record
from tests.support import enabled, mirrored, noted

FAILURES = "INSTRUMENT_REGISTRY_MIRROR_BREAKER_FAILURES"
NAME = "a mirror of the tests"


@pytest.fixture(autouse=True)
def _few(stores: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(FAILURES, "3")
    yield
    writing.close()


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open breaker stays open until the test lets it."""
    monkeypatch.setattr(state, "FIRST_PAUSE_SECONDS", 30.0)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open breaker is half-open at once."""
    monkeypatch.setattr(state, "FIRST_PAUSE_SECONDS", 0.0)


def process(url: str = "") -> Breaker:
    """The breaker as another process has it, which knows only what Redis tells."""
    return Breaker(Store.REGISTRY, NAME, url or settings.REDIS_URL)


@pytest.fixture
def two() -> Iterator[tuple[Breaker, Breaker]]:
    """The same breaker in two processes."""
    yield process(), process()
    process().reset()


def failed(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed("away")


def test_failures_of_all_processes_count_and_all_of_them_know(two: tuple[Breaker, Breaker], long_pause: None) -> None:
    here, there = two
    failed(here, 2)
    assert not here.ask().why
    failed(there, 1)
    asked = process().ask()
    assert (asked.why, asked.tries) == (
        "writes do not wait for the registry store, which could not be reached 3 times in a row: away",
        False,
    )
    assert here.report()["shared"]


def test_a_success_in_between_begins_to_count_anew(two: tuple[Breaker, Breaker]) -> None:
    here, there = two
    failed(here, 2)
    there.succeeded()
    failed(here, 2)
    assert process().is_closed()


def test_of_many_that_come_when_the_pause_is_over_one_tries(two: tuple[Breaker, Breaker], no_pause: None) -> None:
    failed(two[0], 3)
    barrier = threading.Barrier(8)

    def asks(_: int) -> bool:
        mine = process()
        barrier.wait()
        return mine.ask().tries

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(asks, range(8))) == [False] * 7 + [True]


def test_a_try_that_came_through_closes_it_for_all(two: tuple[Breaker, Breaker], no_pause: None) -> None:
    here, there = two
    failed(here, 3)
    assert there.ask().tries
    there.succeeded()
    assert process().ask() == shared.Asked()


def test_without_redis_each_process_has_its_own_and_asks_it_rarely(
    long_pause: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        alone = process(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        failed(alone, 3)
        assert alone.ask().why
        assert (alone.report()["state"], alone.report()["shared"]) == ("open", False)
        for _ in range(20):
            alone.ask()
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    alone.succeeded()
    assert alone.is_closed()


def test_it_comes_back_to_redis_when_that_is_there_again(long_pause: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "AWAY_SECONDS", 0.0)
    breaker = process(f"redis://127.0.0.1:{CLOSED_PORT}/0")
    failed(breaker, 3)
    breaker._redis = process()._redis
    assert breaker.report()["shared"]
    assert breaker.is_closed(), "nobody else has failed"


def test_no_write_reaches_for_a_mirror_that_is_dead_and_no_key_is_lost(
    screener: Session,
    registry: Session,
    memberships: Stream,
    long_pause: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enabled(memberships)
    assert outcomes(memberships.write([record("BEFORE")])[0])[1] is Outcome.MIRRORED
    writing.close()
    calls: list[float] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as dead, monkeypatch.context() as patch:
        port = dead.getsockname()[1]
        counting = threading.Thread(target=hang_up, args=(dead, calls), daemon=True)
        counting.start()
        move(Store.REGISTRY, port, patch)
        for n in range(20):
            (told,) = memberships.write([record(f"S{n}")])
            assert outcomes(told) == (Outcome.WRITTEN, Outcome.PENDING)
            if n == 10:
                eventually(lambda: not breaker_of(Store.REGISTRY).is_closed(), 20)
                writing.lane.close()  # what was under way then has ended
                reached = len(calls)
        assert len(calls) == reached, "the mirror was reached for although its breaker is open"
        assert "could not be reached" in told.stores[Store.REGISTRY].error
        row = stream_status(memberships)
        assert row["breaker"]["state"] == "open"
        assert "breaker" in [gate["gate"] for gate in row["blocked_by"]]
        writing.close()
    assert len(noted(screener)) == 20
    worker.drain(memberships)
    assert len(mirrored(registry)) == 21


def hang_up(server: socket.socket, calls: list[float]) -> None:
    """A server that is there and takes no connection."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        calls.append(time.monotonic())
        connection.close()


def test_a_mirror_that_is_back_is_found_by_one_write_which_does_not_wait(memberships: Stream, no_pause: None) -> None:
    enabled(memberships)
    failed(breaker_of(Store.REGISTRY), 3)
    (told,) = memberships.write([record("TRIES")])
    assert (
        told.stores[Store.REGISTRY].error
        == "the registry store is tried again by this write, which does not wait for it"
    )
    eventually(breaker_of(Store.REGISTRY).is_closed, 20)
    assert outcomes(memberships.write([record("AFTER")])[0]) == (Outcome.WRITTEN, Outcome.MIRRORED)


def test_what_is_set_wrong_fails_no_write_that_was_made(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch, long_pause: None
) -> None:
    enabled(memberships)
    monkeypatch.setenv(FAILURES, "many")
    monkeypatch.setattr(settings, "REDIS_URL", "no address")
    with monkeypatch.context() as patch:
        move(Store.REGISTRY, CLOSED_PORT, patch)
        for n in range(10):
            assert outcomes(memberships.write([record(f"S{n}")])[0]) == (Outcome.WRITTEN, Outcome.PENDING)
        eventually(lambda: not breaker_of(Store.REGISTRY).is_closed(), 20)
        assert not breaker_of(Store.REGISTRY).report()["shared"]


def test_a_paused_stream_closes_it_when_both_stores_are_reached(memberships: Stream, no_pause: None) -> None:
    enabled(memberships)
    pause(memberships, TESTER)
    failed(breaker_of(Store.REGISTRY), 3)
    memberships.write([record("TRIES")])
    eventually(breaker_of(Store.REGISTRY).is_closed, 20)
    assert outcomes(memberships.write([record("AFTER")])[0])[1] is Outcome.PAUSED


def test_the_relay_closes_it_when_it_is_through_again(
    screener: Session, memberships: Stream, long_pause: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    lane = worker.Lane(memberships)
    with monkeypatch.context() as patch:
        move(Store.REGISTRY, CLOSED_PORT, patch)
        lane.step()
        assert lane.said
    failed(breaker_of(Store.REGISTRY), 3)
    lane.try_again_at = 0.0
    lane.step()
    lane.close()
    assert breaker_of(Store.REGISTRY).is_closed()


def test_health_and_metrics_tell_of_it(memberships: Stream, long_pause: None) -> None:
    enabled(memberships)
    failed(breaker_of(Store.REGISTRY), 3)
    with relay_at_work(memberships):
        details = check_named("dualWrite").run()
        assert details[memberships.name]["breaker"] == "open"
    page = {sample.labels["stream"]: sample.value for sample in shown()}
    assert page[memberships.name] == 1.0
    breaker.reset(present())
    assert {sample.value for sample in shown()} == {0.0}


def shown() -> list[Sample]:
    """The samples of its metric."""
    snapshot = take(Snapshot({}, (), False, 0.0))
    found = [
        one for one in families(snapshot, time.monotonic()) if one.name == "registry_dualwrite_mirror_breaker_open"
    ]
    return list(found[0].samples)


def test_all_breakers_are_closed_by_the_emergency_reset(stores: None, long_pause: None) -> None:
    failed(breaker_of(Store.REGISTRY), 3)
    assert keep.claim(0)
    keep.failed("it does not answer")
    assert told_by_reset() == ("closed: the registry store as a mirror", "it is asked again at the next look")
    assert breaker_of(Store.REGISTRY).is_closed()
    assert ConfigSource.objects.get().failures == 0
    assert keep.claim(30), "it may be asked at once"
    assert told_by_reset() == ("none was open", "it was not left alone")
    assert Audit.objects.filter(verb="emergency reset").count() == 2


def told_by_reset() -> tuple[str, str]:
    """What the emergency reset says of the breakers of the mirror, and of the config service's."""
    found = {step.step: step.sentence for step in emergency.reset(TESTER).steps}
    return found["mirror breakers"], found["config service"]


def test_at_off_there_is_no_breaker_to_show(memberships: Stream) -> None:
    assert stream_status(memberships)["breaker"] is None
    assert breaker_of(Store.REGISTRY).report()["state"] == Position.CLOSED
