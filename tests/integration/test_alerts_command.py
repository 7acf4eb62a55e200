"""`alerts` and GET /actuator/monitoring/alerts."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from dualwrite.models import AlertEvaluation, AlertRule
from dualwrite.monitoring.alerts import evaluation
from dualwrite.monitoring.alerts.sources import Source
from dualwrite.stages import Store
from tests.integration.alerting import at, evaluated, lag, one_open, rule, says
from tests.integration.away import CLOSED_PORT, move

pytestmark = pytest.mark.usefixtures("stores")


def alerts(*words: str) -> tuple[int, str]:
    """Exit code and what it says."""
    told = io.StringIO()
    try:
        call_command("alerts", *words, stdout=told)
    except SystemExit as exc:
        return int(str(exc.code)), told.getvalue()
    except CommandError as exc:
        return exc.returncode, str(exc)
    return 0, told.getvalue()


def test_it_lists_what_fires_with_the_page_that_helps() -> None:
    rule()
    evaluated(0, lag(61), lag(None, "instruments"))
    code, text = alerts()
    assert code == 1
    assert "docs/runbook.md#lag" in text
    assert "? lag of instruments is unknown" in text
    rule("later", for_seconds=60)
    evaluated(10, lag(61))
    assert "! later" not in alerts()[1], "it is pending"
    code, text = alerts("--json")
    data = json.loads(text)
    assert (code, data["firing"], data["alerts"][-1]["subject"]) == (1, 1, "memberships")


def test_nothing_fires_is_0_and_nobody_knows_is_3() -> None:
    rule()
    code, text = alerts()
    assert (code, "nobody has ever evaluated the rules" in text) == (3, True)
    evaluated(0, lag(0))
    assert alerts() == (0, "nothing fires\n")
    AlertRule.objects.update(enabled=False)
    code, text = alerts()
    assert (code, "no rule is switched on" in text) == (3, True)
    AlertRule.objects.update(enabled=True)
    AlertEvaluation.objects.update(at=at(-9999))
    code, text = alerts()
    assert (code, "nobody has evaluated the rules since" in text) == (3, True)


def test_check_evaluates_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Source]:
        return list(says(lag(61)))

    rule()
    monkeypatch.setattr(evaluation.evaluate, "__defaults__", (None, found))
    assert alerts("--check")[0] == 1


def test_it_is_acknowledged_and_silenced_with_a_reason() -> None:
    rule()
    evaluated(0, lag(61))
    number = str(one_open().pk)
    assert alerts("--acknowledge", number)[0] == 2
    code, text = alerts("--acknowledge", number, "--reason", "on it")
    assert (code, text) == (0, f"alert {number} (lag memberships) is acknowledged\n")
    assert alerts()[0] == 1
    code, text = alerts("--silence", number, "--for", "2h", "--reason", "known", "--json")
    assert (code, json.loads(text)["alert"]["state"]) == (0, "silenced")
    assert alerts()[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--acknowledge", "4711", "--reason", "x"),
        ("--silence", "1", "--reason", "x"),
        ("--silence", "1", "--for", "2 hours", "--reason", "x"),
        ("--silence", "1", "--for", "0h", "--reason", "x"),
        ("--for", "2h"),
    ],
)
def test_what_is_no_request_is_2(words: tuple[str, ...]) -> None:
    assert alerts(*words)[0] == 2


def test_the_endpoint_says_the_same(client: Client) -> None:
    rule()
    evaluated(0, lag(61), lag(None, "instruments"))
    answer = client.get("/actuator/monitoring/alerts")
    data: dict[str, Any] = answer.json()
    assert answer.status_code == 200
    assert (data["firing"], data["stale"], data["rules"]) == (1, False, 1)
    assert data["alerts"][0]["runbook"] == "docs/runbook.md#lag"
    assert data["unknown"][0]["subject"] == "instruments"
    assert client.get("/actuator").json()["_links"]["monitoring-alerts"]["href"].endswith("/monitoring/alerts")
    assert client.post("/actuator/monitoring/alerts").status_code == 405


def test_the_endpoint_without_the_registry_is_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    assert client.get("/actuator/monitoring/alerts").status_code == 503
