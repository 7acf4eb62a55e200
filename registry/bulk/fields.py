"""What each field may be: a value as it is given becomes one that can be written, or a reason why not. Pure."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from registry.importing.checks import isin_reason, parse_date
from registry.models import rules


class Wrong(ValueError):
    """Why a value cannot be written."""


Check = Callable[[Any], object]
_LETTERS = {"[:space:]": r"\s", "[:cntrl:]": r"\x00-\x1f\x7f-\x9f"}


def _python(pattern: str) -> "re.Pattern[str]":
    """The pattern of a database rule."""
    for name, letters in _LETTERS.items():
        pattern = pattern.replace(name, letters)
    return re.compile(pattern)


def text(pattern: str | None = None, valid: str = "", *, needed: bool = False) -> Check:
    """A check of texts of that form."""
    form = _python(pattern) if pattern else None

    def check(value: Any) -> object:
        if value is None and not needed:
            return None
        if not isinstance(value, str) or (needed and not value):
            raise Wrong(f"valid: {valid or 'a text'}{'' if needed else ', or null'}")
        if "\0" in value or not (value.isascii() or _is_utf8(value)):
            raise Wrong("it has a character that no database takes")
        if form is not None and not form.fullmatch(value):
            raise Wrong(f"valid: {valid}")
        return value

    return check


def _is_utf8(value: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def number(low: int, high: int | None, places: int, digits: int, valid: str) -> Check:
    """A check of numbers, given as such or as text; `low` is included only with `high`."""

    def check(value: Any) -> object:
        if value is None:
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise Wrong(valid)
            found = Decimal(str(value))
        except InvalidOperation as exc:
            raise Wrong(valid) from exc
        if not found.is_finite() or not (low <= found <= high if high is not None else found > low):
            raise Wrong(valid)
        exponent = found.normalize().as_tuple().exponent
        if (isinstance(exponent, int) and -exponent > places) or found.adjusted() >= digits - places:
            raise Wrong(f"{valid}, with at most {places} decimals")
        return found

    return check


def day(value: Any) -> object:
    """The day of a text."""
    found = parse_date(value) if isinstance(value, str) else None
    if value is not None and found is None:
        raise Wrong("valid: a day as YYYY-MM-DD, or null")
    return found if found is None else dt.date(found.year, found.month, found.day)


def isin(value: Any) -> object:
    """An ISIN whose check digit is right."""
    found = text(rules.ISIN, "two letters, nine letters or digits, a digit")(value)
    if reason := isin_reason(str(found)) if found is not None else None:
        raise Wrong(reason)
    return found


def truth(value: Any) -> object:
    """True or false."""
    if not isinstance(value, bool):
        raise Wrong("valid: true or false")
    return value


KEY = text(rules.INSTRUMENT_KEY, "EXCHANGE:SYMBOL, e.g. NSE:RELIANCE", needed=True)
INDEX = text(rules.TRIMMED, "text without surrounding blanks", needed=True)
FIELDS: Mapping[str, Mapping[str, Check]] = {
    "index_memberships": {
        "instrument_key": KEY,
        "index_id": INDEX,
        "weight": number(0, 100, 6, 12, "valid: percent from 0 to 100, or null"),
        "sector": text(),
        "date_added": day,
    },
    "instruments": {
        "instrument_key": KEY,
        "name": text(),
        "isin": isin,
        "currency": text(rules.CURRENCY, "three capital letters"),
        "country": text(),
        "lot_size": number(0, None, 6, 18, "valid: a number greater than zero, or null"),
        "tick_size": number(0, None, 8, 18, "valid: a number greater than zero, or null"),
        "is_active": truth,
    },
}
