"""A key that the mirror refuses is tried again by itself, then stays parked; keys that block each other go together."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import LiteralString

import pytest
from django.core.management import call_command

from dualwrite.control.parked import redrive
from dualwrite.models import Audit, ParkedKey
from dualwrite.relay import parking, worker
from dualwrite.relay.pipe import Moved
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.admin_site import LOOK, OPERATE, Operator
from tests.integration.moving import eventually
from tests.integration.relays import relay, unattended
from tests.support import add, column, enabled, mirrored, noted, one, opened

PARKED_PAGE = "/admin/dualwrite/parkedkey/"


@contextmanager
def mirror_has(registry: Session, change: LiteralString, back: LiteralString) -> Iterator[None]:
    """The mirror's table is declared otherwise, until this ends."""
    registry.execute(change)
    try:
        yield
    finally:
        registry.execute(back)


UNIQUE_NAME: tuple[LiteralString, LiteralString] = (
    "ALTER TABLE instruments ALTER COLUMN name SET NOT NULL; CREATE UNIQUE INDEX one_name ON instruments (name)",
    "DROP INDEX one_name; ALTER TABLE instruments ALTER COLUMN name DROP NOT NULL",
)
SWAP_NAMES: LiteralString = "UPDATE instruments SET name = CASE name WHEN 'one' THEN 'two' ELSE 'one' END"
#: As a mirror without the feed: nobody hears of rows that go.
UNHEARD: LiteralString = "ALTER TABLE instruments DISABLE TRIGGER note_deleted; "
HEARD: LiteralString = "ALTER TABLE instruments ENABLE TRIGGER note_deleted; "


@contextmanager
def refusing(registry: Session) -> Iterator[None]:
    """A mirror that refuses the sector `bad`, until this ends."""
    change: LiteralString = "ALTER TABLE index_memberships ADD CONSTRAINT not_bad CHECK (sector <> 'bad') NOT VALID"
    with mirror_has(registry, change, "ALTER TABLE index_memberships DROP CONSTRAINT IF EXISTS not_bad"):
        yield


def two_instruments(screener: Session) -> None:
    """A, named one, and B, named two."""
    screener.execute(
        "INSERT INTO instruments (exchange, symbol, name, active)"
        " VALUES ('NSE', 'A', 'one', true), ('NSE', 'B', 'two', true)"
    )


