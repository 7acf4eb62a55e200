"""Slices cover every key exactly once, and a scope is read back from its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualwrite.exceptions import UsageError
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


@pytest.mark.parametrize("text", ["", "all", "slice 3", "slice 3/3", "slice 0/0", "keys", "slice 1/2 and 100 keys"])
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
