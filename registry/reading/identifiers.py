"""What an identifier is, and what is said of what it means. Pure.

Named tuples: thousands are made for one answer, and they are made in a third of the time of frozen dataclasses.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from registry.importing.checks import figi_reason, isin_reason

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_FIGI = re.compile(r"[B-DF-HJ-NP-TV-Z]{2}G[B-DF-HJ-NP-TV-Z0-9]{8}[0-9]")
VALID = "a text, or one of instrument_key, isin, figi, symbol (with exchange where it is known)"
_WORDS = {"key": "key", "symbol": "symbol", "isin": "ISIN", "figi": "FIGI"}


class Identifier(NamedTuple):
    """What was given, which kind it is (key, symbol, isin, figi), the value to look for; or why it is none."""

    given: Any
    kind: str
    value: str
    wrong: str | None = None


class Match(NamedTuple):
    """An instrument that has the identifier; `told`: what there is to tell of it, as JSON.

    The server writes that: of two thousand instruments it takes half of the time that reading and writing them does.
    """

    instrument_key: str
    is_active: bool
    told: str


class Resolved(NamedTuple):
    """What an identifier means: one match; or candidates, among which it does not tell; or why there is none."""

    given: Any
    status: str
    matches: Sequence[Match]
    candidates: Sequence[Match]
    reason: str | None


def identifier(given: Any) -> Identifier:
    """The identifier of a text or an object."""
    if isinstance(given, str):
        return _of_text(given, given.strip())
    if not isinstance(given, dict) or not given or not all(isinstance(v, str) and v.strip() for v in given.values()):
        return Identifier(given, "key", "", f"valid: {VALID}")
    texts = {name: value.strip() for name, value in given.items()}
    match sorted(texts):
        case ["instrument_key"]:
            return _checked(given, "key", texts["instrument_key"])
        case ["isin"] | ["figi"]:
            [(kind, value)] = texts.items()
            return _checked(given, kind, value.upper())
        case ["symbol"]:
            return _checked(given, "symbol", texts["symbol"])
        case ["exchange", "symbol"]:
            return _checked(given, "key", f"{texts['exchange'].upper()}:{texts['symbol']}")
    return Identifier(given, "key", "", f"unknown {', '.join(sorted(given))}; valid: {VALID}")


def _of_text(given: str, text: str) -> Identifier:
    """A key has a colon, an ISIN and a FIGI their form; everything else is a symbol."""
    if not text:
        return Identifier(given, "key", "", "it is empty")
    if ":" in text:
        return _checked(given, "key", text)
    if _FIGI.fullmatch(text.upper()):
        return _checked(given, "figi", text.upper())
    if _ISIN.fullmatch(text.upper()):
        return _checked(given, "isin", text.upper())
    return _checked(given, "symbol", text)


def _checked(given: Any, kind: str, value: str) -> Identifier:
    if "\0" in value or not (value.isascii() or value.isprintable()):
        return Identifier(given, kind, "", "it has a character that no identifier has")
    if kind == "isin":
        return Identifier(given, kind, value, isin_reason(value))
    if kind == "figi":
        return Identifier(given, kind, value, figi_reason(value))
    if kind == "key" and not all(value.partition(":")):
        return Identifier(given, kind, value, "valid: EXCHANGE:SYMBOL, e.g. NSE:RELIANCE")
    return Identifier(given, kind, value)


def resolved(asked: Identifier, found: Sequence[Match]) -> Resolved:
    """What the identifier means, from the instruments that have it: the only active one goes before inactive ones."""
    if asked.wrong is not None:
        return Resolved(asked.given, "invalid", [], [], asked.wrong)
    if not found:
        return Resolved(asked.given, "not_found", [], [], f"no instrument has the {_WORDS[asked.kind]} {asked.value}")
    if len(found) == 1:
        return Resolved(asked.given, "found", found, [], None)
    active = [one for one in found if one.is_active]
    likely = active if len(active) == 1 else found
    if len(likely) == 1:
        return Resolved(asked.given, "found", likely, [], None)
    candidates = sorted(found, key=lambda one: one.instrument_key)
    reason = f"{len(found)} instruments have the {_WORDS[asked.kind]} {asked.value}; name the one by its key"
    return Resolved(asked.given, "ambiguous", [], candidates, reason)
