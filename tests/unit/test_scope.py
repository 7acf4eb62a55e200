"""Slices cover every key exactly once, and a scope is read back from its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualwrite.exceptions import UsageError
from dualwrite.stages import Store
from dualwrite.stream import Field, Side, Stream
from dualwrite.validation.scope import HIGHEST, LOWEST, Scope

KEYS = st.lists(st.text(), max_size=5)


@given(st.integers(1, 500), st.integers(LOWEST, HIGHEST))
def test_every_hash_is_in_exactly_one_slice(of: int, kh: int) -> None:
    bounds = [Scope.slice(number, of).bounds for number in range(of)]
    assert (bounds[0][0], bounds[-1][1]) == (LOWEST, HIGHEST)
    assert sum(low <= kh <= high for low, high in bounds) == 1


SLICES = st.integers(2, 99).flatmap(lambda of: st.builds(Scope.slice, st.integers(0, of - 1), st.just(of)))
SCOPES = st.one_of(
    st.just(Scope.whole()), SLICES, st.builds(Scope.keys, KEYS), st.builds(lambda s, k: s.and_keys(k), SLICES, KEYS)
)


@given(SCOPES)
def test_a_scope_is_read_back_from_its_text(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all",
        "slice 3",
        "slice 3/3",
        "slice 0/0",
        "keys",
        "slice 1/2 and 100 keys",
        " and ",
        "slice 1/2keys []",
        "keys [a]",
        "keys [1]",
        "keys [[]]",
        "slice 1/2 and ",
        "whole and keys []",
    ],
)
def test_a_text_that_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Scope.parse(text)


def test_many_keys_are_counted_only() -> None:
    many = Scope.keys(map(str, range(100)))
    assert str(many) == "100 keys"
    with pytest.raises(UsageError, match="100 keys"):
        Scope.parse(str(many))


def test_everything_and_some_keys_is_everything() -> None:
    assert Scope.whole().and_keys(["a"]) == Scope.whole()
    assert Scope.slice(0, 1) == Scope.whole()


def test_a_key_named_twice_is_looked_at_once() -> None:
    assert Scope.keys(["a", "a"]).and_keys(["a", "b"]).named == ("a", "b")


@pytest.mark.parametrize("part", [Scope.keys([]), Scope.slice(1, 2)])
def test_keys_that_are_only_counted_are_read_back_where_they_are_given(part: Scope) -> None:
    many = part.and_keys(map(str, range(100)))
    assert Scope.parse(str(many), many.named) == many
    with pytest.raises(UsageError, match="99 of these keys are known"):
        Scope.parse(str(many), many.named[1:])


def _side(*names: str) -> Side:
    same = {name: f"t.{name}" for name in names}
    return Side("public", "x", same, {"a": "r.a"}, match=("a",), model="x.Y")


TWO = Stream("two", (Field("a"), Field("b")), (), dict.fromkeys(Store, _side("a", "b")))
NUMBERS = Stream(
    "numbers", (Field("a", "bigint"), Field("b", "numeric(9, 2)")), (), dict.fromkeys(Store, _side("a", "b"))
)


@pytest.mark.parametrize("key", ['["x","y"]', '["",null]', "[null,null]", '["a\\"b","\\\\\\u001f"]', '["日本","\x7f"]'])
def test_a_key_is_an_array_of_texts_as_the_stores_write_it(key: str) -> None:
    Scope.keys([key]).require_keys_of(TWO)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "{}",
        "[]",
        '"x"',
        DEEP,
        '["x"]',
        '["x","y","z"]',
        '["x",1]',
        '["x",true]',
        '["x",["y"]]',
        '["x",{}]',
        '["x", "y"]',
        '["x","y"] ',
        '["x","\\u0061"]',
        '["x","\\u0000"]',
        '["x","\udcff"]',
        "[NaN,1]",
    ],
)
def test_what_is_no_key_is_said_in_a_sentence_before_anything_is_looked_for(key: str) -> None:
    with pytest.raises(UsageError, match=r"is no key of two; valid: a JSON array of a, b, each a text or null"):
        Scope.slice(1, 2).and_keys(['["x","y"]', key]).require_keys_of(TWO)


def test_numbers_are_keys_where_the_fields_are_numbers() -> None:
    Scope.keys(["[12,1.50]", "[null,-7]", '[3,"NaN"]']).require_keys_of(NUMBERS)
    with pytest.raises(UsageError, match="is no key of numbers"):
        Scope.keys(["[12, 7]"]).require_keys_of(NUMBERS)
