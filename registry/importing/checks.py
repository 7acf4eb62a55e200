"""Checks of single values, shared by both forms. Each returns a reason, or None when the value is fine."""

import datetime as dt
import re

from stdnum import figi, isin

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")


def isin_reason(value: str) -> str | None:
    """Why a non-empty ISIN is wrong."""
    valid = not value or (_compact(value) and isin.is_valid(value))
    return None if valid else f"bad ISIN check digit or form: {value}"


def figi_reason(value: str) -> str | None:
    """Why a non-empty FIGI is wrong."""
    valid = not value or (_compact(value) and figi.is_valid(value))
    return None if valid else f"bad FIGI check digit or form: {value}"


def currency_reason(value: str) -> str | None:
    """Why a non-empty currency is wrong."""
    valid = not value or _CURRENCY.fullmatch(value)
    return None if valid else f"malformed currency: {value}, three capitals wanted"


def parse_date(value: str) -> dt.date | None:
    """The date ``YYYY-MM-DD``; None when it is not one."""
    if not _DATE.fullmatch(value):
        return None
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        return None


def _compact(value: str) -> bool:
    # stdnum also accepts lower case and blanks inside; the stores hold the compact form only.
    return value.isascii() and value.isalnum() and value.isupper()
