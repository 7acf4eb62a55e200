"""Every planted fault is found exactly, and nothing else is; what is equal by value is no fault."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.validation import engine, probe
from dualwrite.validation.hashing import Method
from dualwrite.validation.level import Level
from dualwrite.validation.scope import Scope
from tests.integration.comparing import Things, found, key, things_in

MISSING, EXTRA, MISMATCH = "missing_in_mirror", "extra_in_mirror", "field_mismatch"


@dataclass(frozen=True)
class Fault:
    """A statement about the mirror, the keys that are then found by kind, the fields that differ, at which level."""

    statement: str
    found: dict[str, list[str]]
    fields: set[str] = field(default_factory=set)
    least: Level = Level.DETAILED


def fault(statement: str, kind: str, *keys: str, fields: str = "", least: Level = Level.DETAILED) -> Fault:
    return Fault(statement, {kind: sorted(keys)}, set(fields.split()), least)


def value(change: str, a: str, fields: str, least: Level = Level.DETAILED) -> Fault:
    """A change of one row."""
    statement = " ".join(("UPDATE things SET", change, "WHERE a =", repr(a)))
    return fault(statement, MISMATCH, key(a), fields=fields, least=least)


#: Rows that both stores have, beside plain ones.
AWKWARD: list[dict[str, object]] = [
    {"a": "ONE", "b": "B", "amount": "1.5", "free": "7.1", "note": "one", "day": "2020-01-01"},
    {"a": "TWO", "b": "B", "amount": "2.5", "note": "two", "day": "2020-01-02"},
    {"a": "LEFT", "b": "B", "amount": 1},
    {"a": "RIGHT", "b": "B", "amount": 2},
    {"a": "NULLS", "b": "B"},
    {"a": "EMPTY", "b": "B", "note": "", "sector": ""},
    {"a": "SHIFT", "b": "B", "sector": ""},
    {"a": "ZEROS", "b": "B", "amount": 0, "free": 0, "ratio": 0, "pieces": 0},
    {"a": "CUT", "b": "B", "note": "a|b", "sector": "c"},
    {"a": "COMMAS", "b": "B", "note": "a,b", "sector": "(c)"},
    {"a": "QUOTES", "b": "B", "note": 'a"', "sector": '"b\\'},
    {"a": "a|b", "b": "c"},
    {"a": "a,b", "b": '"c"'},
    {"a": "NASDAQ:BRK.B", "b": "S&P 500"},
    {"a": "it's", "b": ' "x" '},
    {"a": "日本 é Ω", "b": "指数"},
    {"a": "e\u0301", "b": "decomposed", "note": "e\u0301"},
    {"a": None, "b": "keyless", "note": "k"},
    {"a": "", "b": "no name"},
    {"a": "NAN", "b": "B", "amount": "NaN", "free": "NaN", "ratio": "NaN"},
    {"a": "INFINITE", "b": "B", "free": "Infinity", "at": "infinity", "day": "infinity", "ratio": "Infinity"},
    {"a": "TIME", "b": "B", "at": "2020-01-01 00:00:00+00", "day": "2020-01-01"},
    {"a": "PRECISE", "b": "B", "free": "100.00000000000000000001", "ratio": 0.1, "pieces": 10000},
    {"a": "LONG", "b": "B", "note": "x" * 5000},
    {"a": "TWICE", "b": "B", "note": "a"},
    {"a": "TWICE", "b": "B", "note": "a"},
    {"a": "OLD", "b": "B", "note": "gone", "active": False},
]

FAULTS: dict[str, Fault] = {
    "a value": value("note = 'other'", "ONE", "note"),
    "values of two rows swapped": fault(
        "UPDATE things SET amount = CASE a WHEN 'ONE' THEN 2.5 ELSE 1.5 END WHERE a IN ('ONE', 'TWO')",
        MISMATCH,
        key("ONE"),
        key("TWO"),
        fields="amount",
    ),
    "all that two rows have swapped": fault(
        "UPDATE things SET amount = 3 - amount WHERE a IN ('LEFT', 'RIGHT')",
        MISMATCH,
        key("LEFT"),
        key("RIGHT"),
        fields="amount",
    ),
    "values of two fields swapped": value("note = sector, sector = note", "CUT", "note sector"),
    "NULL instead of ''": value("note = NULL", "EMPTY", "note"),
    "'' instead of NULL": value("note = ''", "NULLS", "note"),
    "NULL and '' of two fields swapped": value("note = sector, sector = note", "SHIFT", "note sector"),
    "0 instead of NULL": value("amount = 0", "NULLS", "amount"),
    "NULL instead of 0": value("pieces = NULL", "ZEROS", "pieces"),
    "a separator at another place": value("note = 'a', sector = 'b|c'", "CUT", "note sector"),
    "a comma and parentheses at another place": value("note = 'a', sector = 'b,(c)'", "COMMAS", "note sector"),
    "a quote and a backslash moved": value("note = 'a', sector = '\"\"b\\'", "QUOTES", "note sector"),
    "the sign of a number": value("amount = -amount", "ONE", "amount"),
    "ten thousand times a number": value("amount = amount * 10000", "ONE", "amount"),
    "NaN instead of a number": value("amount = 'NaN'", "ZEROS", "amount"),
    "a number instead of NaN": value("amount = 0", "NAN", "amount"),
    "NULL instead of NaN": value("amount = NULL", "NAN", "amount"),
    "minus infinity instead of infinity": value("free = '-Infinity'", "INFINITE", "free"),
    "a number larger than its type": value("amount = 1e300", "ONE", "amount"),
    "the last digit of a long number": value("free = free + 1e-20", "PRECISE", "free", Level.STRICT),
    "the last digit of a number of floating point": value(
        "ratio = 0.10000000000000002", "PRECISE", "ratio", Level.STRICT
    ),
    "one of ten thousand pieces": value("pieces = 10001", "PRECISE", "pieces"),
    "an integer 2^32 away": value("pieces = pieces + 4294967296", "PRECISE", "pieces"),
    "true instead of NULL": value("flag = true", "ONE", "flag"),
    "2^32 µs later": value("at = at + interval '4294.967296 s'", "TIME", "at"),
    "a microsecond later": value("at = at + interval '1 microsecond'", "TIME", "at", Level.STRICT),
    "another time zone": value("at = '2020-01-01 00:00:00+02'", "TIME", "at"),
    "a day later": value("day = day + 1", "TIME", "day"),
    "the beginning instead of the end of time": value("day = '-infinity'", "INFINITE", "day"),
    "NULL instead of the end of time": value("day = NULL", "INFINITE", "day"),
    "the 5000th letter": value("note = left(note, 4999) || 'y'", "LONG", "note"),
    "a letter in two ways of Unicode": fault(
        "UPDATE things SET note = 'é' WHERE b = 'decomposed'", MISMATCH, key("e\u0301", "decomposed"), fields="note"
    ),
    "a value of a record without a key": fault(
        "UPDATE things SET note = 'l' WHERE a IS NULL", MISMATCH, key(None, "keyless"), fields="note"
    ),
    "a row gone": fault("DELETE FROM things WHERE a = '日本 é Ω'", MISSING, key("日本 é Ω", "指数"), least=Level.BASIC),
    "a row inactive": fault(
        "UPDATE things SET active = false WHERE a = 'NASDAQ:BRK.B'",
        MISSING,
        key("NASDAQ:BRK.B", "S&P 500"),
        least=Level.BASIC,
    ),
    "an inactive row made active": fault(
        "UPDATE things SET active = true WHERE a = 'OLD'", EXTRA, key("OLD"), least=Level.BASIC
    ),
    "a row too many": fault("INSERT INTO things (a, b) VALUES ('NEW', 'B')", EXTRA, key("NEW"), least=Level.BASIC),
    "a record without a key too many": fault(
        "INSERT INTO things (a, b) VALUES ('keyless', NULL)", EXTRA, key("keyless", None), least=Level.BASIC
    ),
    "a key cut at another place": Fault(
        "UPDATE things SET a = 'a', b = 'b|c' WHERE a = 'a|b'",
        {MISSING: [key("a|b", "c")], EXTRA: [key("a", "b|c")]},
        least=Level.BASIC,
    ),
    "the parts of a key swapped": Fault(
        "UPDATE things SET a = b, b = a WHERE a = 'NASDAQ:BRK.B'",
        {MISSING: [key("NASDAQ:BRK.B", "S&P 500")], EXTRA: [key("S&P 500", "NASDAQ:BRK.B")]},
        least=Level.BASIC,
    ),
    "a key with blanks trimmed": Fault(
        "UPDATE things SET b = btrim(b) WHERE a = 'it''s'",
        {MISSING: [key("it's", ' "x" ')], EXTRA: [key("it's", '"x"')]},
        least=Level.BASIC,
    ),
    "a key with a part NULL instead of ''": Fault(
        "UPDATE things SET a = NULL WHERE a = ''",
        {MISSING: [key("", "no name")], EXTRA: [key(None, "no name")]},
        least=Level.BASIC,
    ),
    "a record twice": fault(
        "INSERT INTO things SELECT * FROM things WHERE a = 'ONE'", MISMATCH, key("ONE"), least=Level.BASIC
    ),
    "a pair of equal records changed alike": value("note = 'b'", "TWICE", "note"),
    "a record three times instead of twice": fault(
        "INSERT INTO things (a, b, note) VALUES ('TWICE', 'B', 'a')", MISMATCH, key("TWICE"), least=Level.BASIC
    ),
}

EQUAL = {
    "trailing zeros": "UPDATE things SET amount = 1.500000, free = 7.1000 WHERE a = 'ONE'",
    "digits beyond those that travel": "UPDATE things SET amount = 1.50000049 WHERE a = 'ONE'",
    "the same instant in another time zone": "UPDATE things SET at = '2020-01-01 05:30:00+05:30' WHERE a = 'TIME'",
    "an inactive row changed": "UPDATE things SET note = 'other' WHERE a = 'OLD'",
    "rows in another order": "UPDATE things SET note = note",
}


@pytest.fixture(params=list(Method))
def things(
    screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Things]:
    """Equal stores with awkward rows, hashed in either way."""
    monkeypatch.setattr(probe, "agreed", lambda sides: request.param)
    with things_in(screener, registry) as made:
        made.fill(50)
        made.both(*AWKWARD)
        yield made


def levels_from(least: Level) -> list[Level]:
    every = list(Level)
    return every[every.index(least) :]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(things: Things, name: str) -> None:
    planted = FAULTS[name]
    things.run(Store.REGISTRY, planted.statement)
    for level in Level:
        findings = things.compare(level)
        expected = planted.found if level in levels_from(planted.least) else {}
        assert found(findings) == expected, level
        if expected and level is not Level.BASIC:
            assert set(findings.fields) == planted.fields
            assert {v.history for v in findings.differences} == {"never captured"}


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_found_among_named_keys_as_well(things: Things, name: str) -> None:
    planted = FAULTS[name]
    every = [key(*(None if row[part] is None else str(row[part]) for part in ("a", "b"))) for row in AWKWARD]
    scope = Scope.keys([*every, *(key for keys in planted.found.values() for key in keys)])
    assert found(things.compare(scope=scope)) == {}
    things.run(Store.REGISTRY, planted.statement)
    assert found(things.compare(scope=scope)) == planted.found


@pytest.mark.parametrize(
    "name", ["values of two rows swapped", "all that two rows have swapped", "a pair of equal records changed alike"]
)
def test_it_is_found_in_a_single_bucket_as_well(things: Things, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "bucket_count", lambda rows: 1)
    things.run(Store.REGISTRY, FAULTS[name].statement)
    findings = things.compare()
    assert (findings.buckets, findings.differing) == (1, 1)
    assert found(findings) == FAULTS[name].found


@pytest.mark.parametrize("statement", EQUAL.values(), ids=list(EQUAL))
def test_what_is_equal_by_value_is_no_fault(things: Things, statement: str) -> None:
    things.run(Store.REGISTRY, statement)
    for level in Level:
        findings = things.compare(level)
        assert (found(findings), findings.differing) == ({}, 0)
        assert findings.matched == findings.rows[Store.SCREENER] == findings.rows[Store.REGISTRY]
