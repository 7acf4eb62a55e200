"""What the description promises, held against the API by requests made up from it, as each role and as nobody.

Whatever is sent: no 5xx, nothing that is not described, nothing taken that the description rules out.
"""

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.errors import FailureGroup
from schemathesis.specs.openapi import checks

from actuator.openapi.written import may, schema
from dualwrite.access import Clearance
from tests.integration.away import unattended
from tests.integration.callers import CALLERS, key_of, no_worker

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
#: Requests by who asks: whoever may do more has more to break.
EACH = {None: 125, Clearance.VIEWER: 125, Clearance.OPERATOR: 155, Clearance.ADMIN: 155}
#: 503 is how they say DOWN.
HEALTH = ("/actuator/health", "/actuator/health/readiness", "/actuator/health/{component}", "/readyz")
#: Only of who may call it: whoever may not is refused before anything is looked at.
OF_BODIES = [checks.negative_data_rejection]


def fuzz(
    monkeypatch: pytest.MonkeyPatch, django_settings: Any, role: Clearance | None, cases: int, *, at_random: bool
) -> int:
    """Ask so many times in all, evenly over the operations; returns how often it was asked."""
    from actuator import health, status

    django_settings.REQUESTS_PER_MINUTE = {"known": 0, "unknown": 0, "refused": 10**9}
    monkeypatch.setattr("actuator.view.OperatorView.requests_per_minute", 0)
    unattended(monkeypatch, health, status)
    no_worker(monkeypatch)
    # What asks here does not unpack.
    headers = {**key_of(role), "Accept-Encoding": "identity"}
    described = schemathesis.openapi.from_dict(schema())
    described.app = get_wsgi_application()
    results: Any = described.get_all_operations()
    operations = [found.ok() for found in results]
    asked, wrong = 0, []
    for number, operation in enumerate(operations):
        # An operation without parameters is asked once, so the others are asked more often.
        most = -(-(cases - asked) // (len(operations) - number))
        may_call = may(role, operation.definition.raw["x-role"])
        for case in made_up(operation, most, at_random):
            asked += 1
            if why := fault(case, headers, may_call):
                wrong.append(why)
    assert not wrong, f"{len(wrong)} of {asked}:\n" + "\n\n".join(wrong[:12])
    return asked


def made_up(operation: Any, most: int, at_random: bool) -> list[Any]:
    """So many requests, some as described and some otherwise."""
    cases: list[Any] = []
    strategy = operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE)

    @given(case=strategy)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        derandomize=not at_random,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def collect(case: Any) -> None:
        cases.append(case)

    collect()
    return cases


def fault(case: Any, headers: dict[str, str], may_call: bool) -> str:
    """What is wrong with the answer; empty when nothing is."""
    answer = case.call(headers=headers)
    if answer.status_code >= 500 and not (answer.status_code == 503 and case.path in HEALTH):
        return (
            f"{case.method} {case.formatted_path} {case.query} {case.body!r:.300}: {answer.status_code} {answer.text}"
        )
    # 404: what was made up for a number in the path is none.
    if not may_call and answer.status_code not in (401, 403, 404):
        asked = f"{case.method} {case.formatted_path} {case.headers} {case.query} {case.body!r:.300}"
        return f"{asked}: {answer.status_code} for somebody who may not: {answer.text}"
    try:
        checked = [*CHECKS, *(OF_BODIES if may_call and is_sent_as_made_up(case) else [])]
        case.validate_response(answer, checks=checked, headers=headers)
    except FailureGroup as exc:
        said = "; ".join(map(str, exc.exceptions))
        return f"{case.method} {case.formatted_path} {case.query} {case.body!r:.300}: {said:.700}"
    return ""


def is_sent_as_made_up(case: Any) -> bool:
    """Whether what is wrong with it is sent, and answered for the whole of it: an empty object in an address leaves
    nothing of it there, and of records that are written each by itself a wrong one is told beside the others."""
    query = case.query or {}
    return query.get("mode") != "each" and not any(value in ({}, []) for value in query.values())


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("role", CALLERS, ids=lambda role: role or "nobody")
def test_requests_made_up_from_the_description_are_answered_as_described(
    role: Clearance | None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    # 500 in all.
    assert fuzz(monkeypatch, settings, role, EACH[role], at_random=False) > 100


@pytest.mark.deep
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("role", CALLERS, ids=lambda role: role or "nobody")
def test_many_more_requests_are_answered_as_described(
    role: Clearance | None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    assert fuzz(monkeypatch, settings, role, 5_000, at_random=True) >= 5_000
