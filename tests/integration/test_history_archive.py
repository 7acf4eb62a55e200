"""Archiving versions of spells changes no answer and allows nothing that was refused before."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from registry import pointintime
from registry.importing import import_file
from tests.integration.archiving import COLUMNS, ENDED, archive, restore
from tests.integration.domain import domain, sql
from tests.integration.test_spells import HISTORY, TODAY, add, current

__all__ = ["domain"]
pytestmark = pytest.mark.usefixtures("domain")

SP500 = Path(__file__).parent.parent.parent / "data" / "sp500_history.csv"
DAYS = [dt.date(1995, 1, 1) + dt.timedelta(days=799 * n) for n in range(15)]
#: Every third spell is corrected a day after the import, every ninth once more the day after.
CORRECT = """
WITH wrong AS (UPDATE index_membership_history SET superseded_at = now() + %s * interval '1 day'
                WHERE superseded_at IS NULL AND id %% %s = 0 RETURNING *)
INSERT INTO index_membership_history (id, instrument_key, index_id, spell, recorded_at, source)
SELECT id + 9000, instrument_key, index_id, daterange(lower(spell), upper(spell) - 1), superseded_at, 'corrected'
  FROM wrong WHERE upper(spell) - 1 > lower(spell)
"""


def imported(rejects: Path) -> tuple[int, int, int]:
    """The real history of the S&P 500: rows accepted, unchanged, rejected."""
    report = import_file(SP500, index="S&P 500", rejects=rejects)
    return report.accepted, report.unchanged, report.rejected


def answers() -> list[list[Any]]:
    """The members on many days as they are known now, and as they were before, between and after the corrections."""
    now = sql("SELECT now()")[0][0]
    known = [None, *(now + dt.timedelta(hours=hours) for hours in (-1, 0, 1, 24, 48, 60))]
    columns = COLUMNS.split(", ")
    return [list(pointintime.members("S&P 500", day, at).values_list(*columns)) for day in DAYS for at in known]


@pytest.mark.parametrize("seed", range(3))
def test_no_answer_changes_whichever_ended_versions_are_archived_and_taken_back(seed: int, tmp_path: Path) -> None:
    imported(tmp_path / "rejects")
    for after, every in ((1, 3), (2, 9)):
        sql(CORRECT, after, every)
    before = answers()
    assert len({len(answer) for answer in before}) > 20, "the answers differ"
    ended = [row[0] for row in sql(f"SELECT id FROM index_membership_history WHERE {ENDED}")]  # noqa: S608
    some = random.Random(seed).sample(ended, len(ended) * (seed + 1) // 3)
    assert archive("id = ANY (%s)", some) == len(some) > 100
    assert answers() == before
    assert restore() == len(some)
    assert answers() == before


def test_a_file_of_spells_that_are_archived_is_imported_as_unchanged(tmp_path: Path) -> None:
    assert imported(tmp_path / "rejects") == (882, 0, 7)
    assert archive() > 300
    assert imported(tmp_path / "rejects") == (0, 882, 7)


def test_a_row_that_overlaps_an_archived_spell_is_rejected(tmp_path: Path) -> None:
    sql(HISTORY + "('ETR:A', 'DAX', '[2000-01-01,2005-01-01)', now(), 'file')")
    archive()
    (tmp_path / "file.csv").write_text("symbol,opt_in,opt_out\nA,1999-01-01,2000-01-02\nA,2005-01-01,\n")
    report = import_file(tmp_path / "file.csv", index="DAX", rejects=tmp_path / "rejects")
    assert (report.accepted, report.rejected) == (1, 1)
    assert "overlaps stored spell 2000-01-01 to 2005-01-01" in report.rejects_path.read_text()


@pytest.mark.parametrize(
    ("spell", "fits"),
    [
        ("[2004-12-31,)", False),
        ("[2001-01-01,2002-01-01)", False),
        ("[2005-01-01,)", True),
        ("[1999-01-01,2000-01-01)", True),
    ],
)
def test_what_overlaps_an_archived_spell_is_refused_and_what_meets_it_is_not(spell: str, fits: bool) -> None:
    sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,2005-01-01)', now(), 'file')")
    archive()
    others = f"('NSE:B', 'I', '{spell}', now(), 'file'), ('NSE:A', 'J', '{spell}', now(), 'file')"
    sql(HISTORY + others)
    insert = HISTORY + "('NSE:C', 'I', '[2000-01-01,)', now(), 'file'), ('NSE:A', 'I', %s, now(), 'file')"
    if fits:
        sql(insert, spell)
        return
    with (
        pytest.raises(IntegrityError, match="of NSE:A in I overlaps the archived spell") as caught,
        transaction.atomic(),
    ):
        sql(insert, spell)
    assert getattr(caught.value.__cause__, "sqlstate", "") == "23P01"


def test_superseded_versions_overlap_nothing_on_either_side() -> None:
    sql(
        HISTORY.replace(") VALUES", ", superseded_at) VALUES") + "('NSE:A', 'I', '[2000-01-01,)', now(), 'file', now())"
    )
    archive()
    sql(HISTORY + "('NSE:A', 'I', '[2001-01-01,2002-01-01)', now(), 'file')")
    archive()
    sql(
        HISTORY.replace(") VALUES", ", superseded_at) VALUES") + "('NSE:A', 'I', '[2000-01-01,)', now(), 'file', now())"
    )


def test_a_membership_begins_where_its_archived_spell_ends() -> None:
    sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,2010-01-01)', now(), 'file')")
    archive()
    add("2005-01-01")
    assert current() == ["[2010-01-01,)"]
    sql("UPDATE index_memberships SET date_added = '1990-01-01'")
    assert current() == ["[2010-01-01,)"]
    sql("DELETE FROM index_memberships")
    assert current() == ["[2010-01-01,today)"]
    archive()
    add("2005-01-01")
    assert current() == ["[today,)"]
    assert pointintime.members("I", dt.date(2005, 6, 1)).count() == pointintime.members("I", TODAY).count() == 1


def test_a_current_spell_without_an_end_is_not_archived() -> None:
    add("2005-01-01")
    with pytest.raises(IntegrityError, match="archive_ended"), transaction.atomic():
        archive("true")
    sql("DELETE FROM index_memberships")
    assert archive() == 2


@pytest.mark.parametrize("change", ["superseded_at = now()", "archived_by = 8", "spell = spell"])
def test_an_archived_version_is_never_rewritten(change: str) -> None:
    sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,2010-01-01)', now(), 'file')")
    archive()
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        sql(f"UPDATE index_membership_history_archive SET {change}")  # noqa: S608


def test_the_archive_has_the_columns_of_the_history_and_two_of_its_own() -> None:
    columns = (
        "SELECT attname, atttypid, atttypmod, attcollation FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
    )
    history, archived, both = (sql(columns, f"index_membership_history{suffix}") for suffix in ("", "_archive", "_all"))
    assert archived[: len(history)] == history == both
    assert [row[0] for row in archived[len(history) :]] == ["archived_at", "archived_by"]


def test_members_are_found_by_the_indices_of_both_tables() -> None:
    rows = (
        "INSERT INTO index_membership_history (instrument_key, index_id, spell, superseded_at, source)"
        " SELECT 'NSE:S' || n, 'I' || n %% 50, daterange('2000-01-01', '2010-01-01'), now(), 'file'"
        " FROM generate_series(1, %s) n"
    )
    sql(rows, 10000)
    archive()
    sql(rows, 5000)
    sql("ANALYZE index_membership_history, index_membership_history_archive")
    plan = pointintime.members("I7", dt.date(2005, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).explain()
    assert "Seq Scan" not in plan
    assert plan.count("Index Scan") == 2, plan
