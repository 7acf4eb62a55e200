"""Every kind of value goes and comes back as it was: by its text, and by the bytes of the server's binary form."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualwrite.stores import Session
from tests.integration.letters import COLUMNS, approved, brought_back, copied, execute, ids, send, texts
from tests.support import database_setting

pytestmark = pytest.mark.usefixtures("backups")
TYPES = {
    words[0].strip('"'): words[1].split(" DEFAULT")[0].split(" {")[0]
    for words in (text.strip().split(" ", 1) for text in COLUMNS.replace("\n", " ").split(", "))
}
ODD_TEXT = [
    "", " ", "\\.", "\\N", "\\", "\\\\n", "\n", "\r\n", "\r", "\t", "a\tb", "\b\f\v\x01\x7f", "NULL", "null", '"', "'",
    ",", "{}", "%s", "$1", "ÄÖÜ", "\u0041\u030a", "\u00c5", "\U0001f600", "\ufeff", "\u2028", "x" * 5_000, "\\x41",
    "end\\",
]  # fmt: skip
#: What a type has at its ends, in its own words.
SPECIAL: dict[str, list[str]] = {
    "sent_at": [
        "-infinity", "4714-11-24 00:00:00+00 BC", "0001-01-01 00:00:00+00 BC", "1969-12-31 23:59:59.999999+00",
        "1883-11-18 12:03:57+00:00:01",
    ],
    "read_at": ["infinity", "-infinity", "294276-12-31 23:59:59.999999+00", "4714-11-24 00:00:00+00 BC"],
    "recipient": ODD_TEXT,
    "topic": ODD_TEXT[:-3],
    "copies": ["-2147483648", "2147483647", "0"],
    "is_open": ["true", "false"],
    "weight": ["NaN", "Infinity", "-Infinity", "0", "-0.000", "1e-300", "9" * 200 + ".10", "1.50", "1.5", "-1e500"],
    "share": ["NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1"],
    "ratio": ["NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1", "0.30000000000000004"],
    "day": ["infinity", "-infinity", "4714-11-24 BC", "5874897-12-31", "0001-12-31 BC", "2000-02-29"],
    "at_noon": ["00:00", "24:00:00", "23:59:59.999999"],
    "at_noon_there": ["00:00+15:59:59", "24:00:00-15:59", "12:00:00.000001+05:30"],
    "lasts": ["1 mon -1 day +00:00:00.000001", "-178000000 years", "0", "1 year 2 mons -3 days -04:05:06.7"],
    "tags": ["{}", "{NULL}", '{"NULL",""}', "[5:6]={a,NULL}", '{"a\\"b","\\\\","{","\t\n"}', "{{a,b},{c,NULL}}"],
    "grid": ["{}", "{{1,NULL},{3,4}}", "[0:1][-2:-1]={{1,2},{3,4}}", "{{{1}}}"],
    "body": ["null", "{}", '"\\u00e9\\n"', '{"a": [1, null, 1.10, "\\\\"]}', "1e400", "-0.0", '{"": {"": []}}'],
    "raw": [' {"a":1,  "a" : 2}\n', "null", '"\\u0041"', "[1e5]"],
    "bytes": ["", "\\x00", "\\x5c0a0d09", "\\xff" + "00" * 300],
    "uid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "span": ["empty", "(,)", "[2020-01-01,)", "[infinity,infinity]", "[-infinity,0044-03-15 BC)", "(,2020-01-01)"],
    "spans": ["{}", "{[1,3),[5,9)}", "{(,)}", "{(,-5),[7,)}"],
    "place": ["(NaN,Infinity)", "(-0,1e-300)", "(0.1,-Infinity)"],
    "net": ["::1/128", "192.168.0.1/24", "fe80::1", "0.0.0.0/0"],
    "bits": ["", "0", "101010101"],
    "price": ["-92233720368547758.08", "92233720368547758.07", "0", "0.01"],
    "words": ["", "'a\\'b':1A,2B 'c d':3", "'\\\\':1"],
    "code": ["", "a", "\\", "\n"],
    "short": ["", " x ", "\\N", "ü" * 20],
    "fixed": ["", "ab", "  a  ", "\\N", "\t"],
}  # fmt: skip


def insert(registry: Session, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        names = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(f"%s::{TYPES[name]}" if TYPES[name] != '"char"' else '%s::"char"' for name in row)
        registry.execute(f"INSERT INTO letters ({names}) VALUES ({values})".encode(), list(row.values()))  # noqa: S608


def require_round_trip(registry: Session) -> None:
    """What goes comes back, and what stays is not touched."""
    before, as_bytes, young = texts(registry), copied(registry), {row for row in ids(registry) if row >= 10_000}
    done = execute()
    assert ids(registry) == young
    assert done.removed == len(before) - len(young)
    back = brought_back(done)
    assert (back.restored, back.overwritten, back.skipped) == (done.removed, 0, 0)
    assert texts(registry) == before
    assert copied(registry) == as_bytes


@pytest.mark.parametrize("action", ["delete", "archive"])
def test_the_ends_of_every_type_come_back(letterbox: Session, action: str) -> None:
    assert set(SPECIAL) == set(TYPES) - {"id"}
    old = {"sent_at": "2001-01-01"}
    insert(letterbox, [{**old, name: value} for name, values in SPECIAL.items() for value in values])
    insert(letterbox, [{**old, **dict.fromkeys(set(TYPES) - {"id", "sent_at"})}])
    most = max(map(len, SPECIAL.values()))
    insert(letterbox, [{name: found[n % len(found)] for name, found in SPECIAL.items()} for n in range(most)])
    insert(letterbox, [{"id": str(10_000 + n), "sent_at": None, "recipient": text} for n, text in enumerate(ODD_TEXT)])
    approved(action=action, batch_size=7)

    require_round_trip(letterbox)

    assert ids(letterbox, "letters_archive") == set()


PLAIN = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
).map(json.dumps)
MADE: dict[str, st.SearchStrategy[Any]] = {
    "read_at": st.datetimes().map(lambda found: f"{found.isoformat()}Z"),
    "recipient": PLAIN,
    "topic": PLAIN,
    "weight": st.decimals(allow_nan=True, allow_infinity=False).map(str).filter(lambda found: "NaN" not in found),
    "share": st.floats(width=32).map(repr),
    "ratio": st.floats().map(repr),
    "day": st.dates().map(str),
    "at_noon": st.times().map(str),
    "lasts": st.timedeltas().map(lambda found: f"{found.days} days {found.seconds}.{found.microseconds:06d} secs"),
    "tags": st.lists(st.none() | PLAIN, max_size=5),
    "grid": st.lists(st.tuples(st.none() | st.integers(-9, 9), st.integers(-9, 9)).map(list), max_size=4),
    "body": JSON.filter(lambda found: "\\u0000" not in found),
    "raw": JSON,
    "bytes": st.binary(max_size=50),
    "uid": st.uuids().map(str),
    "short": PLAIN.map(lambda found: found[:20]),
    "fixed": PLAIN.map(lambda found: found[:5]),
}
ROW = st.fixed_dictionaries(
    {"sent_at": st.just("1999-01-01")}, optional={name: st.none() | made for name, made in MADE.items()}
)


@pytest.fixture
def ready(letterbox: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """An approved policy of small batches in several parts."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_PART_ROWS", "14")
    approved(batch_size=7)
    return letterbox


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rows=st.lists(ROW, min_size=20, max_size=30))
def test_whatever_is_made_up_comes_back(ready: Session, rows: list[dict[str, Any]]) -> None:
    ready.execute("DELETE FROM letters")
    insert(ready, rows)

    require_round_trip(ready)


