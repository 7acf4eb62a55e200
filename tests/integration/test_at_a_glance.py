"""Equal stores are seen to be equal without buckets; numbers that are their own text are hashed as it."""

from collections.abc import Iterator

import pytest

from dualwrite.models import ValidationRun
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation import probe
from dualwrite.validation.engine import compare
from dualwrite.validation.hashing import Hashing, Method
from dualwrite.validation.level import Level
from dualwrite.validation.result import seemed_equal
from dualwrite.validation.rows import Rows
from dualwrite.validation.run import validate
from dualwrite.validation.scope import Scope
from dualwrite.validation.sides import opened
from tests.integration.comparing import THINGS, Things, found, key, things_in
from tests.support import enabled

MISMATCH = "field_mismatch"


@pytest.fixture
def things(screener: Session, registry: Session) -> Iterator[Things]:
    """Equal stores of 500 rows."""
    with things_in(screener, registry) as made:
        made.fill(500)
        yield made


def test_equal_stores_are_compared_as_a_whole(things: Things) -> None:
    findings = things.compare()
    assert (findings.buckets, findings.differing, findings.matched) == (1, 0, 500)
    assert findings.rows == {Store.SCREENER: 500, Store.REGISTRY: 500}


def test_stores_that_differ_are_compared_by_buckets_and_no_record_is_counted_twice(things: Things) -> None:
    things.run(Store.REGISTRY, "UPDATE things SET note = 'x' WHERE a = 'S2'")
    findings = things.compare()
    assert found(findings) == {MISMATCH: [key("S2")]}
    assert findings.buckets > 1
    assert (findings.differing, findings.matched) == (1, 499)
    assert findings.rows == {Store.SCREENER: 500, Store.REGISTRY: 500}


def test_a_swap_between_two_rows_is_seen_at_a_glance(things: Things) -> None:
    things.run(
        Store.REGISTRY,
        "UPDATE things AS t SET amount = o.amount FROM things AS o WHERE (t.a, o.a) IN (('S1', 'S2'), ('S2', 'S1'))",
    )
    assert found(things.compare()) == {MISMATCH: [key("S1"), key("S2")]}


def test_without_a_glance_buckets_are_compared_at_once(things: Things) -> None:
    findings = compare(THINGS, Store.SCREENER, Level.STRICT, Scope.whole(), Watch(), at_a_glance=False)
    assert findings.buckets > 1
    assert (findings.differing, findings.matched) == (0, 500)


@pytest.mark.parametrize(
    ("type_name", "expected"),
    [
        ("numeric(12,6)", {"amount"}),
        ("numeric(20,6)", {"amount"}),
        ("numeric(12,4)", set()),
        ("numeric(20,8)", set()),
        ("numeric", set()),
        ("double precision", set()),
    ],
)
def test_a_number_is_its_own_text_only_where_its_column_keeps_the_digits_that_travel(
    things: Things, type_name: str, expected: set[str]
) -> None:
    for session in things.sessions.values():
        session.execute(f"ALTER TABLE things ALTER amount TYPE {type_name}".encode())
    with opened(THINGS, Watch()) as sides:
        for store, side in sides.items():
            rows = Rows(THINGS, store, THINGS.fields, Hashing(Method.NATIVE, "nothing"))
            assert probe.with_exact(side, rows).exact == expected
    things.run(Store.SCREENER, "UPDATE things SET amount = 1.5 WHERE a = 'S1'")
    things.run(Store.REGISTRY, "UPDATE things SET amount = 1.50 WHERE a = 'S1'")
    things.run(Store.REGISTRY, "UPDATE things SET amount = amount + 1 WHERE a = 'S2'")
    assert found(things.compare()) == {MISMATCH: [key("S2")]}


def test_columns_of_two_scales_are_compared_as_their_numbers_travel(things: Things) -> None:
    things.sessions[Store.SCREENER].execute("ALTER TABLE things ALTER amount TYPE numeric(12,6)")
    things.sessions[Store.REGISTRY].execute("ALTER TABLE things ALTER amount TYPE numeric(20,9)")
    assert found(things.compare()) == {}
    things.run(Store.REGISTRY, "UPDATE things SET amount = amount + 0.000001 WHERE a = 'S2'")
    assert found(things.compare()) == {MISMATCH: [key("S2")]}


def run_that_saw(stream: Stream, **configuration: int) -> None:
    ValidationRun.objects.create(stream=stream.name, level="strict", status="passed", configuration=configuration)


def test_a_stream_seems_equal_until_buckets_of_it_were_seen_to_differ(stores: None, memberships: Stream) -> None:
    assert seemed_equal(memberships, Level.STRICT)
    run_that_saw(memberships, buckets=1024, differing_buckets=3)
    assert not seemed_equal(memberships, Level.STRICT)
    assert seemed_equal(memberships, Level.DETAILED)
    run_that_saw(memberships, buckets=0, differing_buckets=0)  # of named keys alone
    assert not seemed_equal(memberships, Level.STRICT)
    run_that_saw(memberships, buckets=1024, differing_buckets=0)
    assert seemed_equal(memberships, Level.STRICT)


def test_a_run_after_one_that_saw_differences_goes_to_the_buckets_at_once(stores: None, memberships: Stream) -> None:
    enabled(memberships)
    run_that_saw(memberships, buckets=1024, differing_buckets=3)
    first = validate(memberships)
    second = validate(memberships)
    assert [run.configuration["buckets"] > 1 for run in (first, second)] == [True, False]
