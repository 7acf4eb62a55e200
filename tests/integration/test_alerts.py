"""Rules against a real database: what is found is kept once, whoever evaluates, and people can quieten it."""

import threading
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, connections

from config.celery import app
from dualwrite.exceptions import Refused, StoreUnreachable, UnknownName, UsageError
from dualwrite.models import Alert, AlertChange, AlertChannel, AlertDelivery, AlertEvaluation, AlertRule, Measure
from dualwrite.monitoring.alerts import evaluation, keep
from dualwrite.monitoring.alerts.evaluation import evaluate
from dualwrite.monitoring.alerts.operate import acknowledge, silence
from dualwrite.monitoring.alerts.report import firing, report
from dualwrite.monitoring.alerts.seeds import CHANNELS, RULES, seed
from dualwrite.monitoring.alerts.sources import Source
from dualwrite.monitoring.alerts.states import Open, Sample
from dualwrite.stages import Store
from dualwrite.switch import Actor
from dualwrite.tasks import check_monitoring
from tests.integration.alerting import at, evaluated, lag, one_open, rule, says, states
from tests.integration.away import CLOSED_PORT, move
from tests.support import at_work

pytestmark = pytest.mark.usefixtures("stores")
JANE = Actor("jane", "I look at it")


def history() -> list[tuple[str, str, str]]:
    return list(AlertChange.objects.order_by("id").values_list("before", "after", "by"))


def test_from_the_first_bad_value_to_the_end_every_change_is_kept() -> None:
    rule(for_seconds=100, cool_down_seconds=50)
    evaluated(0, lag(61))
    evaluated(100, lag(70))
    evaluated(150, lag(0))
    evaluated(200, lag(0))

    assert states() == [("memberships", "resolved")]
    assert history() == [
        ("", "pending", "evaluation"),
        ("pending", "firing", "evaluation"),
        ("firing", "resolved", "evaluation"),
    ]
    alert = Alert.objects.get()
    assert (alert.since, alert.fired_at, alert.resolved_at) == (at(0), at(100), at(200))
    assert AlertChange.objects.earliest("id").reason == "lag 61, above 60"


def test_two_evaluations_at_once_open_one_alert_and_tell_it_once() -> None:
    rule()
    AlertChannel.objects.create(name="log", kind="log")
    together = threading.Barrier(4)

    def one() -> None:
        def measured() -> list[Sample]:
            together.wait(timeout=20)
            return [lag(61, f"s{number}") for number in range(5)]

        evaluate(at(0), lambda: [Source(f"test {threading.get_ident()}", (Measure.LAG,), measured)])

    with at_work(one) as a, at_work(one) as b, at_work(one) as c, at_work(one) as d:
        for work in (a, b, c, d):
            work.result(timeout=60)

    assert sorted(states()) == [(f"s{number}", "firing") for number in range(5)]
    assert len(history()) == 5
    assert AlertDelivery.objects.count() == 5
    assert set(AlertDelivery.objects.values_list("attempts", "state")) == {(1, "sent")}


def test_the_database_itself_keeps_a_second_open_alert_away() -> None:
    found = rule()
    evaluated(0, lag(61))
    with pytest.raises(IntegrityError):
        Alert.objects.create(rule=found, subject="memberships", state="pending", severity="info", since=at(0))


def test_whoever_acknowledges_between_reading_and_storing_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    rule()
    evaluated(0, lag(61))
    read = keep.opened

    def and_then_acknowledged() -> list[Open]:
        found = read()
        acknowledge(one_open().pk, JANE)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(keep, "opened", and_then_acknowledged)
        assert [one for one in evaluated(10, lag(0)).changed if one.changes_state] == []
    assert states() == [("memberships", "acknowledged")]
    assert history()[-1] == ("firing", "acknowledged", "jane")
    evaluated(20, lag(0))
    assert states() == [("memberships", "resolved")]


def test_a_source_that_breaks_or_hangs_is_unknown_and_the_rule_for_that_fires() -> None:
    rule()
    rule("cannot_be_measured", measure=Measure.UNKNOWN, threshold=1, comparison="at_least")
    evaluated(0, lag(61))
    go = threading.Event()

    def hang() -> list[Sample]:
        go.wait(30)
        return []

    evaluate(at(10), lambda: [Source("hanging", (Measure.LAG,), hang, 0.2)])
    go.set()

    assert states() == [("memberships", "firing"), ("lag", "firing")]
    assert Alert.objects.get(subject="lag").why == "*: hanging: no answer within 0.2 s"
    assert report().unknown == [{"measure": "lag", "subject": "*", "why": "hanging: no answer within 0.2 s"}]