def test_values_come_back_whatever_the_database_says_of_their_form(letterbox: Session) -> None:
    insert(
        letterbox, [{"sent_at": "2001-02-03", "share": "0.1", "ratio": "0.30000000000000004", "lasts": "-1 mon 2 days"}]
    )
    insert(letterbox, [{"sent_at": "2001-02-03", "day": "2001-02-03", "bytes": "\\x5c00", "price": "1.25"}])
    approved()
    with (
        database_setting(letterbox, "datestyle", "SQL, DMY"),
        database_setting(letterbox, "extra_float_digits", "-15"),
        database_setting(letterbox, "intervalstyle", "sql_standard"),
        database_setting(letterbox, "bytea_output", "escape"),
        database_setting(letterbox, "timezone", "Asia/Kolkata"),
    ):
        require_round_trip(letterbox)


def test_keys_of_text_are_ranges_as_well(letterbox: Session, backups: Path) -> None:
    letterbox.execute("ALTER TABLE letters ALTER id DROP IDENTITY; ALTER TABLE letters ALTER id TYPE text")
    letterbox.execute("ALTER TABLE letters_archive ALTER id TYPE text")
    keys = [*(text for text in ODD_TEXT if len(text) < 100), *(f"NSE:{number}" for number in range(60))]
    for key in keys:
        letterbox.execute("INSERT INTO letters (id, sent_at) VALUES (%s, '2001-01-01')", (key,))
    letterbox.execute("INSERT INTO letters (id, sent_at) VALUES ('M', now()), ('NSE:3x', now()), ('zz', NULL)")
    before, as_bytes = texts(letterbox), copied(letterbox)
    approved(batch_size=3)

    done = execute()

    assert (done.removed, done.changed, done.held) == (len(keys), 0, 0)
    assert {str(key) for key in ids(letterbox)} == {"M", "NSE:3x", "zz"}
    brought_back(done)
    assert (texts(letterbox), copied(letterbox)) == (before, as_bytes)


def test_a_table_of_many_rows_is_trimmed_by_several_sessions(letterbox: Session, backups: Path) -> None:
    send(letterbox, 5_000)
    before = copied(letterbox)
    approved(batch_size=250)

    done = execute()

    assert (done.removed, ids(letterbox)) == (5_000, set())
    brought_back(done)
    assert copied(letterbox) == before
