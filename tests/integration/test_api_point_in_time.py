"""Who was a member on a day, as known then: two indices against their files, random spells against a model."""

import csv
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualwrite.stores import Session
from registry.importing import import_file
from registry.mainjob import DATA
from registry.reading.spells import index_changes, members
from tests.integration.asking import V1, api, got, spell
from tests.integration.domain import domain, sql

__all__ = ["api", "domain"]

Row = dict[str, str]
A_DAY = dt.timedelta(days=1)
FILES = {"S&P 500": "sp500_history.csv", "DOW JONES": "dow30_history.csv"}


def rows_of(name: str, rejects: Path) -> list[Row]:
    """The rows of a file without those that the importer refused."""
    with rejects.open(newline="") as file:
        refused = {int(row["line"]) for row in csv.DictReader(file)}
    with (DATA / name).open(newline="") as file:
        reader = csv.DictReader(file)
        return [row for row in reader if reader.line_num not in refused]


def there_on(rows: Sequence[Row], day: str) -> Counter[str]:
    """The symbols in the file on a day, as New York writes them."""
    there = [row for row in rows if row["opt_in"] <= day and (not row["opt_out"] or day < row["opt_out"])]
    return Counter(row["symbol"].replace("-", ".") for row in there)


def symbols(keys: Sequence[str]) -> Counter[str]:
    return Counter(key.partition(":")[2] for key in keys)


@pytest.fixture
def history(api: Client, tmp_path: Path) -> dict[str, list[Row]]:
    """Both files imported, and their rows."""
    found = {}
    for index, name in FILES.items():
        import_file(DATA / name, index=index, rejects=tmp_path / name)
        found[index] = rows_of(name, tmp_path / name)
    return found


def test_members_of_the_indices_are_those_of_their_files_at_each_year_end_and_on_each_day_of_a_change(
    api: Client, history: dict[str, list[Row]]
) -> None:
    for index, rows in history.items():
        assert len(rows) > 70
        for year in range(1980, 2026):
            answer = got(api, f"{V1}/indices/{index}/members", as_of=f"{year}-12-31")
            expected = there_on(rows, f"{year}-12-31")
            assert (answer["count"], symbols([one["instrument_key"] for one in answer["members"]])) == (
                expected.total(),
                expected,
            )
        changed = {dt.date.fromisoformat(row[end]) for row in rows for end in ("opt_in", "opt_out") if row[end]}
        for day in sorted({*changed, *(day - A_DAY for day in changed)}):
            found = members(index, day)
            assert found is not None
            assert symbols([one.instrument_key for one in found]) == there_on(rows, day.isoformat()), day


def test_a_symbol_that_another_company_took_over_is_a_member_in_both_times_and_not_between(
    api: Client, history: dict[str, list[Row]]
) -> None:
    rows = history["S&P 500"]
    spells: dict[str, list[Row]] = {}
    for row in rows:
        spells.setdefault(row["symbol"], []).append(row)
    reused = {s: r for s, r in spells.items() if len({one["name"] for one in r}) > 1}
    assert reused
    for symbol, theirs in reused.items():
        for one in theirs:
            first = dt.date.fromisoformat(one["opt_in"])
            found = members("S&P 500", first)
            assert found is not None
            [since] = {m.since for m in found if m.instrument_key.endswith(f":{symbol.replace('-', '.')}")}
            assert since == first
            if one["opt_out"] and one["opt_out"] not in {other["opt_in"] for other in theirs}:
                gone = members("S&P 500", dt.date.fromisoformat(one["opt_out"])) or []
                assert not [m for m in gone if m.instrument_key.endswith(f":{symbol}")]


def test_what_changed_in_an_index_between_two_days_is_what_its_file_says(
    api: Client, history: dict[str, list[Row]]
) -> None:
    first, last = "1990-12-31", "2019-12-31"
    adjacent = 0
    for index, rows in history.items():
        ends = {(row["symbol"].replace("-", "."), row["opt_out"]) for row in rows}
        begins = {(row["symbol"].replace("-", "."), row["opt_in"]) for row in rows}
        answer = got(api, f"{V1}/indices/{index}/changes", **{"from": first, "to": last})
        told = {
            name: Counter((one["instrument_key"].partition(":")[2], one["day"]) for one in answer[name])
            for name in ("joined", "left")
        }
        joined, left = ([e for e in one if first < e[1] <= last] for one in (begins - ends, ends - begins))
        assert told == {"joined": Counter(joined), "left": Counter(left)}
        assert len(joined) > 10
        adjacent += len([e for e in begins & ends if first < e[1] <= last])
    assert adjacent, "a spell that ends where the next one begins is no change"


