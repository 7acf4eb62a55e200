"""Merging two ordered streams of row digests finds exactly the keys whose rows are not the same."""

from collections import defaultdict
from hashlib import md5

from hypothesis import given
from hypothesis import strategies as st

from dualwrite.validation.compare import Row, merge

KEYS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3)
SIDE = st.lists(st.tuples(KEYS, st.sampled_from("ab")), max_size=12)


def as_sent(rows: list[tuple[str, str]]) -> list[Row]:
    """As PostgreSQL sends them: by hash, then by the bytes of the key, then by digest."""
    hashed = [(md5(key.encode(), usedforsecurity=False).hexdigest(), key, digest) for key, digest in rows]
    return sorted(hashed, key=lambda row: (row[0], row[1].encode(), row[2]))


def by_key(rows: list[tuple[str, str]]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for key, digest in rows:
        found[key].append(digest)
    return {key: sorted(digests) for key, digests in found.items()}


@given(SIDE, SIDE)
def test_exactly_the_keys_that_differ_are_candidates(one: list[tuple[str, str]], two: list[tuple[str, str]]) -> None:
    left, right = by_key(one), by_key(two)
    differing = {key for key in left.keys() | right.keys() if left.get(key) != right.get(key)}
    found = list(merge(iter(as_sent(one)), iter(as_sent(two))))
    assert set(found) == differing
    assert len(found) == len(set(found)), "a key is named once"
