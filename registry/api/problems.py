"""Refusals that say in a sentence what is wrong, and point to where."""

from collections.abc import Sequence

from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, ValidationError

from registry.bulk.checks import MOST_FAULTS, Fault

__all__ = ["Gone", "Invalid", "NotFound", "invalid_body", "invalid_parameter"]


class Invalid(ValidationError):
    """A request that is not valid; `errors` are objects with `pointer` (of the body) or `parameter`, and `detail`."""

    def __init__(self, sentence: str, errors: Sequence[dict[str, str]]) -> None:
        self.sentence = sentence
        super().__init__(list(errors))


class Gone(APIException):
    """What was asked for is there no more."""

    status_code = status.HTTP_410_GONE


def invalid_parameter(name: str, detail: str) -> Invalid:
    """A parameter of the address that is not valid."""
    return Invalid(f"{name}: {detail}", [{"parameter": name, "detail": detail}])


def invalid_body(faults: Sequence[Fault]) -> Invalid:
    """A body that is not valid; the sentence tells the first fault, and how many there are."""
    first, more = faults[0], len(faults) - 1
    counted = f" (and {more} more)" if more else ""
    return Invalid(f"{first.pointer}: {first.detail}{counted}", [fault.as_data() for fault in faults[:MOST_FAULTS]])
