"""Alerts in the admin: quietened with a reason, never edited; rules and channels are edited and audited."""

import pytest
from django.contrib.messages import get_messages
from django.core import mail
from django.test import Client

from dualwrite.models import Alert, AlertChange, AlertChannel, AlertRule, Audit
from tests.integration.admin_site import OPERATE, Operator
from tests.integration.alerting import evaluated, lag, one_open, receiving, rule, webhook

SITE = "/admin/dualwrite/"
SEEN = ("view_alert", "view_alertrule", "view_alertchannel", "view_alertchange", "view_alertdelivery")
RULE = {
    "name": "slow",
    "measure": "lag",
    "comparison": "above",
    "threshold": "5",
    "for_seconds": "60",
    "cool_down_seconds": "60",
    "severity": "info",
    "runbook": "lag",
    "enabled": "on",
}
CHANNEL = {"name": "team", "kind": "email", "payload": "json", "least_severity": "info", "enabled": "on"}


@pytest.fixture
def operator(stores: None) -> Client:
    return Operator(*SEEN, OPERATE).client


@pytest.fixture
def firing(stores: None) -> int:
    rule()
    evaluated(0, lag(61))
    return int(one_open().pk)


def does(client: Client, action: str, number: int, model: str = "alert", **fields: str) -> str:
    """Choose the row, do the action; the messages of the page that follows."""
    sent = {"action": action, "_selected_action": [str(number)], **fields}
    answer = client.post(f"{SITE}{model}/", sent, follow=True)
    return "; ".join(str(message) for message in get_messages(answer.wsgi_request) or answer.context["messages"])


def test_an_alert_is_shown_with_its_history_and_cannot_be_edited(operator: Client, firing: int) -> None:
    page = operator.get(f"{SITE}alert/{firing}/change/").content.decode()
    assert "lag 61, above 60" in page
    assert 'name="_save"' not in page
    assert operator.get(f"{SITE}alert/add/").status_code == 403
    assert operator.post(f"{SITE}alert/{firing}/delete/", {"post": "yes"}).status_code == 403
    assert "memberships" in operator.get(f"{SITE}alert/", {"q": "lag"}).content.decode()


def test_acknowledging_needs_a_reason(operator: Client, firing: int) -> None:
    assert "needs a reason" in does(operator, "acknowledge", firing, reason=" ")
    assert Alert.objects.get().state == "firing"
    assert "is acknowledged" in does(operator, "acknowledge", firing, reason="on it")
    change = AlertChange.objects.latest("id")
    assert (change.by, change.reason, change.after) == ("anna", "on it", "acknowledged")


def test_silencing_needs_a_time_and_a_reason(operator: Client, firing: int) -> None:
    assert "longer than nothing" in does(operator, "silence", firing, reason="known")
    does(operator, "silence", firing, reason="known", hours="x")
    assert Alert.objects.get().state == "firing"
    assert "needs a reason" in does(operator, "silence", firing, hours="4")
    assert "is silenced" in does(operator, "silence", firing, reason="known", hours="4")
    assert Alert.objects.get().silenced_until is not None


def test_who_may_only_look_quietens_and_edits_nothing(stores: None, firing: int) -> None:
    client = Operator(*SEEN, name="bob").client
    does(client, "acknowledge", firing, reason="x")
    assert Alert.objects.get().state == "firing"
    assert client.post(f"{SITE}alertrule/add/", RULE).status_code == 403
    assert client.post(f"{SITE}alertchannel/add/", {**CHANNEL, "address": "a@example.com"}).status_code == 403


def test_a_rule_is_edited_and_the_audit_says_by_whom_and_what(operator: Client) -> None:
    assert operator.post(f"{SITE}alertrule/add/", RULE).status_code == 302
    number = AlertRule.objects.get().pk
    assert operator.post(f"{SITE}alertrule/{number}/change/", {**RULE, "threshold": "9"}).status_code == 302
    row = Audit.objects.filter(verb="change alert rule").latest("id")
    assert row.actor == "anna"
    assert row.evidence is not None
    assert (row.evidence["name"], row.evidence["changed"]) == ("slow", {"threshold": [5.0, 9.0]})
    page = operator.get(f"{SITE}alertrule/").content.decode()
    assert "seconds" in page
    assert operator.post(f"{SITE}alertrule/{number}/delete/", {"post": "yes"}).status_code == 403


def test_a_channel_names_a_variable_and_never_has_a_secret(operator: Client) -> None:
    hook = {**CHANNEL, "kind": "webhook", "address": "https://example.com/hook"}
    page = operator.post(f"{SITE}alertchannel/add/", {**hook, "secret_variable": "hunter2"}).content.decode()
    assert "ALERT_ and upper case." in page
    assert (
        "A webhook needs a URL" in operator.post(f"{SITE}alertchannel/add/", {**hook, "address": "x"}).content.decode()
    )
    page = operator.post(f"{SITE}alertchannel/add/", {**CHANNEL, "address": ""}).content.decode()
    assert "needs an address" in page
    assert operator.post(f"{SITE}alertchannel/add/", {**hook, "secret_variable": "ALERT_KEY"}).status_code == 302
    assert Audit.objects.filter(verb="change alert channel").exists()


def test_a_channel_is_tried_and_counts_as_mended_when_it_takes_the_message(operator: Client) -> None:
    with receiving(status=500) as receiver:
        channel = webhook(receiver.url, failures=4)
        assert "the receiver answered 500" in does(operator, "try_out", channel.pk, "alertchannel")
        assert AlertChannel.objects.get().failures == 4
        receiver.status = 200
        assert "hook took a message." in does(operator, "try_out", channel.pk, "alertchannel")
    assert AlertChannel.objects.get().failures == 0
    assert not mail.outbox
