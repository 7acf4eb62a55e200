"""Days and moments as operators write them."""

import re
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from dualwrite.exceptions import UsageError

VALID = "valid: a day such as 2026-01-31 or a moment such as 2026-01-31T12:00:00Z"


def moment(option: str, value: str | None) -> datetime | None:
    """A day is its beginning in UTC, a moment without a zone is one of UTC; raises UsageError naming the option."""
    if value is None:
        return None
    try:
        day = parse_date(value)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(value)
    except ValueError:
        found = None  # well formed, but no day of any calendar
    if found is None:
        raise UsageError(f"{option} {value!r}; {VALID}")
    return found if timezone.is_aware(found) else timezone.make_aware(found, timezone.get_fixed_timezone(0))


def duration(option: str, value: str) -> timedelta:
    """45s, 30m, 2h or 1d; raises UsageError naming the option."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", value.strip())
    if found is None:
        raise UsageError(f"{option} {value!r}; valid: a number with s, m, h or d, such as 2h")
    return int(found[1]) * _UNITS[found[2]]


_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
