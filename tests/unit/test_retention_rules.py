"""What a policy may say and what holds a run: pure rules, at their edges."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from psycopg import sql

from dualwrite.retention import brakes, conditions
from dualwrite.retention.brakes import Clocks
from dualwrite.retention.conditions import Condition, Is
from dualwrite.retention.exceptions import InvalidPolicy, InvalidSubject
from dualwrite.retention.policy import Policy, Window
from dualwrite.retention.rows import Holds, Rows
from dualwrite.retention.schema import Table
from dualwrite.retention.subject import Action, Subject

COLUMNS = ("topic", "copies")
TYPES = {"id": "bigint", "sent_at": "timestamp with time zone", "topic": "text", "copies": "integer"}
NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
SUBJECT = Subject(
    name="papers", schema="s", table="papers", dates={"sent": "t.sent_at"}, filters=COLUMNS, holds={"topic": "t.topic"}
)
POLICY = Policy(
    name="papers",
    subject=SUBJECT,
    action=Action.DELETE,
    date="sent",
    days=365,
    conditions=(),
    batch_size=10,
    backup=True,
    max_rows=100,
    max_percent=20,
    window=None,
)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "conditions are a list"),
        ({}, "conditions are a list"),
        ("topic = 'x'", "conditions are a list"),
        (["topic"], "condition 1; valid: an object"),
        ([{"column": "topic"}], "condition 1; valid: an object"),
        ([{"column": "topic", "is": "null", "or": 1}], "condition 1; valid: an object"),
        ([{"column": "topic", "is": "null"}, {"column": "sent_at", "is": "null"}], "condition 2: column 'sent_at'"),
        ([{"column": ["topic"], "is": "null"}], "valid: topic, copies"),
        ([{"column": None, "is": "null"}], "valid: topic, copies"),
        ([{"column": "topic", "is": "like", "value": "x"}], "is 'like'; valid: equal, not_equal"),
        ([{"column": "topic", "is": ["equal"], "value": "x"}], "valid: equal"),
        ([{"column": "topic", "is": None}], "valid: equal"),
        ([{"column": "topic", "is": "null", "value": None}], "null takes no value"),
        ([{"column": "topic", "is": "equal"}], "None is no value"),
        ([{"column": "topic", "is": "equal", "value": ["x"]}], "is no value"),
        ([{"column": "topic", "is": "equal", "value": {"x": 1}}], "is no value"),
        ([{"column": "topic", "is": "equal", "value": "a\0b"}], "is no value"),
        ([{"column": "topic", "is": "in", "value": "x"}], "in takes a list"),
        ([{"column": "topic", "is": "in", "value": []}], "in takes a list"),
        ([{"column": "topic", "is": "not_in", "value": ["x", None]}], "None is no value"),
        ([{"column": "topic", "is": "not_in", "value": [["x"]]}], "is no value"),
    ],
)
def test_a_condition_of_a_wrong_shape_is_told_with_what_is_valid(data: object, why: str) -> None:
    with pytest.raises(InvalidPolicy) as raised:
        conditions.parse(data, COLUMNS)
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("given", "text"), [("x", "x"), ("", ""), (3, "3"), (1.5, "1.5"), (True, "true"), (False, "false")]
)
def test_a_value_is_bound_as_text(given: object, text: str) -> None:
    (found,) = conditions.parse([{"column": "topic", "is": "equal", "value": given}], COLUMNS)
    parts, values = conditions.compiled([found], TYPES)
    assert values == {"condition_0": text}
    assert parts[0].as_string() == '"t"."topic" = %(condition_0)s::text'
    assert conditions.parse([found.as_data()], COLUMNS) == (found,)


def test_every_comparison_names_its_column_quoted_and_its_value_bound() -> None:
    wrong = 'a"b; --'
    for how in Is:
        value = {"none": None, "list": ("1", "2"), "one": "1"}[how.takes]
        parts, values = conditions.compiled([Condition(wrong, how, value)], {wrong: "integer"})
        text = parts[0].as_string()
        assert '"t"."a""b; --"' in text
        assert (how.takes == "none") == (values == {})
        assert ("%(condition_0)s" in text) == (how.takes != "none")


def test_a_column_that_the_table_lost_is_told() -> None:
    with pytest.raises(InvalidPolicy, match="no column topic"):
        conditions.compiled([Condition("topic", Is.NULL, None)], {"id": "bigint"})


def clocks(ahead: float, took: float = 0.0) -> Clocks:
    """The server is so many seconds ahead of this machine, which was asking so long."""
    return Clocks(NOON + dt.timedelta(seconds=ahead), NOON, NOON + dt.timedelta(seconds=took))


@pytest.mark.parametrize("ahead", [-30, -1, 0, 1, 30])
def test_clocks_may_be_so_far_apart(ahead: float) -> None:
    assert brakes.clock(clocks(ahead), None, 30) == ""


@pytest.mark.parametrize("ahead", [-30.1, 30.1, -(10**8), 10**8])
def test_clocks_may_not_be_further_apart(ahead: float) -> None:
    assert "they may be 30 s apart" in brakes.clock(clocks(ahead), None, 30)


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert brakes.clock(clocks(40, took=60), None, 30) == ""


def test_a_clock_does_not_go_back() -> None:
    assert brakes.clock(clocks(0), NOON, 30) == ""
    assert "the last run began" in brakes.clock(clocks(0), NOON + dt.timedelta(microseconds=1), 30)


@pytest.mark.parametrize(
    ("goes", "of", "free", "said"),
    [
        (100, 1000, 0, ""),
        (101, 1000, 1000, "101 rows would go, and 100 may"),
        (20, 100, 0, ""),
        (21, 100, 0, "21 of 100 rows would go, 21.0 %, and 20 % may"),
        (21, 100, 21, ""),
        (22, 100, 21, "22 of 100 rows"),
        (0, 0, 0, ""),
        (100, 1, 0, "100 of 1 rows"),
    ],
)
def test_a_share_is_braked_above_its_limit(goes: int, of: int, free: int, said: str) -> None:
    found = brakes.share(POLICY, goes, of, free)
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("begins", "ends", "moment", "inside"),
    [
        ("02:00", "04:00", "01:59:59", False),
        ("02:00", "04:00", "02:00", True),
        ("02:00", "04:00", "03:59:59", True),
        ("02:00", "04:00", "04:00", False),
        ("22:00", "04:00", "21:59", False),
        ("22:00", "04:00", "22:00", True),
        ("22:00", "04:00", "00:00", True),
        ("22:00", "04:00", "03:59:59", True),
        ("22:00", "04:00", "04:00", False),
    ],
)
def test_a_window_begins_and_ends(begins: str, ends: str, moment: str, inside: bool) -> None:
    window = Window(dt.time.fromisoformat(begins), dt.time.fromisoformat(ends))
    now = dt.datetime.combine(NOON.date(), dt.time.fromisoformat(moment), dt.UTC)
    said = brakes.hours(replace(POLICY, window=window), now)
    assert (window.holds(now), said == "") == (inside, inside)
    assert brakes.hours(POLICY, now) == ""


def test_a_cutoff_before_all_time_is_no_policy() -> None:
    assert POLICY.cutoff(NOON) == NOON - dt.timedelta(days=365)
    with pytest.raises(InvalidPolicy, match="there was no calendar"):
        replace(POLICY, days=800_000).cutoff(NOON)


def test_a_hash_is_of_all_that_is_approved_and_of_nothing_else() -> None:
    other: dict[str, Any] = {
        "action": Action.ARCHIVE,
        "date": "read",
        "conditions": (Condition("topic", Is.NULL, None),),
        "backup": False,
        "max_rows": 101,
        "max_percent": 21,
        "subject": replace(SUBJECT, name="others"),
    }
    hashes = {POLICY.hash, *(replace(POLICY, **{name: value}).hash for name, value in other.items())}
    assert len(hashes) == 1 + len(other)
    same: dict[str, Any] = {"days": 1, "batch_size": 11, "name": "x", "window": Window(dt.time(1), dt.time(2))}
    assert {replace(POLICY, **{name: value}).hash for name, value in same.items()} == {POLICY.hash}


def test_what_is_held_is_kept_by_its_value_or_altogether() -> None:
    rows = Rows(POLICY, Table(TYPES, "id", ()), NOON)
    some = Holds(False, {"topic": ["x"], "none": []}).and_also(Holds(False, {"topic": ["y"]}))
    assert some == Holds(False, {"topic": ["x", "y"], "none": []})
    assert "NOT coalesce(t.topic = ANY(%(held_0)s::text[]), false)" in rows.goes(some).as_string()
    assert rows.values(some)["held_0"] == ["x", "y"]
    everything = some.and_also(Holds(True))
    assert rows.goes(everything).as_string().endswith(" AND false")
    assert Holds.kept(everything.as_data()) == everything


def test_only_what_is_older_than_the_cutoff_is_old() -> None:
    rows = Rows(POLICY, Table(TYPES, "id", ()), NOON)
    assert rows.old().as_string() == "((t.sent_at) < %(cutoff)s)"
    assert rows.exported(loaded=False) != sql.SQL("true")


@pytest.mark.parametrize(
    "change",
    [
        {"dates": {}},
        {"actions": ()},
        {"archive": "x"},
        {"actions": (Action.ARCHIVE,)},
        {"inactive": "x"},
        {"actions": (Action.MARK_INACTIVE,)},
    ],
)
def test_a_table_that_is_declared_by_halves_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSubject):
        replace(SUBJECT, **change)


def test_hours_that_end_when_they_begin_are_none() -> None:
    with pytest.raises(InvalidPolicy, match="no scheduled run would ever work"):
        Window(dt.time(2), dt.time(2))
