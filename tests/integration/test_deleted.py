"""Rows that the relay deletes from the mirror are kept for a while, and can be had back."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from dualwrite import writing
from dualwrite.control.deleted import Undeleted, deleted, undelete
from dualwrite.exceptions import UsageError
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from dualwrite.validation.run import validate
from tests.support import add, enabled, fill, mirrored, one

WHY = Actor("ops", "the import was wrong")
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
