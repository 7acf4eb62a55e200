"""Values are equal within the tolerance, exactly up to its edge; NULL and what is no number equal themselves alone."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualwrite.exceptions import InvalidStream
from dualwrite.stream import Field
from dualwrite.validation.tolerance import Rule, Tolerance

NUMBER, MOMENT, DAY, TEXT, COUNT = (
    Field("number", "numeric(12,6)"),
    Field("at", "timestamptz"),
    Field("day", "date"),
    Field("text"),
    Field("count", "bigint"),
)
USUAL = Tolerance()

EDGES = [
    (NUMBER, "10000", "9999", True),
    (NUMBER, "10000", "9998.999999", False),
    (NUMBER, "-10000", "-9999", True),
    (NUMBER, "-10000", "-9998.999999", False),
    (NUMBER, "0.000001", "0", False),
    (NUMBER, "0.000001", "-0.000001", False),
    (NUMBER, "0", "0", True),
    (NUMBER, "1.50", "1.5", True),
    (NUMBER, "1e300", "1e-300", False),
    (NUMBER, "100000000000000000000000000000000000010000", "100000000000000000000000000000000000000000", True),
    (NUMBER, "NaN", "NaN", True),
    (NUMBER, "NaN", "0", False),
    (NUMBER, "Infinity", "Infinity", True),
    (NUMBER, "Infinity", "-Infinity", False),
    (NUMBER, "Infinity", "1e300", False),
    (NUMBER, None, None, True),
    (NUMBER, None, "0", False),
    (MOMENT, "3600", "0", True),
    (MOMENT, "3600.000001", "0", False),
    (MOMENT, "-1800", "1800", True),
    (MOMENT, "4294.967296", "0", False),
    (MOMENT, "Infinity", "0", False),
    (MOMENT, None, "0", False),
    (DAY, "86400", "0", False),
    (TEXT, "1.5", "1.50", False),
    (TEXT, "10000", "9999", False),
    (TEXT, None, "", False),
    (COUNT, "10000", "9999", False),
]


@pytest.mark.parametrize(("field", "one", "other", "equal"), EDGES)
def test_the_tolerance_ends_exactly_at_its_edge(field: Field, one: str | None, other: str | None, equal: bool) -> None:
    assert USUAL.equal(field, one, other) is equal
    assert USUAL.equal(field, other, one) is equal


def test_a_field_that_declares_a_tolerance_goes_by_that() -> None:
    assert USUAL.equal(Field("n", "bigint", Decimal(1)), "100", "99")
    assert not USUAL.equal(Field("n", "numeric", Decimal(0)), "100", "100.0000001")
    assert USUAL.equal(Field("d", "date", Decimal(86400)), "86400", "0")


@pytest.mark.parametrize(("kind", "tolerance"), [("text", "1"), ("interval", "1"), ("numeric", "-1"), ("date", "NaN")])
def test_a_tolerance_that_means_nothing_is_refused(kind: str, tolerance: str) -> None:
    with pytest.raises(InvalidStream, match="tolerance"):
        Field("x", kind, Decimal(tolerance))


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)
PERCENTS = st.decimals(min_value=0, max_value=100, places=4)


@given(NUMBERS, NUMBERS, PERCENTS)
def test_numbers_are_equal_when_their_distance_is_that_share_of_the_greater_one(
    one: Decimal, other: Decimal, percent: Decimal
) -> None:
    a, b = Fraction(one), Fraction(other)
    expected = 100 * abs(a - b) <= Fraction(percent) * max(abs(a), abs(b))
    assert Tolerance(percent).equal(NUMBER, str(one), str(other)) is expected


@given(NUMBERS, PERCENTS)
def test_the_edge_belongs_to_the_tolerance_and_what_is_beyond_does_not(one: Decimal, percent: Decimal) -> None:
    edge = one - one * percent / 100
    assert Tolerance(percent).equal(NUMBER, str(one), str(edge))
    if one and percent < 100:
        beyond = edge - (one / abs(one)) * Decimal("1e-20")
        assert not Tolerance(percent).equal(NUMBER, str(one), f"{beyond:f}") or beyond == edge


RULE = Rule((NUMBER, TEXT), USUAL)


def test_records_of_one_key_are_held_against_each_other_in_the_order_of_their_size() -> None:
    assert RULE.agree([("9", "a"), ("10000", "a")], [("9999", "a"), ("9", "a")])
    assert RULE.differing([("9", "a"), ("10000", "a")], [("9999", "a"), ("9", "b")]) == {"text"}
    assert not RULE.agree([("9", "a")], [("9", "a"), ("9", "a")])


def test_without_a_tolerance_values_are_the_same_or_differ() -> None:
    assert not Rule((NUMBER,)).agree([("10000",)], [("9999",)])
    assert Rule((NUMBER,)).agree([("10000",)], [("10000",)])


def test_without_fields_only_the_number_of_records_counts() -> None:
    assert Rule(()).agree([()], [()])
    assert not Rule(()).agree([()], [])
