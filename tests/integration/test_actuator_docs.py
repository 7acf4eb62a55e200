"""docs/actuator.md: every operation is there, and every curl line of it is answered as it is shown."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import Client
from django.utils import timezone

from actuator import health, status
from actuator.openapi.written import operations
from dualwrite.control.enable import enable
from dualwrite.models import Alert, AlertRule, RetentionPolicy, RetentionRun, ValidationRun
from dualwrite.monitoring.history import record
from dualwrite.relay import worker as relay
from dualwrite.stores import Session
from dualwrite.stream import all_streams
from dualwrite.validation.run import validate
from tests.conftest import INTERNAL_KEY, TESTER
from tests.integration.away import ATTENDED
from tests.integration.curled import EXAMPLE, Curl, shown_answer, unlike
from tests.integration.working import until_it_ended, worker
from tests.process import ROOT
from tests.support import add

PAGE = (ROOT / "docs" / "actuator.md").read_text()
#: Theirs are on a page of their own, docs/api.md.
CONSUMERS = ("/api/v1/", "/screener/")


def examples() -> list[tuple[str, str]]:
    """The curl lines of the page, each with its answer in one line."""
    return [(line, " ".join(answer.split())) for line, answer in EXAMPLE.findall(PAGE)]


def filled(line: str) -> str:
    """The line with what an operator knows in place of the capital words."""
    values = {
        "$URL": "",
        "$AUTH": f"X-Internal-API-Key: {INTERNAL_KEY}",
        "RUN": str(RetentionRun.objects.order_by("pk").values_list("pk", flat=True).first()),
        "VALIDATION": str(ValidationRun.objects.order_by("pk").values_list("pk", flat=True).first()),
        "ALERT": str(Alert.objects.values_list("pk", flat=True).first()),
    }
    for name, value in values.items():
        line = re.sub(rf"{re.escape(name)}(?![A-Z_])", value, line)
    return line


@pytest.fixture
def system(screener: Session, client: Client, anonymous: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Both streams mirrored and proven, an alert that fires, a policy, a worker. The key is known, and whoever asks has
    none but what a line sends."""
    add(screener, "RELIANCE", weight=7.5)
    screener.execute("INSERT INTO instruments (symbol, exchange) VALUES ('RELIANCE', 'NSE')")
    for stream in all_streams():
        enable(stream, TESTER)
        relay.drain(stream)
    for stream in all_streams():
        validate(stream)
    record(timezone.now())
    rule = AlertRule.objects.create(
        name="lag_of_the_page", measure="lag", threshold=60, severity="warning", runbook="lag"
    )
    seen = {"value": 75.0, "why": "75 s", "since": timezone.now()}
    Alert.objects.create(rule=rule, subject="instruments", severity="warning", state="firing", **seen)
    RetentionPolicy.objects.create(name="audit_log", table="audit_log", action="delete", date="at")
    RetentionRun.objects.create(stream="audit_log", policy="audit_log", status="complete", dry_run=False)
    for module in (health, status):
        # As with a relay and a scheduler, which are not needed here; and however slow this machine is.
        found = [replace(check, limit_seconds=60.0) for check in ATTENDED if check.name not in ("relay", "canary")]
        monkeypatch.setattr(module, "ALL", tuple(found))
    monkeypatch.setattr(health, "HEALTH_WITHIN_SECONDS", 60.0)
    with worker():
        yield anonymous


def test_every_operation_is_on_the_page() -> None:
    asked = {(curl.method, curl.address) for curl in (Curl.read(filled_without(line)) for line, _ in examples())}
    for path, method, _ in operations():
        if path.startswith(CONSUMERS):
            continue
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/?]+", path) + r"(\?.*)?")
        assert any(how == method and pattern.fullmatch(address) for how, address in asked), (method, path)


def filled_without(line: str) -> str:
    """The line as an address without a database."""
    return line.replace("$URL", "").replace('-H "$AUTH"', "")


def test_every_curl_line_of_the_page_is_answered_as_it_is_shown(system: Client) -> None:
    wrong = []
    for line, answer in examples():
        found = Curl.read(filled(line)).ask(system)
        status, shown = shown_answer(answer)
        is_json = "json" in found.headers["Content-Type"]
        why = unlike(shown, found.json()) if is_json else ""
        if found.status_code != status or why:
            wrong.append(f"{line}\n  shown {status}, answered {found.status_code}{why}: {found.content[:300]!r}")
        for run in ValidationRun.objects.filter(status="running"):
            until_it_ended(run)  # so that the next line is not refused
    assert not wrong, "\n".join(wrong)
    assert len(examples()) >= 40