@pytest.fixture
def paused_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other quickly."""
    monkeypatch.setattr(parking, "PAUSE_SECONDS", (0.05, 0.1))
    monkeypatch.setattr("dualwrite.relay.pipe.AGAIN_SECONDS", 0.05)


def test_a_refused_key_arrives_by_itself_once_the_mirror_takes_it(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, paused_briefly: None
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETRY_ATTEMPTS", "100")
    enabled(memberships)
    with relay(memberships):
        with refusing(registry):
            add(screener, "BAD", sector="bad")
            eventually(lambda: ParkedKey.objects.filter(attempts__gt=1).exists())
        eventually(lambda: mirrored(registry) == {"NSE:BAD": None})
        eventually(lambda: not ParkedKey.objects.exists())
    unattended(memberships)
    assert validate(memberships).status == "passed"


def test_a_refused_key_stays_parked_after_its_attempts_until_it_is_redriven(
    screener: Session, registry: Session, memberships: Stream, paused_briefly: None
) -> None:
    enabled(memberships)
    with refusing(registry), relay(memberships):
        add(screener, "BAD", sector="bad")
        eventually(lambda: ParkedKey.objects.filter(attempts=3, next_attempt_at=None).exists())
        add(screener, "GOOD")
        eventually(lambda: "NSE:GOOD" in mirrored(registry))
        assert ParkedKey.objects.get().attempts == 3
    unattended(memberships)
    assert redrive(memberships, TESTER, [ParkedKey.objects.get().key]) == 1
    assert worker.drain(memberships) == Moved(keys=1, parked=0)
    assert not ParkedKey.objects.exists()


def test_a_key_that_only_another_record_can_help_is_not_tried_again(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    add(screener, None)
    worker.drain(memberships)
    parked = ParkedKey.objects.get()
    assert (parked.sqlstate, parked.attempts, parked.next_attempt_at) == ("", 1, None)


def test_each_attempt_comes_later_than_the_one_before(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETRY_ATTEMPTS", "5")
    enabled(memberships)
    pauses = []
    with refusing(registry):
        add(screener, "BAD", sector="bad")
        for _ in range(4):
            worker.drain(memberships)
            row = ParkedKey.objects.get()
            assert row.next_attempt_at is not None
            pauses.append(round((row.next_attempt_at - row.last_parked_at).total_seconds()))
            screener.execute("UPDATE index_memberships SET weight = weight")
    assert pauses == [1, 2, 4, 8]


UNIQUE_WEIGHT = (
    "CREATE UNIQUE INDEX one_weight ON index_memberships (weight)",
    "DROP INDEX IF EXISTS one_weight",
)


@pytest.mark.parametrize("batch_size", [1, 2, 10_000])
def test_two_rows_that_swap_a_unique_value_both_arrive(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    enabled(memberships)
    add(screener, "A", weight=1)
    add(screener, "B", weight=2)
    worker.drain(memberships)
    with mirror_has(registry, *UNIQUE_WEIGHT):
        monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", str(batch_size))
        screener.execute("UPDATE index_memberships SET weight = 3 - weight")
        worker.drain(memberships)
        assert mirrored(registry) == {"NSE:A": 2, "NSE:B": 1}
    assert not ParkedKey.objects.exists()
    assert noted(screener) == []
    assert validate(memberships).status == "passed"


def test_a_list_that_moves_up_arrives_in_one_go(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    for number in range(12):
        add(screener, f"S{number}", weight=number)
    worker.drain(memberships)
    with mirror_has(registry, *UNIQUE_WEIGHT):
        screener.execute("UPDATE index_memberships SET weight = weight + 1")
        assert worker.drain(memberships) == Moved(keys=12, parked=0)
        assert mirrored(registry) == {f"NSE:S{number}": number + 1 for number in range(12)}


def test_a_value_that_is_taken_for_good_holds_nobody_else_up(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """C wants what D keeps; A and B only swap."""
    enabled(memberships)
    for symbol, weight in {"A": 1, "B": 2, "C": 3, "D": 4}.items():
        add(screener, symbol, weight=weight)
    worker.drain(memberships)
    with mirror_has(registry, *UNIQUE_WEIGHT):
        screener.execute("UPDATE index_memberships SET weight = 3 - weight WHERE symbol IN ('A', 'B')")
        screener.execute("UPDATE index_memberships SET weight = 4 WHERE symbol = 'C'")
        worker.drain(memberships)
        assert mirrored(registry) == {"NSE:A": 2, "NSE:B": 1, "NSE:C": 3, "NSE:D": 4}
        assert [row.key for row in ParkedKey.objects.all()] == ['["NSE:C","NIFTY 50"]']


def test_keys_of_two_relays_that_swap_are_applied_together(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """Each relay has some of the partitions, and the keys are in different ones."""
    enabled(memberships)
    for number in range(8):
        add(screener, f"S{number}", weight=number)
    worker.drain(memberships)
    with mirror_has(registry, *UNIQUE_WEIGHT):
        screener.execute("UPDATE index_memberships SET weight = 7 - weight")
        lanes = sorted(set(column(screener, "SELECT lane & 15 FROM dualwrite.outbox")))
        assert len(lanes) > 1
        for part in (lanes[:1], lanes[1:]):
            with opened(memberships) as pipe:
                pipe.partitions = part
                while pipe.move().keys:
                    pass
        assert mirrored(registry) == {f"NSE:S{number}": 7 - number for number in range(8)}
    assert not ParkedKey.objects.exists()


def test_a_batch_that_fails_costs_no_partition_its_turn(
    screener: Session, memberships: Stream, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read ahead is dropped after a failure; the partition it was read from comes next all the same."""
    enabled(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "1")
    with refusing(registry), opened(memberships) as pipe:
        for number in range(200):
            add(screener, f"S{number}", sector="bad")
        assert len(column(screener, "SELECT DISTINCT lane & 15 FROM dualwrite.outbox")) == 16
        for _ in range(16):
            assert pipe.move().parked == 1
        taken = column(registry, "SELECT DISTINCT hashtextextended(key, 0) & 15 FROM dualwrite_parked")
        assert sorted(map(int, taken)) == list(range(16))


