"""Messages, signatures and the seeds, without any server."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import mail

from dualwrite.models import AlertChannel, AlertRule, Measure, Severity, Unit
from dualwrite.monitoring.alerts.channels import email, logs, send, signature
from dualwrite.monitoring.alerts.channels.message import Message, Way
from dualwrite.monitoring.alerts.channels.payloads import payload
from dualwrite.monitoring.alerts.deliver import LONGEST, wait
from dualwrite.monitoring.alerts.exceptions import NotDelivered
from dualwrite.monitoring.alerts.seeds import CHANNELS, RULES

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRES = Message(
    id=7,
    alert=3,
    rule="lag",
    subject="index_memberships",
    severity="critical",
    event="firing",
    measure="lag",
    value=61.0,
    why="the mirror is 61 s behind <!channel>",
    since=BEGIN,
    fired_at=BEGIN + timedelta(minutes=5),
    resolved_at=None,
    runbook="docs/runbook.md#lag",
)
OVER = Message(**{**vars(FIRES), "event": "resolved", "resolved_at": BEGIN + timedelta(hours=1)})
BODY, NOW = b'{"a": 1}', 1_800_000_000


def signed(*keys: str, at: int = NOW) -> tuple[str, str]:
    found = signature.headers(BODY, keys, at)
    return found[signature.TIMESTAMP_HEADER], found[signature.SIGNATURE_HEADER]


def test_a_signature_is_of_the_key_the_body_and_the_time() -> None:
    stamp, text = signed("old")
    assert signature.is_signed(BODY, ["old"], stamp, text, NOW)
    assert not signature.is_signed(BODY, ["new"], stamp, text, NOW)
    assert not signature.is_signed(BODY + b" ", ["old"], stamp, text, NOW)
    assert not signature.is_signed(BODY, ["old"], str(NOW + 1), text, NOW)
    assert not signature.is_signed(BODY, ["old"], stamp, text, NOW + 301), "an old message is sent again"
    assert not signature.is_signed(BODY, ["old"], "soon", "v1=ü", NOW)
    assert not signature.is_signed(BODY, ["old"], stamp, "v1=ü", NOW)


def test_while_keys_are_changed_either_side_may_go_first() -> None:
    stamp, text = signed("new", "old")
    assert signature.is_signed(BODY, ["old"], stamp, text, NOW)
    assert signature.is_signed(BODY, ["new"], stamp, text, NOW)
    stamp, text = signed("old")
    assert signature.is_signed(BODY, ["new", "old"], stamp, text, NOW)


def test_a_signature_as_any_other_program_would_make_it() -> None:
    _, text = signed("k", at=1)
    # printf '1.{"a": 1}' | openssl dgst -sha256 -hmac k
    by_openssl = "78e29c05cf6b370af0fe381f3e15e43750fa34bb53bdcd22a25d1946b851513f"
    assert text == f"v1={by_openssl}"


def test_alertmanager_is_told_when_it_begins_and_ends() -> None:
    (fires,), (over,) = payload("alertmanager", FIRES), payload("alertmanager", OVER)
    assert fires["labels"] == {
        "alertname": "lag",
        "severity": "critical",
        "subject": "index_memberships",
        "service": "instrument-registry",
    }
    assert fires["labels"] == over["labels"], "labels are what an alert is known by"
    assert fires["startsAt"] == over["startsAt"] == "2026-01-01T12:05:00+00:00"
    assert datetime.fromisoformat(fires["endsAt"]) > BEGIN + timedelta(days=1)
    assert over["endsAt"] == "2026-01-01T13:00:00+00:00"
    assert fires["annotations"]["runbook"] == "docs/runbook.md#lag"


def test_slack_calls_nobody_whom_a_subject_names() -> None:
    found = payload("slack", FIRES)
    assert "<" not in json.dumps(found)
    assert found["text"] == "*[critical] lag: index_memberships*"
    assert payload("slack", OVER)["text"].startswith("*[resolved]")


def test_our_own_payload_says_everything() -> None:
    found: dict[str, Any] = json.loads(json.dumps(payload("json", OVER)))
    assert (found["rule"], found["event"], found["value"]) == ("lag", "resolved", 61.0)
    assert found["resolved_at"] == "2026-01-01T13:00:00+00:00"


def test_an_e_mail_has_one_subject_line_whatever_the_subject_is() -> None:
    odd = Message(**{**vars(FIRES), "subject": "a\nBcc: everybody@example.com"})
    email.send(Way("a@example.com, b@example.com"), odd)
    (sent,) = mail.outbox
    assert sent.to == ["a@example.com", "b@example.com"]
    assert "\n" not in sent.subject
    assert "What to do: docs/runbook.md#lag" in str(sent.body)


@pytest.fixture(autouse=True)
def no_mail() -> None:
    mail.outbox = []


def test_a_mail_server_that_is_away_is_no_secret_but_its_address_is(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 9
    with pytest.raises(NotDelivered, match="ConnectionRefusedError") as caught:
        email.send(Way("a@example.com"), FIRES)
    assert "example.com" not in str(caught.value)


def test_the_log_has_it_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="dualwrite.alerts"):
        logs.send(Way(""), FIRES)
        logs.send(Way(""), OVER)
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL, logging.INFO]


@pytest.mark.parametrize("name", ["SECRET_KEY", "alert_x", "MY_ALERT_KEY", "ALERT_X "])
def test_a_row_can_send_no_other_secret_away(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "a secret")
    for fields in ({"address": f"${name}"}, {"address": "http://127.0.0.1:9", "secret_variable": name}):
        with pytest.raises(NotDelivered, match="is not a variable that a channel may use"):
            send(AlertChannel(name="x", kind="webhook", **fields), FIRES)


def test_a_variable_that_is_not_there_is_named() -> None:
    channel = AlertChannel(name="x", kind="log", secret_variable="ALERT_NOT_THERE")
    with pytest.raises(NotDelivered, match="no ALERT_NOT_THERE"):
        send(channel, FIRES)


@pytest.mark.parametrize("logger", ["httpx", "httpcore"])
def test_the_client_does_not_tell_addresses_whatever_the_log_level(logger: str) -> None:
    assert settings.LOGGING["loggers"][logger]["level"] == "WARNING"


def test_it_is_tried_again_later_and_later() -> None:
    waits = [wait(attempts).total_seconds() for attempts in range(9)]
    assert waits[:4] == [30, 60, 120, 240]
    assert waits == sorted(waits)
    assert wait(10_000) == LONGEST


def test_the_seeds_are_rules_and_channels_as_the_admin_would_take_them() -> None:
    for values in RULES:
        AlertRule(**values).clean_fields()
    for values in CHANNELS:
        AlertChannel(**values).clean_fields()
    assert len({one["name"] for one in RULES}) == len(RULES)
    assert {one["measure"] for one in RULES} == set(Measure.values), "every measurement has a rule"


def test_a_measurement_has_a_meaning_and_a_unit() -> None:
    assert all(measure.label and measure.unit for measure in Measure)
    assert (Measure.LAG.unit, Measure.MATCH.unit, Measure.WENT_BACK.unit) == (
        Unit.SECONDS,
        Unit.PERCENT,
        Unit.YES_OR_NO,
    )


def test_the_most_urgent_reaches_every_channel() -> None:
    assert Severity.CRITICAL.reaches("info")
    assert not Severity.WARNING.reaches("critical")