def test_an_answer_that_was_given_can_be_given_again(api: Client, registry: Session) -> None:
    spell(registry, "NSE:TCS", "2010-01-01", "2020-01-01")
    path = f"{V1}/indices/NIFTY 50/members"
    before = got(api, path, as_of="2019-06-30", known_at=_clock(registry))["count"]
    seen = _clock(registry)
    registry.execute("UPDATE index_membership_history SET superseded_at = clock_timestamp()")
    spell(registry, "NSE:TCS", "2010-01-01", "2015-01-01")
    assert before == 1
    assert got(api, path, as_of="2019-06-30")["count"] == 0
    assert got(api, path, as_of="2019-06-30", known_at=seen)["count"] == 1
    assert got(api, path, as_of="2019-06-30", known_at="1999-01-01T00:00:00Z")["count"] == 0
    told = got(api, f"{V1}/instruments/NSE:TCS/memberships")["memberships"]
    assert [(one["index_id"], one["since"], one["until"]) for one in told] == [("NIFTY 50", "2010-01-01", "2015-01-01")]
    then = got(api, f"{V1}/instruments/NSE:TCS/memberships", known_at=seen)["memberships"]
    assert [one["until"] for one in then] == ["2020-01-01"]
    assert (
        "there is no index NIFTY" in got(api, f"{V1}/indices/NIFTY/members", status=404, as_of="2019-06-30")["detail"]
    )


def _clock(registry: Session) -> str:
    row = registry.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return str(row[0].isoformat())


@dataclass(frozen=True)
class Version:
    """A version of a spell in the model: days from `first` up to `end`, moments from `known` up to `superseded`."""

    key: str
    first: int
    end: int | None
    known: int
    superseded: int | None = None

    def holds(self, day: int, moment: int | None) -> bool:
        """Whether it makes its key a member on that day, as known at that moment, or now."""
        there = self.first <= day and (self.end is None or day < self.end)
        if moment is None:
            return there and self.superseded is None
        return there and self.known <= moment and (self.superseded is None or moment < self.superseded)


BEGIN = dt.date(2000, 1, 1)
CLOCK = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
DAYS = st.integers(0, 14)
Step = tuple[str, int, int | None, bool]
STEPS = st.lists(
    st.tuples(st.sampled_from("ABC"), DAYS, st.one_of(st.none(), st.integers(1, 6)), st.booleans()), max_size=14
)


def modelled(steps: Sequence[Step]) -> list[Version]:
    """Each step records a spell at its own moment; where it overlaps others it corrects them, or is left out."""
    versions: list[Version] = []
    for moment, (key, first, length, corrects) in enumerate(steps):
        end = None if length is None else first + length
        overlapping = [
            v
            for v in versions
            if v.key == key
            and v.superseded is None
            and (end is None or v.first < end)
            and (v.end is None or first < v.end)
        ]
        if overlapping and not corrects:
            continue
        versions = [replace(v, superseded=moment) if v in overlapping else v for v in versions]
        versions.append(Version(key, first, end, moment))
    return versions


def stored(versions: Sequence[Version]) -> None:
    """The versions as rows: in the history, and every second of those that are over in the archive."""
    sql("DELETE FROM index_membership_history")
    sql("DELETE FROM index_membership_history_archive")
    for number, version in enumerate(versions):
        over = version.superseded is not None or version.end is not None
        end = None if version.end is None else BEGIN + version.end * A_DAY
        superseded = None if version.superseded is None else CLOCK + version.superseded * A_DAY
        table = "index_membership_history_archive" if over and number % 2 else "index_membership_history"
        insert = f"INSERT INTO {table} (id, instrument_key, index_id, spell, recorded_at, superseded_at, source)"
        sql(
            f"{insert} VALUES (%s, %s, 'X', daterange(%s, %s), %s, %s, 'model')",
            *(number + 1, f"NSE:{version.key}", BEGIN + version.first * A_DAY, end),
            *(CLOCK + version.known * A_DAY, superseded),
        )


@pytest.mark.usefixtures("domain")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, day=st.integers(-1, 22), moment=st.one_of(st.none(), st.integers(-1, 15)), to=DAYS)
def test_random_spells_and_corrections_are_told_as_a_naive_model_tells_them(
    steps: list[Step], day: int, moment: int | None, to: int
) -> None:
    versions = modelled(steps)
    stored(versions)
    known_at = None if moment is None else CLOCK + moment * A_DAY
    found = members("X", BEGIN + day * A_DAY, known_at)
    told = None if found is None else [one.instrument_key.removeprefix("NSE:") for one in found]
    expected = sorted(v.key for v in versions if v.holds(day, moment))
    assert told == (expected if versions else None)

    last = day + to
    changes = index_changes("X", BEGIN + day * A_DAY, BEGIN + last * A_DAY, known_at)
    if changes is None:
        assert not [v for v in versions if v.holds(v.first, moment)]
        return
    there = {d: {v.key for v in versions if v.holds(d, moment)} for d in range(day, last + 1)}
    joined = [(key, d) for d in range(day + 1, last + 1) for key in there[d] - there[d - 1]]
    left = [(key, d) for d in range(day + 1, last + 1) for key in there[d - 1] - there[d]]
    assert [(key.removeprefix("NSE:"), (on - BEGIN).days) for key, on in sorted(changes.joined)] == sorted(joined)
    assert [(key.removeprefix("NSE:"), (on - BEGIN).days) for key, on in sorted(changes.left)] == sorted(left)


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    connection.close()
