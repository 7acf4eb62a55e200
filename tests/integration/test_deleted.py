"""Rows that the relay deletes from the mirror are kept for a while, and can be had back."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dualwrite import capture, failpoints, writing
from dualwrite.control import deleted as control
from dualwrite.control import transition
from dualwrite.control.deleted import Undeleted, deleted, undelete
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import ConcurrentChange, Refused, UsageError
from dualwrite.management import deleted as listing
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import Actor, locks
from dualwrite.validation.run import validate
from tests.integration.moving import Killed, kill
from tests.support import add, at_work, column, enabled, fill, mirrored, one, tampered, until_it_waits

WHY = Actor("ops", "the import was wrong")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEPT = "INSTRUMENT_REGISTRY_DELETED_ROWS_KEPT_DAYS"


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, screener: Session, memberships: Stream) -> Iterator[None]:
    enabled(memberships)
    add(screener, "A", weight="1.50", sector="a 'quoted' one, with \\ and é", effective_date="2024-02-29")
    add(screener, "B")
    worker.drain(memberships)
    yield
    writing.close()


def key(symbol: str) -> str:
    return f'["NSE:{symbol}","NIFTY 50"]'


def delete(screener: Session, stream: Stream, symbol: str) -> None:
    screener.execute("DELETE FROM index_memberships WHERE symbol = %s", (symbol,))
    worker.drain(stream)


def test_a_deleted_row_is_kept_whole(screener: Session, registry: Session, memberships: Stream) -> None:
    before = one(registry, "SELECT to_jsonb(t) FROM index_memberships t WHERE instrument_key = 'NSE:A'")
    delete(screener, memberships, "A")
    (kept,) = deleted(memberships)
    assert (kept.key, kept.store, kept.row) == (key("A"), Store.REGISTRY, before)
    assert kept.record is not None
    assert kept.record["weight"] == "1.500000"


def test_what_was_deleted_is_had_back_exactly_and_by_the_relay(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    columns = (
        "SELECT symbol, exchange, index_name, weight, sector, effective_date FROM index_memberships WHERE symbol = 'A'"
    )
    before = screener.execute(columns).fetchone()
    delete(screener, memberships, "A")
    assert undelete(memberships, WHY, keys=[key("A")], since=None) == Undeleted("index_memberships", 1, 0)
    worker.drain(memberships)
    assert screener.execute(columns).fetchone() == before
    assert mirrored(registry)["NSE:A"] == Decimal("1.5")
    assert validate(memberships).status == "passed"
    audited = "SELECT reason FROM dualwrite.audit WHERE verb = 'undelete'"
    assert one(registry, audited) == WHY.reason


def test_all_that_was_deleted_since_then_comes_back_and_nothing_newer_is_overwritten(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    fill(screener, 300)
    worker.drain(memberships)
    then = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "1000")
        screener.execute("DELETE FROM index_memberships WHERE symbol LIKE 'S%'")
        worker.drain(memberships)
    add(screener, "S7", "X", weight=9)
    assert undelete(memberships, WHY, keys=None, since=then, dry_run=True).written == 299
    assert one(screener, "SELECT count(*) FROM index_memberships WHERE symbol LIKE 'S%'") == 1
    assert undelete(memberships, WHY, keys=None, since=then) == Undeleted("index_memberships", 299, 1)
    worker.drain(memberships)
    assert mirrored(registry)["NSE:S7"] == 9
    assert one(screener, "SELECT count(*) FROM index_memberships WHERE symbol LIKE 'S%'") == 300
    assert undelete(memberships, WHY, keys=None, since=then).written == 0, "again, it changes nothing"
    assert undelete(memberships, WHY, keys=None, since=datetime.now(UTC) + timedelta(days=1)).written == 0


def test_the_last_of_several_deleted_rows_of_a_key_counts(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    delete(screener, memberships, "B")
    add(screener, "B", weight=2)
    worker.drain(memberships)
    delete(screener, memberships, "B")
    undelete(memberships, WHY, keys=[key("B")], since=None)
    worker.drain(memberships)
    assert mirrored(registry)["NSE:B"] == 2


def test_rows_are_given_up_when_they_were_kept_for_long_enough(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete(screener, memberships, "A")
    registry.execute("UPDATE dualwrite.deleted SET deleted_at = now() - interval '31 days'")
    delete(screener, memberships, "B")
    add(screener, "C")
    worker.drain(memberships)
    assert [row.key for row in deleted(memberships)] == [key("B")]
    monkeypatch.setenv(KEPT, "0")
    delete(screener, memberships, "C")
    assert key("C") not in [row.key for row in deleted(memberships)]


@pytest.fixture
def a_value_that_jsonb_does_not_take(registry: Session, memberships: Stream) -> Iterator[None]:
    """A column of the mirror's own, of the type json, has it in the row of A."""
    registry.execute("ALTER TABLE index_memberships ADD COLUMN notes json")
    capture.install(Store.REGISTRY)
    tampered(registry, "UPDATE index_memberships SET notes = '\"\\u0000\"' WHERE instrument_key = 'NSE:A'")
    yield
    registry.execute("ALTER TABLE index_memberships DROP COLUMN notes")


