"""The engine beyond single faults: either authority, empty sides, parts, streams of rows, scopes, keys on their way."""

import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import LiteralString

import psycopg
import pytest

from dualwrite.exceptions import Cancelled, StoreFailed
from dualwrite.models import ParkedKey
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Field, Stream
from dualwrite.validation import digest, drill, engine, probe, recheck
from dualwrite.validation.hashing import Hashing, Method
from dualwrite.validation.level import Level
from dualwrite.validation.look import look_at, waiting_of
from dualwrite.validation.rows import Rows
from dualwrite.validation.scope import Scope
from dualwrite.validation.sides import Side, at_once, opened
from dualwrite.validation.tolerance import Rule, Tolerance
from dualwrite.validation.verdict import Findings, Kind
from tests.integration.comparing import FIELDS, KEY, THINGS, Things, found, key, things_in
from tests.support import at_work, until_it_waits


@pytest.fixture
def things(screener: Session, registry: Session) -> Iterator[Things]:
    """Equal stores of 500 rows."""
    with things_in(screener, registry) as made:
        made.fill(500)
        yield made


MISSING, EXTRA, MISMATCH = "missing_in_mirror", "extra_in_mirror", "field_mismatch"
ONE_OF_EACH = (
    "DELETE FROM things WHERE a = 'S1'",
    "UPDATE things SET note = 'x' WHERE a = 'S2'",
    "INSERT INTO things (a, b) VALUES ('NEW', 'B')",
)


def test_what_is_missing_and_what_is_too_much_depends_on_the_authority(things: Things) -> None:
    for statement in ONE_OF_EACH:
        things.run(Store.REGISTRY, statement)
    one = things.compare(authority=Store.SCREENER)
    other = things.compare(authority=Store.REGISTRY)
    assert found(one) == {MISSING: [key("S1")], MISMATCH: [key("S2")], EXTRA: [key("NEW")]}
    assert found(other) == {EXTRA: [key("S1")], MISMATCH: [key("S2")], MISSING: [key("NEW")]}
    assert (one.matched, other.matched) == (498, 498)


def test_findings_say_how_and_when_it_was_compared_and_both_records(things: Things) -> None:
    things.run(Store.REGISTRY, ONE_OF_EACH[1])
    findings = things.compare()
    assert findings.rows == dict.fromkeys(Store, 500)
    assert (findings.method, findings.buckets, findings.differing) == ("native", 1024, 1)
    assert (findings.fields, findings.cut_short) == (Counter({"note": 1}), "")
    assert {at.tzinfo is not None for at in findings.snapshots.values()} == {True}
    (verdict,) = findings.differences
    assert verdict.fields == ("note",)
    assert [row["note"] for row in (*verdict.authority, *verdict.mirror)] == ["n2", "x"]


@pytest.mark.parametrize("empty", list(Store))
def test_an_empty_side_lacks_every_record(things: Things, empty: Store) -> None:
    things.run(empty, "DELETE FROM things")
    findings = things.compare()
    kind = EXTRA if empty is Store.SCREENER else MISSING
    assert {kind.value: count for kind, count in findings.tally.items()} == {kind: 500}
    assert (findings.rows[empty], findings.rows[empty.peer], findings.matched) == (0, 500, 0)


def test_two_empty_sides_have_nothing(things: Things) -> None:
    for store in Store:
        things.run(store, "DELETE FROM things")
    findings = things.compare()
    assert (findings.rows, findings.tally) == (dict.fromkeys(Store, 0), Counter())


class Parts(Watch):
    """Counts the parts that were read."""

    breaths = 0

    def breathe(self) -> None:
        self.breaths += 1


