"""Messages reach real receivers: signed, once, tried again later, and never waited for."""

import json
import time
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from dualwrite.models import AlertChannel, AlertDelivery, Measure
from dualwrite.monitoring.alerts import deliver
from dualwrite.monitoring.alerts.channels import signature
from dualwrite.monitoring.alerts.operate import silence
from dualwrite.switch import Actor
from tests.integration.alerting import at, evaluated, lag, one_open, receiving, rule, webhook
from tests.support import at_work

pytestmark = pytest.mark.usefixtures("stores")


def deliveries() -> list[tuple[str, str, str]]:
    rows = AlertDelivery.objects.order_by("id")
    return list(rows.values_list("channel__name", "event", "state"))


def test_a_webhook_is_told_the_beginning_and_the_end() -> None:
    rule()
    with receiving() as receiver:
        webhook(receiver.url)
        evaluated(0, lag(61))
        evaluated(10, lag(61))
        evaluated(20, lag(0))

    told = [json.loads(body) for _, body in receiver.came]
    assert [one["event"] for one in told] == ["firing", "resolved"]
    assert told[0]["subject"] == "memberships"
    assert deliveries() == [("hook", "firing", "sent"), ("hook", "resolved", "sent")]
    assert signature.SIGNATURE_HEADER not in receiver.came[0][0], "there was no key"


def test_what_was_bad_for_a_moment_is_told_neither_as_bad_nor_as_over() -> None:
    rule(for_seconds=60)
    with receiving() as receiver:
        webhook(receiver.url)
        evaluated(0, lag(61))
        evaluated(30, lag(0))
        assert receiver.came == []


def test_keys_are_changed_without_losing_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    rule()
    with receiving(keys=["new"]) as receiver:
        webhook(receiver.url, secret_variable="ALERT_TEST_KEY")
        monkeypatch.setenv("ALERT_TEST_KEY", "old")
        evaluated(0, lag(61))
        assert deliveries() == [("hook", "firing", "due")]
        assert AlertDelivery.objects.get().error.endswith("the receiver answered 401")

        monkeypatch.setenv("ALERT_TEST_KEY", "old, new")
        evaluated(20, lag(61))
        assert len(receiver.came) == 1, "it was tried before its time"
        evaluated(31, lag(61))
        receiver.keys = ["old"]
        evaluated(40, lag(0))

    assert deliveries() == [("hook", "firing", "sent"), ("hook", "resolved", "sent")]


def test_a_message_for_which_there_is_no_key_is_not_sent_unsigned() -> None:
    rule()
    with receiving() as receiver:
        webhook(receiver.url, secret_variable="ALERT_NOT_THERE")
        evaluated(0, lag(61))
        assert receiver.came == []
    assert "no ALERT_NOT_THERE" in AlertDelivery.objects.get().error


def test_a_secret_address_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    rule()
    monkeypatch.setenv("ALERT_SLACK_URL", "http://127.0.0.1:9/services/hunter2")
    webhook("$ALERT_SLACK_URL", payload="slack")
    evaluated(0, lag(61))
    row = AlertDelivery.objects.get()
    assert "ConnectError" in row.error
    assert "hunter2" not in row.error + AlertChannel.objects.get().error + caplog.text


def test_a_receiver_that_hangs_holds_nobody_up_and_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "LIMIT_SECONDS", 0.5)
    rule()
    with receiving(hangs=True) as hanging, receiving() as well:
        webhook(hanging.url, "hanging")
        webhook(well.url, "well")
        began = time.monotonic()
        evaluated(0, lag(61))
        assert time.monotonic() - began < 5
        assert sorted(deliveries()) == [("hanging", "firing", "due"), ("well", "firing", "sent")]
        hanging.hangs = False
        hanging.go.set()
        evaluated(1000, lag(61))
        evaluated(2000, lag(61))
    assert sorted(deliveries()) == [("hanging", "firing", "sent"), ("well", "firing", "sent")]
    assert len({headers["X-Registry-Delivery"] for headers, _ in hanging.came}) == 1


def test_a_channel_that_is_dead_is_an_alert_over_the_others() -> None:
    rule()
    rule("channel_failing", measure=Measure.CHANNEL_FAILING, threshold=3, comparison="at_least", severity="critical")
    with receiving() as well, receiving(status=500) as dead:
        webhook(well.url, "well")
        webhook(dead.url, "dead")
        for turn in range(5):
            evaluated(turn * 1000, lag(61))
        assert [d for d in deliveries() if d[0] == "dead"] == [("dead", "firing", "due")]
        told = [json.loads(body) for _, body in well.came]
        assert [(one["rule"], one["subject"]) for one in told] == [("lag", "memberships"), ("channel_failing", "dead")]

        dead.status = 200
        evaluated(9000, lag(61))
        evaluated(9010, lag(61))
        assert json.loads(well.came[-1][1])["event"] == "resolved"


def test_what_is_over_before_it_was_told_is_told_as_over_alone() -> None:
    rule()
    with receiving(status=503) as receiver:
        webhook(receiver.url)
        evaluated(0, lag(61))
        receiver.status = 200
        evaluated(10, lag(0))
        assert json.loads(receiver.came[-1][1])["event"] == "resolved"
    assert deliveries() == [("hook", "firing", "overtaken"), ("hook", "resolved", "sent")]


def test_it_is_given_up_after_a_day_and_not_sent_when_the_channel_is_back() -> None:
    rule()
    with receiving(status=503) as receiver:
        webhook(receiver.url)
        evaluated(0, lag(61))
        receiver.status = 200
        evaluated(2 * 86400, lag(61))
        assert len(receiver.came) == 1
    assert deliveries() == [("hook", "firing", "given_up")]


def test_two_senders_send_one_message() -> None:
    rule()
    with receiving(status=503) as receiver:
        webhook(receiver.url)
        evaluated(0, lag(61))
        receiver.status = 200
        with at_work(lambda: deliver.deliver(at(100))) as a, at_work(lambda: deliver.deliver(at(100))) as b:
            found = [a.result(timeout=30), b.result(timeout=30)]
        assert sorted(one.sent for one in found) == [0, 1]
        assert len(receiver.came) == 2


def test_a_redirect_is_not_followed() -> None:
    rule()
    with receiving() as elsewhere, receiving(status=307, location=elsewhere.url) as receiver:
        webhook(receiver.url)
        evaluated(0, lag(61))
        assert len(receiver.came) == 1
        assert elsewhere.came == []
    assert deliveries() == [("hook", "firing", "due")]


def test_channels_take_what_is_urgent_enough_for_them_and_those_switched_off_take_nothing() -> None:
    mail.outbox = []
    rule()
    AlertChannel.objects.create(name="pager", kind="email", address="pager@example.com", least_severity="critical")
    AlertChannel.objects.create(name="off", kind="email", address="off@example.com", enabled=False)
    AlertChannel.objects.create(name="team", kind="email", address="team@example.com")
    evaluated(0, lag(61))
    assert [one.to for one in mail.outbox] == [["team@example.com"]]


def test_a_silence_is_silent_and_its_end_is_told() -> None:
    mail.outbox = []
    rule()
    AlertChannel.objects.create(name="team", kind="email", address="team@example.com")
    evaluated(0, lag(61))
    silence(one_open().pk, timedelta(hours=1), Actor("jane", "known"))
    seconds = (timezone.now() - at(0)).total_seconds()
    evaluated(seconds + 100, lag(99))
    assert len(mail.outbox) == 1
    evaluated(seconds + 3601, lag(99))
    assert len(mail.outbox) == 2
