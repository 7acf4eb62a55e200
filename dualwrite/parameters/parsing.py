"""Texts become values: each parser returns one, or raises ValueError saying what is valid. Pure."""

from collections.abc import Callable
from decimal import InvalidOperation
from typing import TypeVar

T = TypeVar("T")
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def boolean(text: str) -> bool:
    """True or false, by any usual word."""
    if text.lower() not in _WORDS:
        raise ValueError("valid: true or false")
    return _WORDS[text.lower()]


def one_of(*words: str) -> Callable[[str], str]:
    """A parser of one of these words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"valid: {', '.join(words)}")
        return text.lower()

    return parse


def between(low: float, high: float, kind: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of numbers from `low` to `high`, both included."""

    def parse(text: str) -> T:
        valid = f"valid: a number from {low:g} to {high:g}"
        try:
            number = kind(text)
            # The comparison too: a Decimal that is not a number refuses to be compared.
            inside = low <= number <= high  # type: ignore[operator]
        except (ValueError, InvalidOperation):
            raise ValueError(valid) from None
        if not inside:
            raise ValueError(valid)
        return number

    return parse