def test_parts_of_a_table_add_up_to_the_whole(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = things.compare()
    monkeypatch.setattr(digest, "FIRST_BLOCKS", 1)
    monkeypatch.setattr(digest, "PART_SECONDS", 0)
    parts = Parts()
    for statement in ONE_OF_EACH:
        things.run(Store.REGISTRY, statement)
    findings = things.compare(watch=parts)
    assert parts.breaths > 8
    assert whole.rows == dict.fromkeys(Store, 500) == findings.rows
    assert found(findings) == {MISSING: [key("S1")], MISMATCH: [key("S2")], EXTRA: [key("NEW")]}


def test_all_parts_of_a_table_are_of_one_instant(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are written between two parts, to blocks of before and after, are in none of them."""
    monkeypatch.setattr(digest, "FIRST_BLOCKS", 1)
    monkeypatch.setattr(digest, "PART_SECONDS", 0)
    breaths: list[int] = []

    class Writing(Watch):
        def breathe(self) -> None:
            if not breaths:
                for store in Store:
                    things.run(store, "UPDATE things SET note = 'later'")
            breaths.append(1)

    with opened(THINGS, Writing()) as sides:
        hashing = Hashing(Method.NATIVE, "nothing")
        found = [_digest(side, hashing) for side in sides.values()]
    assert len(breaths) > 4
    assert [one.rows for one in found] == [500, 500]


def _digest(side: Side, hashing: Hashing) -> digest.Digests:
    return digest.digest(side, Rows(THINGS, side.store, FIELDS, hashing), Scope.whole(), 1024)


@pytest.mark.parametrize("level", [Level.STRICT, Level.DETAILED])
def test_where_most_buckets_differ_rows_are_read_in_batches(
    things: Things, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_BATCH_SIZE", "7")
    things.run(Store.REGISTRY, "UPDATE things SET note = 'other' WHERE right(a, 1) IN ('3', '4', '5', '6', '7')")
    findings = things.compare(level)
    assert findings.differing > findings.buckets * drill.MOST_DIFFERING
    assert {kind.value: count for kind, count in findings.tally.items()} == {MISMATCH: 250}
    assert findings.matched == 250


def test_noise_within_the_tolerance_is_no_difference_and_no_candidate(
    things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_CANDIDATES", 3)
    things.run(Store.REGISTRY, "UPDATE things SET amount = amount * 1.00005, at = at + interval '1 hour'")
    things.run(Store.REGISTRY, "UPDATE things SET amount = amount * 1.0003 WHERE a = 'S250'")
    findings = things.compare(Level.DETAILED)
    assert findings.differing > findings.buckets * drill.MOST_DIFFERING
    assert found(findings) == {MISMATCH: [key("S250")]}
    assert things.compare(Level.STRICT).cut_short


EDGES = {
    "exactly the percentage": ("amount = 9999", True),
    "just over the percentage": ("amount = 9998.999999", False),
    "exactly the seconds": ("at = '2020-01-01 01:00:00+00'", True),
    "a microsecond more": ("at = '2020-01-01 01:00:00.000001+00'", False),
    "the same seconds in another zone": ("at = '2020-01-01 02:00:00+01'", True),
    "an hour of another zone too much": ("at = '2020-01-01 02:00:01+01'", False),
    "a day": ("day = '2020-01-02'", False),
    "an integer by little": ("pieces = 999999", False),
    "a float by little": ("ratio = 0.10000001", True),
}


@pytest.mark.parametrize("edge", EDGES)
def test_tolerance_ends_at_its_edge_and_strict_has_none(things: Things, edge: str) -> None:
    change, within = EDGES[edge]
    row = {"amount": 10000, "at": "2020-01-01 00:00:00+00", "day": "2020-01-01", "pieces": 10**6, "ratio": 0.1}
    things.both({"a": "EDGE", "b": "B", **row})
    things.run(Store.REGISTRY, " ".join(("UPDATE things SET", change, "WHERE a = 'EDGE'")))
    assert found(things.compare(Level.DETAILED)) == ({} if within else {MISMATCH: [key("EDGE")]})
    assert found(things.compare(Level.STRICT)) == {MISMATCH: [key("EDGE")]}


def test_a_field_may_declare_its_own_tolerance(things: Things) -> None:
    things.run(Store.REGISTRY, "UPDATE things SET amount = amount * 1.05")
    assert things.compare(Level.DETAILED).tally[Kind.MISMATCH] == 500
    tolerant = [replace(f, tolerance=Decimal(5)) if f.name == "amount" else f for f in FIELDS]
    stream = Stream("things", KEY, tuple(tolerant), THINGS.sides)
    assert found(things.compare(Level.DETAILED, stream=stream)) == {}


def test_the_tolerance_of_the_parameters_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_NUMERIC_TOLERANCE_PERCENT", "0.5")
    monkeypatch.setenv("INSTRUMENT_REGISTRY_DATE_TOLERANCE_SECONDS", "7")
    assert engine.in_force() == Tolerance(Decimal("0.5"), Decimal(7))


def test_far_too_many_differences_are_cut_short_and_estimated(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_CANDIDATES", 100)
    monkeypatch.setattr(engine, "SAMPLE", 20)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_BATCH_SIZE", "10")
    things.run(Store.REGISTRY, "UPDATE things SET note = 'other'")
    findings = things.compare()
    assert findings.cut_short == "more than 100 keys seem different; 21 of them were looked at"
    assert len(findings.differences) == 21
    assert 350 < findings.tally[Kind.MISMATCH] < 700
    assert findings.fields["note"] == findings.tally[Kind.MISMATCH]


@pytest.mark.parametrize("method", list(Method))
def test_slices_are_a_partition_of_the_whole(things: Things, method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "agreed", lambda sides: method)
    for statement in ONE_OF_EACH:
        things.run(Store.REGISTRY, statement)
    slices = [things.compare(scope=Scope.slice(number, 4)) for number in range(4)]
    assert [sum(one.rows[store] for one in slices) for store in Store] == [500, 500]
    assert all(one.rows[Store.SCREENER] > 50 for one in slices)
    keys = [verdict.key for one in slices for verdict in one.differences]
    assert sorted(keys) == sorted([key("S1"), key("S2"), key("NEW")])


@pytest.mark.parametrize("method", list(Method))
def test_named_keys_are_compared_alone(things: Things, method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "agreed", lambda sides: method)
    things.both({"a": None, "b": "keyless", "note": "k"})
    things.run(Store.REGISTRY, "UPDATE things SET note = 'l' WHERE a IS NULL")
    for statement in ONE_OF_EACH:
        things.run(Store.REGISTRY, statement)
    keys = [key("S1"), key("S3"), key(None, "keyless"), key("NEW"), key("nowhere")]
    findings = things.compare(scope=Scope.keys(keys))
    assert found(findings) == {MISSING: [key("S1")], MISMATCH: [key(None, "keyless")], EXTRA: [key("NEW")]}
    assert (findings.rows[Store.SCREENER], findings.rows[Store.REGISTRY], findings.matched) == (3, 3, 1)
    assert found(things.compare(Level.BASIC, scope=Scope.keys(keys))) == {MISSING: [key("S1")], EXTRA: [key("NEW")]}


def test_keys_beside_a_slice_are_counted_once(things: Things) -> None:
    things.run(Store.REGISTRY, "UPDATE things SET note = 'x' WHERE a IN ('S1', 'S2', 'S3', 'S4')")
    keys = [key(f"S{number}") for number in range(1, 5)]
    for number in range(2):
        part = Scope.slice(number, 2)
        rows = things.compare(scope=part).rows[Store.SCREENER]
        both = things.compare(scope=part.and_keys(keys))
        assert found(both) == {MISMATCH: keys}
        outside = 4 - things.compare(scope=part).tally[Kind.MISMATCH]
        assert both.rows[Store.SCREENER] == rows + outside


def noted(things: Things, *keys: str, seconds: float = 0.0) -> None:
    for one in keys:
        things.sessions[Store.SCREENER].execute(
            "INSERT INTO dualwrite.outbox (lane, key, noted_at) SELECT %s | (hashtextextended(%s, 0) & 15)::int, %s,"
            " clock_timestamp() - make_interval(secs => %s)",
            (THINGS.lanes, one, one, seconds),
        )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are looked at twice."""
    monkeypatch.setattr(recheck, "PATIENCE", (0.01,))


@pytest.mark.usefixtures("impatient")
def test_a_key_on_its_way_is_unsettled_and_one_that_nobody_fetches_is_stuck(things: Things) -> None:
    things.run(Store.REGISTRY, "UPDATE things SET note = 'x' WHERE a IN ('S1', 'S2', 'S3')")
    noted(things, key("S1"))
    noted(things, key("S2"), seconds=301)
    findings = things.compare()
    assert found(findings) == {"unsettled": [key("S1")], "relay_stuck": [key("S2")], MISMATCH: [key("S3")]}
    histories = {verdict.key: verdict.history for verdict in findings.differences}
    assert histories == {key("S1"): "pending", key("S2"): "pending", key("S3"): "never captured"}
    assert findings.matched == 497


def test_a_key_that_waits_does_not_rest_though_both_stores_agree(things: Things) -> None:
    noted(things, key("S1"))
    rule = Rule(FIELDS)
    looks = look_at(THINGS, Store.SCREENER, [key("S1"), key("S2")], rule)
    assert {one: look.rests for one, look in looks.items()} == {key("S1"): False, key("S2"): True}
    assert all(look.agrees(rule) for look in looks.values())


@pytest.mark.usefixtures("impatient")
def test_a_key_that_waits_for_long_while_others_are_relayed_is_not_stuck(
    things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    things.run(Store.REGISTRY, "UPDATE things SET note = 'x' WHERE a = 'S1'")
    noted(things, key("S1"), key("S1"), seconds=301)

    def relaying(stream: Stream, store: Store, keys: list[str]) -> object:
        seen = waiting_of(stream, store, keys)
        things.run(store, "DELETE FROM dualwrite.outbox WHERE id = (SELECT min(id) FROM dualwrite.outbox)")
        return seen

    monkeypatch.setattr("dualwrite.validation.look.waiting_of", relaying)
    assert found(things.compare()) == {"unsettled": [key("S1")]}


@pytest.mark.usefixtures("impatient")
def test_a_parked_key_that_waits_again_is_stuck_and_one_that_does_not_is_a_difference(things: Things) -> None:
    things.run(Store.REGISTRY, "UPDATE things SET note = 'x' WHERE a IN ('S1', 'S2')")
    for one in ("S1", "S2"):
        ParkedKey.objects.create(stream="things", key=key(one), error="?")
    noted(things, key("S1"))
    findings = things.compare()
    assert found(findings) == {"relay_stuck": [key("S1")], MISMATCH: [key("S2")]}
    assert {verdict.history for verdict in findings.differences} == {"parked"}


def test_servers_that_hash_differently_are_compared_by_md5(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = probe._answer
    monkeypatch.setattr(probe, "_answer", lambda side: [*answer(side), side.store.value])
    for statement in ONE_OF_EACH:
        things.run(Store.REGISTRY, statement)
    findings = things.compare()
    assert findings.method == "md5"
    assert found(findings) == {MISSING: [key("S1")], MISMATCH: [key("S2")], EXTRA: [key("NEW")]}


def test_a_probe_answers_with_a_number_for_every_value(things: Things) -> None:
    with opened(THINGS, Watch()) as sides:
        answers = {store: probe._answer(side) for store, side in sides.items()}
        assert probe.agreed(sides) is Method.NATIVE
    numbers, encoding = answers[Store.SCREENER][:-1], answers[Store.SCREENER][-1]
    assert (len({int(number) for number in numbers}), encoding) == (5, "UTF8")


def test_no_word_stands_for_null_twice(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []

    def hashing(method: Method, word: str) -> Hashing:
        words.append(word)
        return Hashing(method, word)

    monkeypatch.setattr(engine, "Hashing", hashing)
    things.compare()
    things.compare()
    assert len(set(words)) == 2


def test_a_store_that_fails_ends_the_other_ones_work_and_is_named(things: Things) -> None:
    statements: dict[Store, LiteralString] = {Store.SCREENER: "SELECT pg_sleep(80)", Store.REGISTRY: "SELECT 1 / 0"}

    def work(side: Side) -> None:
        with side.reading():
            side.session.execute(statements[side.store])

    began = time.monotonic()
    with opened(THINGS, Watch()) as sides, pytest.raises(StoreFailed, match=r"registry .*division by zero"):
        at_once(sides, work)
    assert time.monotonic() - began < 40


def test_a_run_that_is_stopped_ends_in_the_middle_of_a_statement(things: Things) -> None:
    watch = Watch()
    session = things.sessions[Store.SCREENER]
    with session.transaction():
        session.execute("LOCK things")
        with at_work(lambda: engine.compare(THINGS, Store.SCREENER, Level.STRICT, Scope.whole(), watch)) as work:
            with psycopg.connect(session.info.dsn, password=session.info.password, autocommit=True) as observer:
                until_it_waits(observer, work)
            watch.stop()
            with pytest.raises(Cancelled):
                work.result(timeout=20)


def test_no_transaction_stays_open_while_keys_are_waited_for(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    things.run(Store.REGISTRY, ONE_OF_EACH[1])
    open_ones: list[int] = []
    look = look_at

    def looking(*args: object) -> object:
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state <> 'idle'"
            " AND application_name = 'dualwrite validation things'"
        )
        for session in things.sessions.values():
            row = session.execute(query).fetchone()
            open_ones.append(row[0] if row else -1)
        return look(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(recheck, "look_at", looking)
    assert things.compare().tally.total() == 1
    assert set(open_ones) == {0}


def test_a_field_by_another_name_of_its_type_is_read_alike(things: Things) -> None:
    fields = tuple(Field(f.name, f.type.replace("numeric(12,6)", "decimal(12, 6)")) for f in FIELDS)
    stream = Stream("things", KEY, fields, THINGS.sides)
    things.run(Store.REGISTRY, "UPDATE things SET amount = amount + 0.00000001")
    assert found(things.compare(stream=stream)) == {}


KEYLESS = key(None)


def flood(things: Things, rows: int) -> None:
    """So many records without a key, in both stores."""
    for store in Store:
        things.sessions[store].execute(
            "INSERT INTO things (b, note, sector, amount) SELECT 'B', 'n' || g, 'a sector of some length', 1"
            " FROM generate_series(1, %s) AS g ORDER BY hashint4(g)",
            (rows,),
        )


def peak_of(things: Things, level: Level) -> tuple[Findings, int]:
    """What is found, and how many bytes of Python's memory that took at most."""
    tracemalloc.start()
    try:
        return things.compare(level, watch=Watch(batch_size=1_000)), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("level", list(Level))
def test_a_flood_of_rows_of_one_key_is_not_read_into_memory(things: Things, level: Level) -> None:
    flood(things, 20_000)
    assert found(things.compare(level)) == {}
    things.run(Store.REGISTRY, "DELETE FROM things WHERE note = 'n777' AND a IS NULL")
    things.run(Store.REGISTRY, "UPDATE things SET sector = 'x' WHERE a IS NULL")
    findings, peak = peak_of(things, level)
    assert found(findings) == {MISMATCH: [KEYLESS]}
    (verdict,) = findings.differences
    assert (verdict.counts, len(verdict.authority), len(verdict.mirror)) == ((20_000, 19_999), 10, 10)
    assert verdict.note == "more than 100 rows of one key: compared exactly, as a whole"
    assert dict(verdict.records) == {Kind.MISSING: 1, Kind.MISMATCH: 19_999}
    named = things.compare(level, scope=Scope.keys([KEYLESS]))
    assert (found(named), named.rows[Store.SCREENER]) == ({MISMATCH: [KEYLESS]}, 20_000)
    assert peak < 8_000_000


@pytest.mark.parametrize("change", ["sector = 'x'", "amount = 2", "note = 'n1'"])
def test_one_row_among_very_many_of_one_key_is_found(things: Things, change: str) -> None:
    flood(things, 2_000)
    for level in (Level.STRICT, Level.DETAILED):
        assert found(things.compare(level)) == {}
    things.run(Store.REGISTRY, " ".join(("UPDATE things SET", change, "WHERE note = 'n777' AND a IS NULL")))
    for level in (Level.STRICT, Level.DETAILED):
        assert found(things.compare(level)) == {MISMATCH: [KEYLESS]}
    assert found(things.compare(Level.BASIC)) == {}


@pytest.mark.parametrize(("rows", "expected"), [(100, {}), (101, {MISMATCH: [KEYLESS]})])
def test_rows_of_one_key_are_held_against_each_other_with_tolerance_up_to_a_hundred(
    things: Things, rows: int, expected: dict[str, list[str]]
) -> None:
    flood(things, rows)
    things.run(Store.REGISTRY, "UPDATE things SET amount = amount * 1.00005 WHERE a IS NULL")
    findings = things.compare(Level.DETAILED)
    assert found(findings) == expected
    assert [verdict.note != "" for verdict in findings.differences] == [True] * len(expected)
    assert found(things.compare(Level.DETAILED, scope=Scope.keys([KEYLESS]))) == expected
    things.run(Store.REGISTRY, "UPDATE things SET amount = 3 WHERE note = 'n7' AND a IS NULL")
    (verdict,) = things.compare(Level.DETAILED).differences
    assert (verdict.fields == ()) == bool(expected), "of very many no fields are named"
