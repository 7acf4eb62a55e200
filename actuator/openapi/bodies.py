"""A body, held against the schema that describes it, and refused in one sentence that says what is valid."""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from rest_framework.request import Request

from actuator.openapi.shapes import Shape
from dualwrite.exceptions import UsageError

Validator = Draft202012Validator
_TYPES = {
    "boolean": "true or false",
    "string": "text that is not empty",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def given(request: Request, shape: Shape) -> dict[str, Any]:
    """What was sent, empty where nothing was; raises UsageError for anything but an object of what is valid."""
    sent = request.data if request.content_type or request.body else {}
    valid = ", ".join(shape["properties"]) or "nothing"
    if not isinstance(sent, dict):
        raise UsageError(f"the body is no JSON object; valid: {valid}")
    for why in _faults(sent, shape):
        raise UsageError(why)
    return sent


def _faults(sent: dict[str, Any], shape: Shape) -> Iterator[str]:
    fields = shape["properties"]
    for name in sent:
        if name not in fields:
            yield f"{name!r} is not known; valid: {', '.join(fields) or 'nothing'}"
    for name in shape.get("required", ()):
        if name not in sent:
            yield f"{name} is missing; it is to be {_wanted(fields[name])}"
    for error in sorted(Validator(shape).iter_errors(sent), key=lambda found: list(map(str, found.absolute_path))):
        yield _sentence(error, fields)


def _sentence(error: ValidationError, fields: dict[str, Shape]) -> str:
    path = [str(part) for part in error.absolute_path]
    if not path:
        return str(error.message)
    where, shape = path[0], fields[path[0]]
    if error.validator == "pattern":
        return f"{where} has a character that no database takes"
    if error.validator == "const":
        return f"{where} is of no use here; valid: {json.dumps(error.validator_value)}, or to leave it out"
    if error.validator == "maxLength":
        return f"{where} is longer than {error.validator_value} characters"
    return f"{where} is to be {_wanted(shape)}"


def _wanted(shape: Shape) -> str:
    types = shape.get("type", "object")
    named = [_TYPES[each] for each in ([types] if isinstance(types, str) else types)]
    if "enum" in shape:
        named = [f"one of {', '.join(str(value) for value in shape['enum'] if value is not None)}"]
    if "minimum" in shape or "maximum" in shape:
        low, high = shape.get("minimum"), shape.get("maximum")
        named[0] += f" of at least {low}" if high is None else f" from {low} to {high}"
    if "items" in shape:
        named[0] += f" of {_TYPES.get(str(shape['items'].get('type')), 'values')}"
    return " or ".join(named)
