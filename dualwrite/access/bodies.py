"""JSON that somebody sent, read with limits: so many bytes, so deep, and only texts that a database takes."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

DEEPEST = 32
MOST_DIGITS = 4_000


class BodyTooLarge(APIException):
    """The body is too large."""

    status_code = 413
    default_detail = "The body is too large."
    default_code = "too_large"


class JsonParser(BaseParser):
    """`application/json`, of `body_max_bytes` of the view, else of the setting BODY_MAX_BYTES, at most."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The value. Raises BodyTooLarge, ParseError saying what is wrong."""
        context = parser_context or {}
        limit: int = getattr(context.get("view"), "body_max_bytes", settings.BODY_MAX_BYTES)
        # Told by its header, a large one is not even read.
        if int(context["request"].META.get("CONTENT_LENGTH") or 0) > limit:
            raise BodyTooLarge(f"The body is too large; valid: {limit} bytes at most.")
        return parsed(stream.read(limit + 1))


def parsed(sent: bytes) -> Any:
    """The value of JSON in UTF-8; raises ParseError. Pure."""
    try:
        value = json.loads(sent.decode(), parse_constant=_no_number, parse_int=_whole)
    except UnicodeDecodeError as exc:
        raise ParseError(f"The body is not UTF-8: {exc.reason} at byte {exc.start}.") from exc
    except RecursionError as exc:
        raise ParseError(f"The body is nested too deeply; valid: {DEEPEST} levels.") from exc
    except ValueError as exc:
        raise ParseError(f"The body is no JSON: {exc}.") from exc
    _require_usual(value)
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _whole(digits: str) -> int:
    """More digits than Python turns into a number are no number that is meant."""
    if len(digits) > MOST_DIGITS:
        raise ParseError("The body has a number that is too large.")
    return int(digits)


def _require_usual(value: Any) -> None:
    """Not by calling itself: what is nested deeply is what it looks for."""
    waiting = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if depth > DEEPEST:
            raise ParseError(f"The body is nested too deeply; valid: {DEEPEST} levels.")
        if isinstance(one, dict):
            waiting += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list):
            waiting += [(part, depth + 1) for part in one]
        elif isinstance(one, str):
            _require_text(one)
        elif isinstance(one, float) and not math.isfinite(one):
            raise ParseError("The body has a number that is too large.")


def _require_text(text: str) -> None:
    if "\0" in text:
        raise ParseError("The body has a text with the character NUL, which no database takes.")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ParseError("The body has a text with half a character (a lone surrogate).") from exc
