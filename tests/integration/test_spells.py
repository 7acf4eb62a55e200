"""The database keeps the history of memberships, whoever writes them."""

import datetime as dt
import time

import psycopg
import pytest
from django.db import connections, transaction

from dualwrite.stages import Store
from registry import pointintime
from registry.models import IndexMembership
from tests.conftest import url_of
from tests.integration.domain import domain, sql

__all__ = ["domain"]
TODAY = dt.datetime.now(dt.UTC).date()
HISTORY = "INSERT INTO index_membership_history (instrument_key, index_id, spell, recorded_at, source) VALUES "


def add(date_added: object = None, key: str = "NSE:A") -> None:
    sql(
        "INSERT INTO index_memberships (instrument_key, index_id, date_added) VALUES (%s, 'I', %s)",
        key,
        date_added,
    )


def current(key: str = "NSE:A") -> list[str]:
    """The current spells of a key; ``today`` stands for the current day."""
    rows = sql(
        "SELECT spell::text FROM index_membership_history"
        " WHERE instrument_key = %s AND superseded_at IS NULL ORDER BY spell",
        key,
    )
    return [row[0].replace(TODAY.isoformat(), "today") for row in rows]


def versions() -> int:
    return int(sql("SELECT count(*) FROM index_membership_history")[0][0])


