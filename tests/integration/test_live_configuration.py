"""Parameters change while everything runs; a config service that is away, slow or wrong changes nothing."""

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from prometheus_client.samples import Sample

from dualwrite import switch
from dualwrite.configuration import keep, push
from dualwrite.configuration.fetch import Service, fetch
from dualwrite.configuration.load import Loader
from dualwrite.configuration.overriding import override, take_back
from dualwrite.configuration.refresh import Refresher, first_look, look
from dualwrite.configuration.report import report
from dualwrite.exceptions import InvalidParameter, UsageError
from dualwrite.models import Audit, ConfigSource, ParameterChange, ParameterKnown
from dualwrite.monitoring.checks import check_named
from dualwrite.monitoring.collector import families
from dualwrite.monitoring.exceptions import Down
from dualwrite.monitoring.snapshot import Snapshot, take
from dualwrite.parameters import (
    BATCH_SIZE,
    DUAL_WRITE_ENABLED,
    MAX_LAG_SECONDS,
    PREFIX,
    Origin,
    Texts,
    all_parameters,
    put,
)
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from ops.config_service import StandIn, serve
from tests.integration.moving import eventually
from tests.support import at_work, enabled

OPERATOR = Actor("jane", "for the test")
KEY = "a key for the tests"


@pytest.fixture(autouse=True)
def forgotten(stores: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(BATCH_SIZE.variable, raising=False)
    yield
    put(Texts())


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A config service that says a batch size of 77."""
    with serve(StandIn(key=KEY, values={f"{PREFIX}BATCH_SIZE": "77"})) as found:
        monkeypatch.setattr(settings, "CONFIG_SERVICE_URL", found.url)
        monkeypatch.setattr(settings, "INTERNAL_API_KEY", KEY)
        yield found


def due() -> None:
    """The service may be asked again."""
    ConfigSource.objects.update_or_create(pk=1, defaults={"ask_at": timezone.now() - timedelta(seconds=1)})


def asked_again(limit: float = 2.0) -> None:
    due()
    assert look(Loader(), limit=limit)


def test_what_the_service_says_counts_and_is_kept_with_its_history(service: StandIn) -> None:
    assert look(Loader())

    assert (BATCH_SIZE.value(), BATCH_SIZE.reading().origin) == (77, Origin.CONFIG_SERVICE)
    service.values[f"{PREFIX}BATCH_SIZE"] = 78
    asked_again()
    assert BATCH_SIZE.value() == 78
    del service.values[f"{PREFIX}BATCH_SIZE"]
    asked_again()
    assert BATCH_SIZE.reading().origin is Origin.DEFAULT
    changes = ParameterChange.objects.order_by("id").values_list("before", "after", "by")
    assert list(changes) == [
        (None, "77", "config service"),
        ("77", "78", "config service"),
        ("78", None, "config service"),
    ]


@pytest.mark.parametrize("mood", ["down", "slow", "wrong"])
def test_while_it_is_away_what_it_said_last_counts_and_that_is_told_once(
    service: StandIn, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert look(Loader())
    caplog.clear()
    service.mood = mood
    service.values[f"{PREFIX}BATCH_SIZE"] = "5"

    with caplog.at_level(logging.INFO, logger="dualwrite"):
        for _ in range(6):  # a machine that is pressed may not come to each of them
            asked_again(limit=0.3)
            if (source := ConfigSource.objects.get()).failures == 3:
                break
        put(Texts())
        assert Loader().load(), "a process that starts now has it as well"
        assert BATCH_SIZE.value() == 77
        service.mood = "well"
        service.woken.set()
        asked_again()

    assert source.failures == 3
    assert BATCH_SIZE.value() == 5
    told = [record.getMessage() for record in caplog.records if "service" in record.getMessage()]
    assert len(told) == 3, told
    assert told[0].startswith("The config service does not answer as agreed, so its last good values count")
    assert told[1:] == ["the config service answers again", "the config service changed BATCH_SIZE"]
    assert KEY not in caplog.text


def test_a_service_that_is_not_there_is_asked_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CONFIG_SERVICE_URL", "http://127.0.0.1:9")
    waits = []
    for _ in range(4):
        asked_again()
        waits.append((ConfigSource.objects.get().ask_at - timezone.now()).total_seconds())

    assert [round(wait) for wait in waits] == [2, 4, 8, 16]
    assert report()["config_service"]["state"] == "open"
    assert look(Loader())
    assert ConfigSource.objects.get().failures == 4, "it was asked before its time"


def test_health_and_metrics_tell_that_it_is_away(service: StandIn) -> None:
    look(Loader())
    assert check_named("configService").run()["configured"]
    service.mood = "down"
    asked_again()

    with pytest.raises(Down, match="answered 503"):
        check_named("configService").run()
    page = "\n".join(str(sample) for sample in sampled())
    assert "'source': 'config-service'" in page
    assert [sample.value for sample in sampled()] == [1.0]


def sampled() -> list[Sample]:
    """Of the metrics, what tells of the fallback."""
    found = families(take(Snapshot({}, (), False, 0.0)), time.monotonic())
    return [sample for family in found if family.name == "registry_config_fallback" for sample in family.samples]


def test_of_many_processes_one_asks(service: StandIn) -> None:
    together = threading.Barrier(5)

    def one() -> bool:
        together.wait(timeout=20)
        return keep.claim(30)

    due()
    claims = []
    with at_work(one) as a, at_work(one) as b, at_work(one) as c, at_work(one) as d:
        together.wait(timeout=20)
        claims = [work.result(timeout=20) for work in (a, b, c, d)]

    assert sorted(claims) == [False, False, False, True]


def test_one_wrong_value_keeps_its_last_good_one_and_the_others_change(service: StandIn) -> None:
    assert look(Loader())
    service.values |= {f"{PREFIX}BATCH_SIZE": "hunter2", f"{PREFIX}MAX_LAG_SECONDS": "9"}

    asked_again()

    assert (BATCH_SIZE.value(), MAX_LAG_SECONDS.value()) == (77, 9)
    assert list(ConfigSource.objects.get().wrong) == ["BATCH_SIZE"]
    assert "hunter2" not in str(report()), "what a service for secrets says is shown nowhere until it is a value"


def test_every_parameter_is_asked_for_once_with_the_key_and_the_environment(service: StandIn) -> None:
    service.environment = "staging"
    found = fetch(Service(service.url, KEY, "staging"), all_parameters())
    assert service.asked == len(all_parameters()) == len(found.texts)
    assert found.texts["BATCH_SIZE"] == "77"
    assert fetch(Service(service.url, KEY, "production"), all_parameters()).texts["BATCH_SIZE"] is None


def test_what_an_operator_sets_counts_at_once_is_audited_and_can_be_taken_back() -> None:
    done = override("INSTRUMENT_REGISTRY_BATCH_SIZE", " 12 ", OPERATOR)

    assert (done.change.before, done.change.after, done.reading.value) == (None, "12", 12)
    assert (BATCH_SIZE.value(), BATCH_SIZE.reading().origin) == (12, Origin.OVERRIDE)
    override("batch_size", "13", OPERATOR)
    assert take_back("BATCH_SIZE", OPERATOR).reading.origin is Origin.DEFAULT
    changes = ParameterChange.objects.order_by("id").values_list("before", "after", "by", "reason")
    assert list(changes) == [
        (None, "12", "jane", "for the test"),
        ("12", "13", "jane", "for the test"),
        ("13", None, "jane", "for the test"),
    ]
    assert Audit.objects.filter(verb="set parameter").count() == 3


def test_a_wrong_value_or_no_reason_is_refused_and_changes_nothing() -> None:
    with pytest.raises(InvalidParameter, match="valid: a number from 1 to 100000"):
        override("BATCH_SIZE", "0", OPERATOR)
    with pytest.raises(UsageError, match="needs a reason"):
        override("BATCH_SIZE", "5", Actor("jane"))
    assert not ParameterChange.objects.exists()


def test_another_process_sees_a_change_by_word_through_redis() -> None:
    ear = push.Ear()
    assert ear.wait(0.1)
    refresher = Refresher()
    refresher.start()
    try:
        eventually(lambda: BATCH_SIZE.value() == 10_000)
        ParameterKnown.objects.create(name="BATCH_SIZE", value="44")
        push.tell()
        eventually(lambda: BATCH_SIZE.value() == 44, seconds=4)
    finally:
        refresher.stop()
        ear.close()


def test_without_redis_a_change_is_seen_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setattr("dualwrite.configuration.refresh.LOOK_SECONDS", 0.1)
    refresher = Refresher()
    refresher.start()
    try:
        override("BATCH_SIZE", "21", OPERATOR)
        put(Texts())
        eventually(lambda: BATCH_SIZE.value() == 21, seconds=5)
    finally:
        refresher.stop()


def test_a_process_whose_registry_is_away_has_what_is_in_memory_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    override("BATCH_SIZE", "21", OPERATOR)
    loader = Loader()
    with monkeypatch.context() as away:
        away.setattr("dualwrite.configuration.load.ParameterKnown.objects.values_list", _away)
        assert not loader.load()
        assert not loader.load()
    assert BATCH_SIZE.value() == 21
    assert loader.load()
    told = [r.getMessage() for r in caplog.records if "live parameters" in r.getMessage()]
    assert len(told) == 1 + (logging.getLogger("dualwrite").isEnabledFor(logging.INFO))


def _away(*_: object) -> None:
    from django.db import OperationalError

    raise OperationalError("connection refused")


def test_from_true_to_false_in_the_service_disables_every_stream_with_a_reason(
    service: StandIn, memberships: Stream, instruments: Stream
) -> None:
    enabled(memberships)
    enabled(instruments)
    service.values[DUAL_WRITE_ENABLED.variable] = "true"
    look(Loader())
    assert all(switch.authority(stream).capture for stream in (memberships, instruments))

    service.values[DUAL_WRITE_ENABLED.variable] = "false"
    asked_again()

    assert not any(switch.authority(stream).capture for stream in (memberships, instruments))
    row = Audit.objects.filter(verb="disable").first()
    assert row is not None
    assert (row.actor, row.reason) == ("config service", "DUAL_WRITE_ENABLED became false (config-service)")


def test_false_said_for_the_first_time_leaves_running_streams_alone(service: StandIn, memberships: Stream) -> None:
    enabled(memberships)
    service.values[DUAL_WRITE_ENABLED.variable] = "false"
    asked_again()
    assert not DUAL_WRITE_ENABLED.value()
    assert switch.authority(memberships).capture


def test_an_operators_false_is_the_kill_switch_too(memberships: Stream) -> None:
    enabled(memberships)

    done = override("DUAL_WRITE_ENABLED", "false", OPERATOR)

    assert done.failed == ()
    assert not switch.authority(memberships).capture


def test_a_command_does_not_wait_for_a_service_that_hangs(service: StandIn) -> None:
    service.mood = "slow"
    before = timezone.now()
    first_look(0.3)
    assert timezone.now() - before < timedelta(seconds=3)


def test_the_stand_in_is_told_to_misbehave_over_its_own_address(service: StandIn) -> None:
    def put_to(path: str, body: object) -> int:
        data = json.dumps(body).encode()
        asked = urllib.request.Request(  # noqa: S310  the stand-in's own address
            f"{service.url}{path}", data=data, method="PUT"
        )
        try:
            with urllib.request.urlopen(asked) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as exc:
            return exc.code

    assert put_to("/stand-in/mood", {"mood": "down"}) == 200
    assert service.mood == "down"
    assert put_to("/stand-in/mood", {"mood": "cross"}) == 400
    assert put_to("/stand-in/values/X", {"value": "1"}) == 200
    assert service.values["X"] == "1"
