"""Parts of JSON schemas (2020-12), as OpenAPI 3.1 has them. No I/O."""

from collections.abc import Mapping
from typing import Any

Shape = dict[str, Any]

#: What no database takes in a text is no part of one.
LONGEST = 1000


def text(meaning: str = "", **more: Any) -> Shape:
    """Any text, as an answer has it."""
    return _with({"type": "string"}, meaning, more)


def words(meaning: str, longest: int = LONGEST) -> Shape:
    """Text somebody sends: not empty, and without the character that no database takes."""
    return _with({"type": "string", "minLength": 1, "maxLength": longest, "pattern": "^[^\\u0000]*$"}, meaning, {})


def moment(meaning: str = "") -> Shape:
    """A moment, with its zone."""
    return _with({"type": "string", "format": "date-time"}, meaning, {})


def number(meaning: str = "", **more: Any) -> Shape:
    """Any number."""
    return _with({"type": "number"}, meaning, more)


def count(meaning: str = "", **more: Any) -> Shape:
    """A whole number, 0 or more."""
    return _with({"type": "integer", "minimum": 0}, meaning, more)


def yes_or_no(meaning: str = "") -> Shape:
    """A boolean."""
    return _with({"type": "boolean"}, meaning, {})


def one_of(values: Any, meaning: str = "") -> Shape:
    """One of these texts."""
    return _with({"type": "string", "enum": [str(value) for value in values]}, meaning, {})


def maybe(shape: Shape) -> Shape:
    """The same, or null."""
    if "enum" in shape:
        return {**shape, "type": [shape["type"], "null"], "enum": [*shape["enum"], None]}
    if "type" in shape:
        return {**shape, "type": [shape["type"], "null"]}
    return {"oneOf": [shape, {"type": "null"}]}


def many(shape: Shape, meaning: str = "") -> Shape:
    """A list of it."""
    return _with({"type": "array", "items": shape}, meaning, {})


def record(
    meaning: str = "", more: Mapping[str, Shape] | None = None, /, *, optional: tuple[str, ...] = (), **named: Shape
) -> Shape:
    """An object of exactly these fields, all of which are there unless optional; `more`: those that are no words."""
    fields = {**(more or {}), **named}
    needed = [name for name in fields if name not in optional]
    own: Shape = {"type": "object", "properties": fields, "additionalProperties": False}
    return _with({**own, **({"required": needed} if needed else {})}, meaning, {})


def by_name(shape: Shape, meaning: str = "") -> Shape:
    """An object of any names, each of which has that."""
    return _with({"type": "object", "additionalProperties": shape}, meaning, {})


def anything(meaning: str = "") -> Shape:
    """An object of whatever there is to say."""
    return _with({"type": "object", "additionalProperties": True}, meaning, {})


def ref(name: str) -> Shape:
    """What the components have under that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _with(shape: Shape, meaning: str, more: Shape) -> Shape:
    return {**shape, **({"description": meaning} if meaning else {}), **more}
