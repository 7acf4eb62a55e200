"""Parameters of an address, read one by one; a wrong or unknown one is refused in a sentence."""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Mapping, Sequence

from rest_framework.request import Request

from registry.api.problems import invalid_parameter
from registry.importing.checks import parse_date

#: What every list takes.
PAGE = ("limit", "cursor")
MOST, USUAL = 1_000, 100
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Query:
    """The parameters of a request; `names` are those that are valid. Raises Invalid for any other one."""

    def __init__(self, request: Request, *names: str) -> None:
        self._given: Mapping[str, str] = {name: str(value) for name, value in request.query_params.items()}
        for name, value in self._given.items():
            if name not in (*names, "format"):
                raise invalid_parameter(name, f"unknown; valid: {', '.join(names) or 'none'}")
            if "\0" in value:
                raise invalid_parameter(name, "it has a character that no database takes")

    def text(self, name: str) -> str | None:
        """The text, None where there is none; an empty one is none."""
        return self._given.get(name, "").strip() or None

    def _typed(self, name: str) -> str | None:
        """The text of what is no text, None where it is not given; an empty one is as wrong as any other."""
        found = self._given.get(name)
        return None if found is None else found.strip()

    def texts(self, *names: str) -> dict[str, str]:
        """Those of these that were given."""
        found = {name: self.text(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def one_of(self, name: str, valid: Sequence[str]) -> str | None:
        """One of these words, None where it is not given; an empty one is none of them."""
        found = self._given.get(name)
        if found is not None and found not in valid:
            raise invalid_parameter(name, f"{found!r}; valid: {', '.join(valid)}")
        return found

    def truth(self, name: str) -> bool | None:
        """True or false."""
        found = self._typed(name)
        if found is not None and found.lower() not in _TRUTH:
            raise invalid_parameter(name, f"{found!r}; valid: true or false")
        return None if found is None else _TRUTH[found.lower()]

    def day(self, name: str) -> dt.date | None:
        """A day."""
        found = self._typed(name)
        day = parse_date(found) if found is not None else None
        if found is not None and day is None:
            raise invalid_parameter(name, f"{found!r}; valid: a day as YYYY-MM-DD, e.g. 2024-01-31")
        return day

    def moment(self, name: str) -> dt.datetime | None:
        """A moment with its offset from UTC."""
        found = self._typed(name)
        if found is None:
            return None
        try:
            # An unescaped plus sign of an offset comes as a blank.
            moment = dt.datetime.fromisoformat(found.replace(" ", "+"))
            if moment.tzinfo is not None:
                return moment.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            pass
        valid = "a moment with its offset from UTC, e.g. 2024-01-31T17:00:00Z"
        raise invalid_parameter(name, f"{found!r}; valid: {valid}")

    def limit(self) -> int:
        """How many of a page."""
        found = self._typed("limit")
        if found is None:
            return USUAL
        if not (found.isascii() and found.isdigit() and 1 <= int(found[:9]) <= MOST):
            raise invalid_parameter("limit", f"{found!r}; valid: a number from 1 to {MOST}")
        return int(found)

    def cursor(self, *kinds: type) -> tuple[object, ...]:
        """What the page goes on behind, values of these types; empty for the first page."""
        found = self.text("cursor")
        if found is None:
            return ()
        try:
            values = json.loads(base64.urlsafe_b64decode(found + "=" * (-len(found) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            values = None
        if not isinstance(values, list) or [type(value) for value in values] != list(kinds) or not _stored(values):
            raise invalid_parameter("cursor", "valid: what a page gave as `next`")
        return tuple(values)


def _stored(values: Sequence[object]) -> bool:
    """Whether a database can have these: small numbers, and texts without NUL and halves of letters."""
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int)]
    broken = any("\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text) for text in texts)
    return not broken and all(0 <= number < 100 for number in numbers)


def cursor_of(*values: object) -> str:
    """The text of a cursor."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def next_address(request: Request, cursor: str | None) -> str | None:
    """The address of the page behind this one."""
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