def test_acknowledged_and_silenced_with_a_reason_only_and_only_what_fires() -> None:
    rule(for_seconds=50)
    evaluated(0, lag(61))
    number = one_open().pk
    with pytest.raises(Refused, match="is pending"):
        acknowledge(number, JANE)
    evaluated(50, lag(61))
    with pytest.raises(UsageError, match="needs a reason"):
        acknowledge(number, Actor("jane", " "))
    with pytest.raises(UsageError, match="30 days at most"):
        silence(number, timedelta(days=31), JANE)
    with pytest.raises(UnknownName, match=rf"alert '4711'; valid: {number}"):
        acknowledge(4711, JANE)

    assert acknowledge(number, JANE).state == "acknowledged"
    assert silence(number, timedelta(hours=2), JANE).state == "silenced"
    assert history()[-2:] == [("firing", "acknowledged", "jane"), ("acknowledged", "silenced", "jane")]
    assert report().fires == 0
    evaluated(60, lag(0))
    with pytest.raises(Refused, match="is resolved"):
        silence(number, timedelta(hours=2), JANE)


def test_what_was_never_told_is_forgotten_and_what_was_told_is_not() -> None:
    rule(for_seconds=50)
    evaluated(0, lag(61, "short"), lag(61, "long"))
    evaluated(50, lag(0, "short"), lag(61, "long"))
    evaluated(60, lag(0, "short"), lag(0, "long"))
    evaluated(8 * 86400, lag(0))
    assert states() == [("long", "resolved")]


def test_a_removed_or_changed_rule_counts_at_once() -> None:
    found = rule()
    evaluated(0, lag(61))
    AlertRule.objects.filter(pk=found.pk).update(enabled=False)
    evaluated(10, lag(61))
    assert states() == [("memberships", "resolved")]


def test_the_seeds_are_added_once_and_what_operators_changed_stays() -> None:
    seed()
    AlertRule.objects.filter(name="lag").update(threshold=7)
    AlertRule.objects.filter(name="parked_keys").update(enabled=False)
    seed()
    assert AlertRule.objects.count() == len(RULES)
    assert AlertChannel.objects.count() == len(CHANNELS)
    assert AlertRule.objects.get(name="lag").threshold == 7


def test_without_the_registry_it_is_said_loudly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    with pytest.raises(StoreUnreachable):
        check_monitoring()
    assert "alerts cannot be evaluated" in caplog.text


def test_a_registry_that_hangs_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()
    monkeypatch.setattr(evaluation, "LIMIT_SECONDS", 0.3)
    monkeypatch.setattr(keep, "rules", lambda: go.wait(30))
    try:
        with pytest.raises(StoreUnreachable, match=r"no answer within 0\.3 s"):
            check_monitoring()
    finally:
        go.set()
    assert "alerts cannot be evaluated" in caplog.text


def test_a_celery_worker_knows_the_task_by_the_name_that_is_scheduled() -> None:
    app.loader.import_default_modules()
    assert app.tasks["dualwrite.monitoring.check"].run is check_monitoring.run


def test_a_new_registry_begins_with_the_seeds() -> None:
    (file,) = (Path(settings.BASE_DIR) / "dualwrite" / "migrations").glob("*_alerts.py")
    migration = import_module(f"dualwrite.migrations.{file.stem}")
    with connections[Store.REGISTRY.alias].schema_editor() as editor:
        migration.begin(apps, editor)
    assert AlertRule.objects.count() == len(RULES)
    assert list(AlertChannel.objects.values_list("kind", flat=True)) == ["log"]


def test_metrics_are_told_what_fires_and_what_does_not() -> None:
    rule()
    rule("other", severity="info")
    evaluated(0, lag(61, "a"), lag(0, "b"))
    assert firing() == {("lag", "warning"): 1, ("other", "info"): 1}
    silence(Alert.objects.get(rule__name="lag").pk, timedelta(hours=1), JANE)
    assert firing() == {("lag", "warning"): 0, ("other", "info"): 1}


def test_the_report_says_that_nobody_evaluates() -> None:
    assert report().stale
    evaluate(sources=lambda: says(lag(0)))
    assert not report().stale
    AlertEvaluation.objects.update(at=at(-3600))
    assert report().stale