def test_a_row_that_cannot_be_kept_is_deleted_all_the_same_and_the_others_are_kept(
    screener: Session,
    registry: Session,
    memberships: Stream,
    a_value_that_jsonb_does_not_take: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    screener.execute("DELETE FROM index_memberships")
    with caplog.at_level(logging.WARNING):
        assert worker.drain(memberships).parked == 0
    assert mirrored(registry) == {}
    assert [row.key for row in deleted(memberships)] == [key("B")]
    assert "a deleted row is not kept: UntranslatableCharacter (22P05)" in caplog.text


@pytest.mark.parametrize(
    ("who", "keys", "sentence"),
    [
        (Actor("ops", ""), [key("A")], "undelete needs a reason"),
        (WHY, None, "say which: --key KEY"),
        (WHY, [key("NEVER")], "not kept as deleted from index_memberships"),
    ],
)
def test_undeleting_needs_a_reason_and_something_that_was_deleted(
    memberships: Stream, who: Actor, keys: list[str] | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        undelete(memberships, who, keys=keys, since=None)


def test_more_than_fit_into_one_transaction_come_back(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "AT_A_TIME", 7)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "1000")
    fill(screener, 50)
    worker.drain(memberships)
    screener.execute("DELETE FROM index_memberships")
    worker.drain(memberships)
    assert undelete(memberships, WHY, keys=None, since=LONG_AGO) == Undeleted("index_memberships", 52, 0)
    assert one(screener, "SELECT count(*) FROM index_memberships") == 52


def test_of_a_key_deleted_in_both_stores_the_later_row_counts(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """First the old store kept a row of it, as the mirror of then; later the registry."""
    hand_over(memberships, Store.REGISTRY, WHY)
    registry.execute("DELETE FROM index_memberships WHERE instrument_key = 'NSE:B'")
    worker.drain(memberships)
    undelete(memberships, WHY, keys=[key("B")], since=None)
    worker.drain(memberships)
    hand_over(memberships, Store.SCREENER, WHY)
    screener.execute("UPDATE index_memberships SET weight = 2 WHERE symbol = 'B'")
    worker.drain(memberships)
    delete(screener, memberships, "B")
    assert undelete(memberships, WHY, keys=None, since=LONG_AGO) == Undeleted("index_memberships", 1, 0)
    assert one(screener, "SELECT weight FROM index_memberships WHERE symbol = 'B'") == 2


def test_a_write_by_the_service_in_the_same_moment_is_waited_for(screener: Session, memberships: Stream) -> None:
    """It locks its keys, and then waits for the stream: the other way round, each waited for the other."""
    delete(screener, memberships, "A")
    lock = "SELECT pg_advisory_xact_lock(25728, hashtext('index_memberships/' || (hashtextextended(%s, 0) & 255)))"
    with dedicated(Store.SCREENER, "a write") as session:
        session.execute("BEGIN")
        session.execute(lock, (key("A"),))
        with at_work(lambda: undelete(memberships, WHY, keys=[key("A")], since=None)) as undeleting:
            until_it_waits(screener, undeleting)
            add(session, "A", weight=7)
            session.execute("COMMIT")
            assert undeleting.result(20) == Undeleted("index_memberships", 0, 1)
    assert one(screener, "SELECT weight FROM index_memberships WHERE symbol = 'A'") == 7


def test_a_writer_that_does_not_end_is_named_as_the_cause_and_holds_no_other_one_up(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "DEADLINE_SECONDS", 1.0)
    delete(screener, memberships, "A")
    with dedicated(Store.SCREENER, "long") as long, dedicated(Store.SCREENER, "short") as short:
        short.execute("SET lock_timeout = '2s'")
        with long.transaction():
            add(long, "LONG")
            with at_work(lambda: undelete(memberships, WHY, keys=[key("A")], since=None)) as undeleting:
                until_it_waits(screener, undeleting)
                add(short, "SHORT")
                with pytest.raises(Refused, match="a writer does not finish; try again"):
                    undeleting.result(20)
    assert undelete(memberships, WHY, keys=[key("A")], since=None).written == 1


@pytest.fixture
def all_but_two_can_be_written(screener: Session, registry: Session, memberships: Stream) -> Iterator[None]:
    """Nine deleted records; the row of one cannot be read any more, another one breaks a new rule of the table."""
    for symbol in "CDEFGHI":
        add(screener, symbol)
    worker.drain(memberships)
    screener.execute("DELETE FROM index_memberships")
    worker.drain(memberships)
    registry.execute('UPDATE dualwrite.deleted SET row = row || \'{"weight": "many"}\' WHERE key = %s', (key("C"),))
    screener.execute("ALTER TABLE index_memberships ADD CONSTRAINT no_d CHECK (symbol <> 'D')")
    yield
    screener.execute("ALTER TABLE index_memberships DROP CONSTRAINT no_d")


def test_records_that_cannot_be_written_are_named_and_the_others_come_back(
    screener: Session, all_but_two_can_be_written: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--stream", "index_memberships", "--since", "2020-01-01", "--reason", "by mistake"]
    with pytest.raises(SystemExit) as ended:
        call_command("dualwrite", "undelete", *words)
    assert ended.value.code == 1
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "index_memberships: 7 records written again, 0 are there already"
    assert [key("C") in line or key("D") in line for line in others] == [True, True]
    assert column(screener, "SELECT symbol FROM index_memberships ORDER BY symbol") == [*"ABEFGHI"]
    call_command("dualwrite", "deleted")
    assert key("C") in capsys.readouterr().out, "it can be looked at, whatever its values are"


def test_where_too_many_are_refused_no_more_are_tried_and_what_was_done_is_audited(
    screener: Session, registry: Session, memberships: Stream, all_but_two_can_be_written: None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "MOST_REFUSED", 2)
        with pytest.raises(Refused, match="records were written again, 2 cannot be, and no more were tried"):
            undelete(memberships, WHY, keys=None, since=LONG_AGO)
    audited = "SELECT sum((evidence ->> 'written')::int) FROM dualwrite.audit WHERE verb = 'undelete'"
    assert one(registry, audited) == one(screener, "SELECT count(*) FROM index_memberships") > 0


def test_a_list_that_is_not_the_whole_says_so(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "MOST", 1)
    delete(screener, memberships, "A")
    call_command("dualwrite", "deleted")
    assert "There are more" not in capsys.readouterr().out
    delete(screener, memberships, "B")
    call_command("dualwrite", "deleted")
    assert "There are more: these are the last 1" in capsys.readouterr().out


def test_a_switch_that_was_left_half_done_is_ended_first(screener: Session, memberships: Stream) -> None:
    delete(screener, memberships, "A")
    failpoints.at("switch fenced", kill)
    with pytest.raises(Killed):
        hand_over(memberships, Store.REGISTRY, WHY)
    failpoints.clear()
    assert undelete(memberships, WHY, keys=[key("A")], since=None).written == 1


def test_while_a_switch_is_under_way_it_is_said_to_be(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete(screener, memberships, "A")
    monkeypatch.setattr(transition, "settle_and_repair", lambda *_: False)
    screener.execute("UPDATE dualwrite.stream_state SET role = 'fenced' WHERE stream = 'index_memberships'")
    with pytest.raises(ConcurrentChange, match=r"a switch between the stores is under way$"):
        undelete(memberships, WHY, keys=[key("A")], since=None)


def test_rows_that_are_given_up_in_the_same_moment_are_left_out(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay prunes them between the look for rows and the reading of their records."""
    delete(screener, memberships, "A")
    delete(screener, memberships, "B")
    read = control._read_records

    def after_pruning(*about: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        registry.execute("DELETE FROM dualwrite.deleted WHERE key = %s", (key("A"),))
        return read(*about)

    monkeypatch.setattr(control, "_read_records", after_pruning)
    assert [row.key for row in deleted(memberships)] == [key("B")]


@pytest.mark.parametrize("since", ["", "yesterday", "2026-13-01", "0001-01-01T00:00+23:59", "9999-12-31T23:59-23:59"])
def test_what_is_no_point_in_time_is_no_valid_request(stores: None, since: str) -> None:
    with pytest.raises(CommandError, match="is no point in time; valid: 2026-05-01") as refused:
        call_command("dualwrite", "deleted", f"--since={since}")
    assert refused.value.returncode == 2


def test_the_commands_list_and_bring_back(screener: Session, registry: Session, memberships: Stream) -> None:
    delete(screener, memberships, "A")
    out = StringIO()
    call_command("dualwrite", "deleted", "--json", stdout=out)
    assert [row["key"] for row in json.loads(out.getvalue())["deleted"]] == [key("A")]
    out = StringIO()
    words = ["--stream", "index_memberships", "--key", key("A"), "--reason", "by mistake"]
    call_command("dualwrite", "undelete", *words, stdout=out)
    assert out.getvalue().strip() == "index_memberships: 1 records written again, 0 are there already"
    worker.drain(memberships)
    assert "NSE:A" in mirrored(registry)