def test_rows_that_swap_a_value_that_may_not_be_null_keep_what_is_the_mirrors_own(
    screener: Session, registry: Session, instruments: Stream
) -> None:
    enabled(instruments)
    two_instruments(screener)
    worker.drain(instruments)
    more: LiteralString = "; ALTER TABLE instruments ADD COLUMN note text DEFAULT gen_random_uuid()"
    less: LiteralString = "; ALTER TABLE instruments DROP COLUMN note"
    with mirror_has(registry, UNHEARD + UNIQUE_NAME[0] + more, HEARD + UNIQUE_NAME[1] + less):
        notes = registry.execute("SELECT symbol, note FROM instruments ORDER BY symbol").fetchall()
        screener.execute(SWAP_NAMES)
        assert worker.drain(instruments) == Moved(keys=2, parked=0)
        assert column(registry, "SELECT name FROM instruments ORDER BY symbol") == ["two", "one"]
        assert registry.execute("SELECT symbol, note FROM instruments ORDER BY symbol").fetchall() == notes


def test_rows_are_not_taken_out_where_a_foreign_key_would_take_others_along(
    screener: Session, registry: Session, instruments: Stream
) -> None:
    enabled(instruments)
    two_instruments(screener)
    worker.drain(instruments)
    more: LiteralString = (
        "; CREATE TABLE of_instrument (key text REFERENCES instruments (instrument_key) ON DELETE CASCADE);"
        " INSERT INTO of_instrument VALUES ('NSE:A')"
    )
    less: LiteralString = "; DROP TABLE of_instrument"
    with mirror_has(registry, UNHEARD + UNIQUE_NAME[0] + more, HEARD + UNIQUE_NAME[1] + less):
        screener.execute(SWAP_NAMES)
        assert worker.drain(instruments).parked
        assert one(registry, "SELECT count(*) FROM of_instrument") == 1
        assert ParkedKey.objects.count() == 2


def test_rows_are_not_taken_out_where_a_trigger_hears_of_it(
    screener: Session, registry: Session, instruments: Stream
) -> None:
    """The feed would tell consumers that instruments went and came."""
    enabled(instruments)
    two_instruments(screener)
    worker.drain(instruments)
    with mirror_has(registry, *UNIQUE_NAME):
        screener.execute(SWAP_NAMES)
        assert worker.drain(instruments).parked
        assert one(registry, "SELECT count(*) FROM instrument_registry.changes WHERE after IS NULL") == 0


def test_some_parked_keys_are_sent_again_by_name(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    with refusing(registry):
        for symbol in "ABC":
            add(screener, symbol, sector="bad")
        assert worker.drain(memberships).parked == 3
    keys = [f'["NSE:{symbol}","NIFTY 50"]' for symbol in "AB"]
    given = [word for key in keys for word in ("--key", key)]
    call_command("dualwrite", "redrive", "--stream", memberships.name, *given, stdout=StringIO())
    worker.drain(memberships)
    assert set(mirrored(registry)) == {"NSE:A", "NSE:B"}


def test_the_admin_sends_selected_keys_again_for_those_who_may(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    with refusing(registry):
        add(screener, "A", sector="bad")
        worker.drain(memberships)
    chosen = {"action": "redrive_keys", "_selected_action": [ParkedKey.objects.get().pk]}
    Operator("view_parkedkey", LOOK).client.post(PARKED_PAGE, chosen)
    assert noted(screener) == []
    page = Operator("view_parkedkey", LOOK, OPERATE, name="bert").client.post(PARKED_PAGE, chosen, follow=True)
    assert "1 keys noted again" in page.content.decode()
    assert worker.drain(memberships) == Moved(keys=1, parked=0)
    assert Audit.objects.filter(verb="redrive", actor="bert").exists()
