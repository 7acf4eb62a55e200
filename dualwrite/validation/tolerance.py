"""Whether two values of a field are equal. Pure: values come as text by value, as `sql/validation.sql` writes them.

Numbers and points in time (seconds since 1970, UTC) are exact fractions here: a tolerance holds to the last digit, and
no number is too long or too large. What is no number on either side (NaN, infinity, NULL) equals itself alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from dualwrite.stream import Field

Value = str | None
Values = tuple[Value, ...]
NO_NUMBERS = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True)
class Tolerance:
    """How far values may be apart: numbers in percent of the one that is greater in size, points in time in seconds.

    A field that declares its own tolerance goes by that one. Integers are counts and codes, and text has no distance:
    both are compared exactly, an integer unless its field declares otherwise.
    """

    numeric_percent: Decimal = Decimal("0.01")
    date_seconds: Decimal = Decimal(3600)

    def of(self, field: Field) -> Decimal:
        """What a field may be apart, in percent or seconds; 0: nothing."""
        if field.tolerance is not None:
            return field.tolerance
        if field.is_moment:
            return self.date_seconds
        return self.numeric_percent if field.is_fractional else Decimal(0)

    def equal(self, field: Field, one: Value, other: Value) -> bool:
        """Whether two values are equal within the tolerance; exactly at its edge they are."""
        if one == other or not (field.has_distance and _is_number(one) and _is_number(other)):
            return one == other
        a, b = Fraction(str(one)), Fraction(str(other))
        unit = Fraction(1) if field.is_moment else max(abs(a), abs(b)) / 100
        return abs(a - b) <= Fraction(self.of(field)) * unit


@dataclass(frozen=True)
class Rule:
    """How the records of one key are held against each other: over these fields, exactly or with a tolerance."""

    fields: tuple[Field, ...]
    tolerance: Tolerance | None = None

    def differing(self, ones: Sequence[Values], others: Sequence[Values]) -> set[str]:
        """Names of the fields that differ between as many records on both sides, taken in one order."""
        found = set()
        for one, other in zip(sorted(ones, key=_order), sorted(others, key=_order), strict=True):
            pairs = zip(self.fields, one, other, strict=True)
            found |= {field.name for field, a, b in pairs if not self._equal(field, a, b)}
        return found

    def agree(self, ones: Sequence[Values], others: Sequence[Values]) -> bool:
        """Whether both sides have as many records, and each its equal."""
        return len(ones) == len(others) and not self.differing(ones, others)

    def _equal(self, field: Field, one: Value, other: Value) -> bool:
        return one == other if self.tolerance is None else self.tolerance.equal(field, one, other)


def _is_number(value: Value) -> bool:
    return value is not None and value not in NO_NUMBERS


def _order(values: Values) -> tuple[tuple[bool, bool, Fraction, str], ...]:
    # Numbers by size, so that records that are nearly equal stand at the same place on both sides.
    return tuple(_place(value) for value in values)


def _place(value: Value) -> tuple[bool, bool, Fraction, str]:
    if value is None:
        return (True, False, Fraction(0), "")
    try:
        return (False, False, Fraction(value), "")
    except (ValueError, ZeroDivisionError):
        return (False, True, Fraction(0), value)