@pytest.mark.usefixtures("domain")
class TestSpells:
    """Each rule on its own, in a transaction that is rolled back."""

    def test_a_membership_opens_a_spell_on_the_day_it_was_added(self) -> None:
        add("2020-01-01")
        assert current() == ["[2020-01-01,)"]

    def test_a_membership_without_that_day_opens_one_today(self) -> None:
        add()
        assert current() == ["[today,)"]

    def test_a_membership_that_disappears_closes_it_today_and_keeps_the_earlier_version(self) -> None:
        add("2020-01-01")
        sql("DELETE FROM index_memberships")
        assert current() == ["[2020-01-01,today)"]
        assert sql("SELECT spell::text FROM index_membership_history WHERE superseded_at IS NOT NULL") == [
            ("[2020-01-01,)",)
        ]

    def test_deactivating_closes_and_activating_opens_again(self) -> None:
        add("2020-01-01")
        sql("UPDATE index_memberships SET is_active = false")
        assert current() == ["[2020-01-01,today)"]
        sql("UPDATE index_memberships SET is_active = true")
        assert current() == ["[2020-01-01,today)", "[today,)"]

    def test_an_inactive_membership_opens_nothing(self) -> None:
        sql("INSERT INTO index_memberships (instrument_key, index_id, is_active) VALUES ('NSE:A', 'I', false)")
        assert versions() == 0

    def test_deleted_and_recreated_on_one_day_leaves_no_gap(self) -> None:
        for _ in range(3):
            add("2020-01-01")
            sql("DELETE FROM index_memberships")
        add("2020-01-01")
        assert current() == ["[2020-01-01,today)", "[today,)"]

    def test_a_spell_opened_and_closed_on_one_day_is_only_superseded(self) -> None:
        add()
        sql("DELETE FROM index_memberships")
        assert current() == []
        assert versions() == 1

    @pytest.mark.parametrize("day", ["9999-12-31", "2999-01-01"])
    def test_a_membership_of_the_future_that_never_began_is_only_superseded(self, day: str) -> None:
        add(day)
        assert current() == [f"[{day},)"]
        sql("DELETE FROM index_memberships")
        assert current() == []

    def test_a_corrected_day_replaces_the_open_spell(self) -> None:
        add("2020-01-01")
        sql("UPDATE index_memberships SET date_added = '2019-05-05'")
        assert current() == ["[2019-05-05,)"]
        sql("UPDATE index_memberships SET date_added = NULL")
        assert current() == ["[2019-05-05,)"]
        assert versions() == 2

    def test_a_day_within_an_older_spell_begins_where_that_ends(self) -> None:
        sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,2010-01-01)', now(), 'file')")
        add("2005-01-01")
        assert current() == ["[2000-01-01,2010-01-01)", "[2010-01-01,)"]
        sql("UPDATE index_memberships SET date_added = '1990-01-01'")
        assert current() == ["[2000-01-01,2010-01-01)", "[2010-01-01,)"]
        assert versions() == 2

    def test_an_older_spell_that_ends_in_the_future_is_not_overlapped(self) -> None:
        sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,2999-01-01)', now(), 'file')")
        add("2005-01-01")
        sql("DELETE FROM index_memberships")
        assert current() == ["[2000-01-01,2999-01-01)"]

    def test_an_imported_open_spell_stays_and_is_closed_when_the_membership_goes(self) -> None:
        sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,)', now(), 'file')")
        add("2005-01-01")
        sql("UPDATE index_memberships SET date_added = '2006-01-01'")
        assert current() == ["[2000-01-01,)"]
        assert versions() == 1
        sql("DELETE FROM index_memberships")
        assert current() == ["[2000-01-01,today)"]

    def test_a_write_that_changes_neither_day_nor_activity_leaves_the_history_alone(self) -> None:
        add("2020-01-01")
        sql("UPDATE index_memberships SET weight = 5, sector = 'x'")
        assert versions() == 1

    def test_an_upsert_of_an_existing_membership_leaves_its_spell_open(self) -> None:
        add("2020-01-01")
        sql(
            "INSERT INTO index_memberships (instrument_key, index_id, date_added)"
            " VALUES ('NSE:A', 'I', '2020-01-01'), ('NSE:B', 'I', NULL)"
            " ON CONFLICT (instrument_key, index_id) DO UPDATE SET weight = 3"
        )
        assert current() == ["[2020-01-01,)"]
        assert current("NSE:B") == ["[today,)"]

    def test_truncate_closes_what_was_open_and_nothing_else(self) -> None:
        sql(HISTORY + "('NSE:X', 'I', '[2000-01-01,)', now(), 'file')")
        add("2020-01-01")
        sql("TRUNCATE index_memberships")
        assert current() == ["[2020-01-01,today)"]
        assert current("NSE:X") == ["[2000-01-01,)"]
        assert IndexMembership.objects.count() == 0

    def test_a_version_recorded_after_the_transaction_began_can_still_be_superseded(self) -> None:
        # As when another transaction began later and committed first.
        sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,)', now() + interval '1 second', 'membership')")
        add("2000-01-01")
        sql("DELETE FROM index_memberships")
        assert current() == ["[2000-01-01,today)"]
        assert sql("SELECT count(*) FROM index_membership_history WHERE recorded_at > now()") == [(2,)]

    def test_what_was_known_before_a_closing_can_still_be_asked(self) -> None:
        sql(HISTORY + "('NSE:A', 'I', '[2000-01-01,)', '2020-01-01', 'membership')")
        add("2000-01-01")
        sql("DELETE FROM index_memberships")
        before = dt.datetime(2020, 6, 1, tzinfo=dt.UTC)
        assert pointintime.members("I", TODAY).count() == 0
        assert pointintime.members("I", TODAY - dt.timedelta(days=1)).count() == 1
        assert pointintime.members("I", TODAY, known_at=before).count() == 1

    def test_a_merge_of_thousands_of_rows_is_followed_in_one_go(self) -> None:
        sql(
            "INSERT INTO index_memberships (instrument_key, index_id, date_added)"
            " SELECT 'NSE:S' || n, 'I', '2020-01-01' FROM generate_series(1, 3000) n"
        )
        # The first thousand go, the second get another weight, the third another day, two thousand come.
        started = time.monotonic()
        sql(
            "MERGE INTO index_memberships t USING"
            " (SELECT 'NSE:S' || n AS k, n FROM generate_series(1, 5000) n) s"
            " ON t.instrument_key = s.k AND t.index_id = 'I'"
            " WHEN MATCHED AND s.n <= 1000 THEN DELETE"
            " WHEN MATCHED AND s.n <= 2000 THEN UPDATE SET weight = 1"
            " WHEN MATCHED THEN UPDATE SET date_added = '2021-01-01'"
            " WHEN NOT MATCHED THEN INSERT (instrument_key, index_id, date_added)"
            " VALUES (s.k, 'I', '2022-01-01')"
        )
        took = time.monotonic() - started
        assert sql(
            "SELECT spell::text, count(*) FROM index_membership_history"
            " WHERE superseded_at IS NULL GROUP BY spell ORDER BY spell"
        ) == [
            ("[2020-01-01,)", 1000),
            (f"[2020-01-01,{TODAY})", 1000),
            ("[2021-01-01,)", 1000),
            ("[2022-01-01,)", 2000),
        ]
        # Generous: row by row it would take minutes.
        assert took < 10

    def test_bulk_writes_of_the_orm_are_followed(self) -> None:
        IndexMembership.objects.bulk_create(
            IndexMembership(instrument_key=f"NSE:{n}", index_id="I", date_added=TODAY) for n in range(20)
        )
        IndexMembership.objects.filter(instrument_key="NSE:3").delete()
        assert pointintime.members("I", TODAY).count() == 19


def test_a_writer_of_an_old_snapshot_is_refused_rather_than_misled(stores: None) -> None:
    """Under REPEATABLE READ a spell that another transaction closed meanwhile must not be taken for open."""
    with connections["default"].cursor() as cursor, transaction.atomic():
        cursor.execute("DROP SCHEMA dualwrite CASCADE")
    add("2020-01-01")
    with psycopg.connect(url_of(Store.REGISTRY), options="-c search_path=instrument_registry") as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("SELECT 1 FROM index_memberships")
        sql("DELETE FROM index_memberships")
        with pytest.raises(psycopg.errors.SerializationFailure):
            old.execute("INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:A', 'I')")
    assert current() == ["[2020-01-01,today)"]
