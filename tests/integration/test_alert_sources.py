"""What is measured is measured from the real stores and rows; what cannot be is unknown, never fine."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from dualwrite.control.pause import pause
from dualwrite.models import (
    AlertEvaluation,
    ConfigSource,
    DrillRun,
    Measure,
    ParkedKey,
    RetentionBackup,
    RetentionPolicy,
    RetentionRun,
    ValidationRun,
)
from dualwrite.monitoring.alerts.evaluation import evaluate
from dualwrite.monitoring.alerts.seeds import seed
from dualwrite.monitoring.alerts.sources import (
    applying,
    canaries,
    components,
    configuration,
    measured,
    retention,
    standing,
    stores,
    validations,
)
from dualwrite.monitoring.alerts.sources.every import every
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.monitoring.health import Result
from dualwrite.monitoring.status import Status
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.integration.moving import relay_at_work
from tests.support import add, enabled, tampered

pytestmark = pytest.mark.usefixtures("stores")
Values = dict[tuple[Measure, str], float | None]


def values(samples: list[Sample]) -> Values:
    return {(one.measure, one.subject): one.value for one in samples}


def test_a_stream_that_follows_is_measured(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    add(screener, "TCS")
    ParkedKey.objects.create(stream="index_memberships", key='["a","b"]', error="x")
    found = values(standing.standing())
    assert found[Measure.PARKED, "index_memberships"] == 1
    assert (found[Measure.LAG, "index_memberships"] or 0) > 0
    assert (Measure.LAG, "instruments") not in found, "nothing is to be relayed of a stream that is off"


def test_a_store_that_is_away_makes_it_unknown(memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled(memberships)
    move(Store.SCREENER, CLOSED_PORT, monkeypatch)
    found = values(measured([standing.STANDING, standing.TRIGGERS, stores.STORES, stores.CLOCKS, validations.SOURCE]))
    assert found[Measure.LAG, "index_memberships"] is None
    assert found[Measure.OLDEST_PENDING, "index_memberships"] is None
    assert found[Measure.CAPTURE_BROKEN, "index_memberships in screener"] is None
    assert found[Measure.CAPTURE_BROKEN, "index_memberships in registry"] == 0
    assert found[Measure.WENT_BACK, "*"] is None
    assert found[Measure.CLOCK_SKEW, "screener"] is None
    assert found[Measure.CLOCK_SKEW, "registry"] is not None
    assert found[Measure.MATCH, "*"] is None


def test_a_trigger_that_is_gone_or_switched_off_is_found(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    assert values(standing.triggers())[Measure.CAPTURE_BROKEN, "index_memberships in screener"] == 0
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER USER")
    assert values(standing.triggers())[Measure.CAPTURE_BROKEN, "index_memberships in screener"] == 1


def test_validations_tell_their_verdict_their_age_and_how_much_is_equal(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    assert validations.validations() == []
    for symbol in ("TCS", "INFY", "WIPRO"):
        add(screener, symbol)
    enabled(memberships)
    found = values(validations.validations())
    assert found[Measure.VALIDATION_FAILED, "index_memberships"] is None
    assert found[Measure.MATCH, "index_memberships"] is None
    assert (found[Measure.VALIDATION_AGE, "index_memberships"] or 0) < 60, "it waits since it was enabled"

    validate(memberships)
    found = values(validations.validations())
    assert found[Measure.VALIDATION_FAILED, "index_memberships"] == 0
    assert found[Measure.MATCH, "index_memberships"] == 100
    ValidationRun.objects.update(finished_at=timezone.now() - timedelta(hours=3))
    assert (values(validations.validations())[Measure.VALIDATION_AGE, "index_memberships"] or 0) > 10_000

    tampered(registry, "DELETE FROM index_memberships WHERE instrument_key = 'NSE:TCS'")
    validate(memberships)
    found = values(validations.validations())
    assert found[Measure.VALIDATION_FAILED, "index_memberships"] == 1
    assert round(found[Measure.MATCH, "index_memberships"] or 0) == 67


def test_a_stream_that_stands_still_is_not_to_be_validated_nor_tried(screener: Session, memberships: Stream) -> None:
    add(screener, "TCS")
    enabled(memberships)
    pause(memberships, TESTER)
    assert validations.validations() == []
    assert canaries.source(memberships).ask() == []


def test_the_canary_is_lost_when_a_write_is_not_noted_and_unknown_while_nobody_relays(
    screener: Session, memberships: Stream
) -> None:
    assert canaries.source(memberships).ask() == []
    enabled(memberships)
    add(screener, "TCS")
    (unseen,) = canaries.source(memberships).ask()
    assert unseen.value is None
    assert "no relay" in unseen.why, "the rule about the relay tells that"
    with relay_at_work(memberships):
        (found,) = canaries.source(memberships).ask()
    assert (found.value, found.why) == (0, "")
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER USER")
    (lost,) = canaries.source(memberships).ask()
    assert lost.value == 1
    assert "was not noted" in lost.why


def test_an_empty_table_is_no_proof_of_the_canary(memberships: Stream) -> None:
    enabled(memberships)
    with relay_at_work(memberships):
        (found,) = canaries.source(memberships).ask()
    assert found.value is None


def policy(**fields: Any) -> RetentionPolicy:
    approved = {"approved_at": timezone.now() - timedelta(hours=40), "approved_by": "jane"}
    usual = {"name": "audit", "table": "audit_log", "action": "delete", "date": "at"}
    return RetentionPolicy.objects.create(**{**usual, **approved, **fields})


def ran(status: str, hours: float = 0) -> RetentionRun:
    when = timezone.now() - timedelta(hours=hours)
    return RetentionRun.objects.create(
        stream="audit_log", policy="audit", status=status, dry_run=False, actor="a", finished_at=when, error="broken"
    )


def test_retention_tells_its_failures_and_its_age() -> None:
    policy()
    policy(name="unapproved", approved_at=None)
    found = values(retention.retention())
    assert found[Measure.RETENTION_FAILED, "audit"] == 0
    assert (found[Measure.RETENTION_AGE, "audit"] or 0) > 39 * 3600
    assert {subject for _, subject in found} == {"audit"}
    ran("complete", 1)
    assert round(values(retention.retention())[Measure.RETENTION_AGE, "audit"] or 0) == 3600
    ran("error")
    assert values(retention.retention())[Measure.RETENTION_FAILED, "audit"] == 1
    ran("running")
    assert values(retention.retention())[Measure.RETENTION_FAILED, "audit"] == 1


def test_a_drill_that_failed_or_a_backup_that_is_broken_is_told() -> None:
    assert retention.drills() == []
    DrillRun.objects.create(stream="all", status="passed", actor="a")
    assert retention.drills()[0].value == 0
    DrillRun.objects.create(stream="all", status="failed", actor="a", error="1 of 1")
    assert retention.drills()[0].value == 1
    DrillRun.objects.create(stream="all", status="passed", actor="a")
    RetentionBackup.objects.create(
        policy="audit",
        table="audit_log",
        location="x",
        manifest_sha256="x",
        rows=1,
        bytes=1,
        state="broken",
        expires_at=timezone.now(),
    )
    assert retention.drills()[0].value == 1


def test_the_config_service_is_told_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CONFIG_SERVICE_URL", "")
    assert configuration.fallback() == []
    monkeypatch.setattr(settings, "CONFIG_SERVICE_URL", "http://127.0.0.1:9")
    assert configuration.fallback()[0].value is None
    ConfigSource.objects.create(pk=1, asked_at=timezone.now())
    assert configuration.fallback()[0].value == 0
    ConfigSource.objects.update(failures=2, error="away")
    assert configuration.fallback()[0].value == 1
    ConfigSource.objects.update(failures=0, wrong={"BATCH_SIZE": "no number"})
    assert "BATCH_SIZE" in configuration.fallback()[0].why


def test_the_share_of_failed_keys_is_counted_from_the_evaluation_before(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    assert {one.value for one in applying.applying()} == {None}
    evaluate(sources=lambda: [])
    assert values(list(applying.applying()))[Measure.APPLY_ERRORS, "index_memberships"] == 0
    ParkedKey.objects.create(stream="index_memberships", key='["a","b"]', error="x")
    assert values(list(applying.applying()))[Measure.APPLY_ERRORS, "index_memberships"] == 100
    AlertEvaluation.objects.update(relayed={"index_memberships": 10**9})
    assert values(list(applying.applying()))[Measure.APPLY_ERRORS, "index_memberships"] is None


def test_a_store_that_went_back_is_told_and_one_that_cannot_be_asked_is_unknown(
    memberships: Stream, registry: Session
) -> None:
    assert stores.pair()[0].value == 0, "nobody has paired them yet"
    enabled(memberships)
    assert stores.pair()[0].value == 0
    registry.execute("UPDATE dualwrite.stream_state SET epoch = epoch - 1 WHERE stream = 'index_memberships'")
    (found,) = stores.pair()
    assert found.value == 1, found.why
    registry.execute("DROP SCHEMA dualwrite CASCADE")
    assert stores.pair()[0].value is None


@pytest.mark.parametrize(("apart", "word"), [("1 hour", "ahead"), ("-1 hour", "behind")])
def test_a_clock_that_is_off_is_told_with_its_store(apart: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all((one.value if one.value is not None else 9.0) < 5 for one in stores.clocks())
    monkeypatch.setattr(stores, "statement", lambda *_: f"SELECT clock_timestamp() + interval '{apart}'")
    found = stores.clocks()
    assert {one.subject for one in found} == {"screener", "registry"}
    assert all(3590 < (one.value or 0) < 3610 and word in one.why for one in found)


def test_components_are_told_as_the_checks_find_them() -> None:
    found = values(
        components.from_results(
            [
                Result("relay", Status.DOWN, 0.1, "start it", {"error": "no relay"}),
                Result("redis", Status.UP, 2.5, ""),
                Result("dualWrite", Status.UNKNOWN, 0.1, "", {"error": "away"}),
            ]
        )
    )
    assert found[Measure.RELAY_FAILING, "relay"] == 1
    assert (Measure.COMPONENT_DOWN, "relay") not in found, "it would be told twice"
    assert (found[Measure.COMPONENT_DOWN, "redis"], found[Measure.RESPONSE, "redis"]) == (0, 2.5)
    assert found[Measure.COMPONENT_DOWN, "dualWrite"] is None
    assert (Measure.RESPONSE, "relay") not in found, "that it is down is told already"


def test_every_measurement_has_a_source_and_all_of_them_answer() -> None:
    sources = every()
    assert {measure for one in sources for measure in one.measures} | {Measure.UNKNOWN} == set(Measure)
    seed()
    done = evaluate()
    assert {one.measure for one in done.samples} <= set(Measure)
    assert not [one for one in done.samples if one.subject == "*"], "a source could not answer at all"
