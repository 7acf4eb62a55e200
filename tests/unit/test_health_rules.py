"""What scheduler, validations and canaries tell, without any server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dualwrite.models import ValidationStatus
from dualwrite.monitoring.checks.beat import BeatCheck, Scheduled
from dualwrite.monitoring.checks.canary import CanaryCheck
from dualwrite.monitoring.checks.validation import Look, ValidationCheck
from dualwrite.monitoring.exceptions import CannotTell, Down

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    """So long before now."""
    return NOW - timedelta(seconds=seconds)


def test_a_task_that_ran_lately_shows_a_scheduler_even_where_another_one_is_late() -> None:
    found = [Scheduled("often", ago(599), -1), Scheduled("daily", None, 5000)]
    assert BeatCheck().judge(found, NOW) == {"last_tick_at": ago(599), "tasks": 2, "late": ["daily"]}


@pytest.mark.parametrize("ran", [ago(601), None])
def test_a_scheduler_without_a_sign_is_down_where_something_should_have_run(ran: datetime | None) -> None:
    with pytest.raises(Down, match="often should have run"):
        BeatCheck().judge([Scheduled("often", ran, 241), Scheduled("daily", ran, -5)], NOW)


@pytest.mark.parametrize("ran", [ago(601), None])
def test_a_scheduler_that_had_nothing_to_do_is_unknown(ran: datetime | None) -> None:
    with pytest.raises(CannotTell, match="nothing was to be run"):
        BeatCheck().judge([Scheduled("daily", ran, 239)], NOW)


def test_without_any_task_nobody_can_tell_whether_the_scheduler_runs() -> None:
    with pytest.raises(CannotTell, match="no periodic task is enabled"):
        BeatCheck().judge([], NOW)


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (Look(7, ValidationStatus.PASSED, "", 5_400, 91_800), []),
        (Look(7, ValidationStatus.WARNING, "", 5_400, None), []),
        (Look(7, ValidationStatus.PASSED, "", 5_401, 91_800), ["nobody has validated for 90 min"]),
        (Look(7, ValidationStatus.PASSED, "", 0, 91_801), ["a part was not looked at for 26 h"]),
        (Look(7, ValidationStatus.FAILED, "", 0, 0), ["validation 7 found that the stores are not equal"]),
        (Look(7, ValidationStatus.ERROR, "killed", 0, 0), ["validation 7 could not tell: killed"]),
    ],
)
def test_a_look_is_judged_by_its_verdict_its_age_and_the_part_that_waits_longest(look: Look, words: list[str]) -> None:
    assert ValidationCheck().troubles(look) == words


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ({"sent": False}, ""),
        ({"sent": True, "age_seconds": None}, ""),
        ({"sent": True, "age_seconds": 959.0, "status": "UP", "error": ""}, ""),
        ({"sent": True, "age_seconds": 961.0, "status": "UP", "error": ""}, "the last canary was sent 16 min ago"),
        ({"sent": True, "age_seconds": 1.0, "status": "DOWN", "error": "not relayed"}, "not relayed"),
    ],
)
def test_a_canary_is_judged_by_what_became_of_it_and_by_its_age(last: dict[str, Any], why: str) -> None:
    assert CanaryCheck().trouble(last) == why
