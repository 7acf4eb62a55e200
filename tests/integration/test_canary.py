"""The canary shows that writes are noted and notes relayed, disturbs nobody and leaves nothing behind."""

import pytest

from dualwrite import outbox, switch
from dualwrite.control import canary as canary_module
from dualwrite.control.canary import canary, round_trip, traceless
from dualwrite.control.pause import pause
from dualwrite.models import ParkedKey
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.integration.relays import relay, unattended
from tests.support import add, column, enabled, engine_role, noted, one, opened

KEY = '["NSE:A","NIFTY 50"]'
VERSIONS = "SELECT (xmin, ctid)::text FROM index_memberships ORDER BY id"


@pytest.fixture(autouse=True)
def mirrored_row(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row, mirrored; nobody relays any more."""
    add(screener, "A", weight=2)
    enabled(memberships)
    unattended(memberships)
    monkeypatch.setattr(canary_module, "PATIENCE_SECONDS", 20.0)


@pytest.fixture
def hasty(mirrored_row: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there at once is not waited for."""
    monkeypatch.setattr(canary_module, "PATIENCE_SECONDS", 0.2)


def test_a_write_is_seen_noted_and_nothing_remains(screener: Session, memberships: Stream) -> None:
    before = column(screener, VERSIONS)
    found = traceless(memberships, Store.SCREENER)
    assert (found.why, found.facts["key"]) == ("", KEY)
    assert 0 < found.facts["milliseconds"] < 5_000
    assert column(screener, VERSIONS) == before
    assert noted(screener) == []


def test_a_note_that_is_there_already_is_not_taken_for_the_canarys(screener: Session, memberships: Stream) -> None:
    screener.execute("UPDATE index_memberships SET weight = 3")
    assert noted(screener) == [KEY]
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_update")
    found = traceless(memberships, Store.SCREENER)
    assert found.why == f"a write of key {KEY} was not noted in the outbox"
    assert found.mend == "manage.py dualwrite install --store screener"


def test_a_row_that_a_writer_has_locked_is_left_alone(screener: Session, memberships: Stream) -> None:
    add(screener, "B")
    with dedicated(Store.SCREENER, "test writer") as writer, writer.transaction(force_rollback=True):
        writer.execute("UPDATE index_memberships SET weight = 5 WHERE symbol = 'A'")
        found = traceless(memberships, Store.SCREENER)
    assert (found.why, found.facts["key"]) == ("", '["NSE:B","NIFTY 50"]')


@pytest.mark.usefixtures("hasty")
def test_when_writers_have_every_row_nobody_is_waited_for(screener: Session, memberships: Stream) -> None:
    with dedicated(Store.SCREENER, "test writer") as writer, writer.transaction(force_rollback=True):
        writer.execute("UPDATE index_memberships SET weight = 5")
        found = traceless(memberships, Store.SCREENER)
        # The writer goes on undisturbed.
        writer.execute("UPDATE index_memberships SET weight = 6")
    assert found.why == "no row of stream index_memberships could be tried: writers hold every row"
    assert found.mend


@pytest.mark.usefixtures("hasty")
def test_it_gives_way_to_a_switch(memberships: Stream) -> None:
    with switch.span(memberships, Store.SCREENER, patience=1, silence=30):
        found = traceless(memberships, Store.SCREENER)
    assert "the stream's lock or the table is held" in found.why


def test_a_store_that_takes_no_writes_is_not_proven(screener: Session, memberships: Stream) -> None:
    screener.execute("UPDATE dualwrite.stream_state SET role = 'fenced'")
    found = traceless(memberships, Store.SCREENER)
    assert found.why.startswith("a write that changes nothing was refused: stream index_memberships: a switch")


def test_an_empty_table_has_no_row_to_test_with(screener: Session, memberships: Stream) -> None:
    screener.execute("DELETE FROM index_memberships")
    with relay(memberships):
        found = canary(memberships, Store.SCREENER)
    assert found.why == ""
    assert found.facts == {
        "noted": {"skipped": "no row to test with"},
        "relayed": {"skipped": "no row to test with"},
    }


def test_a_row_without_a_whole_key_is_no_row_to_test_with(screener: Session, memberships: Stream) -> None:
    screener.execute("UPDATE index_memberships SET symbol = NULL")
    assert traceless(memberships, Store.SCREENER).facts == {"skipped": "no row to test with"}


def test_without_the_right_to_update_only_the_first_part_is_left_out(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_role(screener, monkeypatch, only_reads=True), relay(memberships):
        found = canary(memberships, Store.SCREENER)
    assert found.why == ""
    assert found.facts["noted"] == {"skipped": "the engine's role has no right to update public.index_memberships"}
    assert found.facts["relayed"]["key"] == KEY


def test_a_noted_key_is_seen_relayed(screener: Session, memberships: Stream) -> None:
    with relay(memberships):
        found = canary(memberships, Store.SCREENER)
    assert found.why == ""
    assert found.facts["relayed"]["key"] == KEY
    assert 0 < found.facts["relayed"]["milliseconds"] < 10_000
    assert noted(screener) == []


def test_a_key_that_is_written_all_the_time_is_seen_relayed_as_well(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes younger than the canary's are none of its business."""
    highest = outbox.highest

    def relayed_and_written_again(stream: Stream, store: Store) -> int:
        newest = highest(stream, store)
        screener.execute("DELETE FROM dualwrite.outbox")
        screener.execute("UPDATE index_memberships SET weight = weight + 1")
        return newest

    monkeypatch.setattr(outbox, "highest", relayed_and_written_again)
    with opened(memberships):
        assert round_trip(memberships, Store.SCREENER).why == ""
    assert noted(screener) == [KEY]


@pytest.mark.usefixtures("hasty")
def test_without_a_relay_it_says_how_to_start_one_and_notes_nothing(screener: Session, memberships: Stream) -> None:
    found = canary(memberships, Store.SCREENER)
    assert found.facts["noted"]["key"] == KEY
    assert found.why == "no key can be seen relayed: no relay works on stream index_memberships"
    assert found.mend == "manage.py relay --stream index_memberships"
    assert noted(screener) == []


@pytest.mark.usefixtures("hasty")
def test_a_paused_stream_relays_no_canary(screener: Session, memberships: Stream) -> None:
    pause(memberships, TESTER)
    with opened(memberships):
        found = canary(memberships, Store.SCREENER)
    assert found.why == "no key can be seen relayed: an operator paused the stream"
    assert found.mend == "manage.py dualwrite resume --stream index_memberships"


def test_a_relay_that_has_its_partitions_and_does_nothing_is_found_out(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_CANARY_TIMEOUT_SECONDS", "0.3")
    with opened(memberships):
        found = canary(memberships, Store.SCREENER)
    assert found.why == f"key {KEY} was noted and not relayed within 0.3 s"
    assert "run_health_checks" in found.mend
    assert found.facts["relayed"]["milliseconds"] >= 300
    # The note stays, harmless: the next relay sees to it.
    assert noted(screener) == [KEY]


def test_a_key_that_cannot_be_applied_is_no_success(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_update")
    screener.execute("UPDATE index_memberships SET weight = 1000000")
    screener.execute("ALTER TABLE index_memberships ENABLE ALWAYS TRIGGER dualwrite_b_update")
    with relay(memberships):
        found = canary(memberships, Store.SCREENER)
        assert found.why.startswith(f"key {KEY} could not be applied and was parked: ")
        # From now on it is not chosen any more.
        add(screener, "B")
        assert canary(memberships, Store.SCREENER).facts["relayed"]["key"] == '["NSE:B","NIFTY 50"]'


def test_where_every_key_is_parked_there_is_nothing_to_see_relayed(screener: Session, memberships: Stream) -> None:
    ParkedKey.objects.create(stream=memberships.name, key=KEY, error="x")
    with opened(memberships):
        found = canary(memberships, Store.SCREENER)
    assert found.why == "the first 1 keys of stream index_memberships are all parked"
    assert found.mend == "manage.py dualwrite parked --stream index_memberships"
    assert one(screener, "SELECT count(*) FROM dualwrite.outbox") == 0
