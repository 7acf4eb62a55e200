"""Fleets of relays under everything at once: kills, a poison record, swapped values, a backfill, a busy mirror."""

import random
import threading
from contextlib import ExitStack

import pytest

from dualwrite.control.backfill import backfill
from dualwrite.control.enable import enable
from dualwrite.control.parked import redrive
from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.acceptance.test_kills import killed_at_the_end
from tests.conftest import TESTER
from tests.integration.test_parking import UNIQUE_WEIGHT, mirror_has
from tests.support import add, at_work, mirrored

ROWS, KILLS = 40, 4
SETTINGS = {
    "INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS": "1000000",
    "INSTRUMENT_REGISTRY_BATCH_SIZE": "10",
    "INSTRUMENT_REGISTRY_MIRROR_MAX_SESSIONS": "1",
}
POISON = '["NSE:BAD","NIFTY 50"]'


def swap(stop: threading.Event, done: list[int]) -> None:
    """Two rows exchange their weights, again and again; each is unique in the mirror at every moment."""
    dice = random.Random(7)
    with dedicated(Store.SCREENER, "writer") as session:
        while not stop.is_set():
            one, other = dice.sample(range(ROWS), 2)
            session.execute(
                "UPDATE index_memberships AS t SET weight = o.weight FROM index_memberships AS o"
                " WHERE (t.symbol, o.symbol) IN ((%(a)s, %(b)s), (%(b)s, %(a)s))",
                {"a": f"S{one}", "b": f"S{other}"},
            )
            done.append(1)
            stop.wait(0.01)


def keep_busy(stop: threading.Event) -> None:
    """Other people's sessions in the mirror, at work half of the time."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(dedicated(Store.REGISTRY, "x")) for _ in range(2)]
        for session in sessions:
            session.execute("SET application_name = 'somebody else'")
        while not stop.wait(0.5):
            with at_work(lambda: sessions[0].execute("SELECT pg_sleep(0.5)")):
                sessions[1].execute("SELECT pg_sleep(0.5)")


@pytest.mark.alone
@pytest.mark.parametrize("relays", [pytest.param(1, marks=pytest.mark.deep), 4])
def test_a_killed_fleet_converges_with_only_the_poison_parked(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, relays: int
) -> None:
    enable(memberships, TESTER)
    for number in range(ROWS):
        add(screener, f"S{number}", weight=number)
    add(screener, "BAD", weight=101)
    worker.drain(memberships)
    stop, done = threading.Event(), list[int]()
    with mirror_has(registry, *UNIQUE_WEIGHT):
        with at_work(lambda: swap(stop, done)) as swapping, at_work(lambda: keep_busy(stop)) as busy:
            try:
                for turn in range(KILLS):
                    with ExitStack() as fleet:
                        for _ in range(relays):
                            fleet.enter_context(killed_at_the_end("relay", **SETTINGS))
                        _until_relayed_more(registry, memberships)
                        if turn == 1:
                            backfill(memberships, TESTER)
            finally:
                stop.set()
            swapping.result(20)
            busy.result(20)
        assert len(done) > 50
        for name, value in SETTINGS.items():
            monkeypatch.setenv(name, "0" if "SESSIONS" in name else value)
        worker.drain(memberships)
        if ParkedKey.objects.exists():
            redrive(memberships, TESTER)
            worker.drain(memberships)
        assert list(ParkedKey.objects.values_list("key", flat=True)) == [POISON]
        assert sorted(mirrored(registry).values()) == list(range(ROWS))
        run = validate(memberships)
        assert [difference["key"] for difference in run.differences] == [POISON]
    screener.execute("UPDATE index_memberships SET weight = 99 WHERE symbol = 'BAD'")
    worker.drain(memberships)
    assert not ParkedKey.objects.exists()
    assert validate(memberships).status == "passed"


def _until_relayed_more(registry: Session, stream: Stream) -> None:
    query = "SELECT sum(applied) FROM dualwrite.relay_fence WHERE stream = %s"
    before = registry.execute(query, (stream.name,)).fetchone()
    for _ in range(400):
        if registry.execute(query, (stream.name,)).fetchone() != before:
            return
        threading.Event().wait(0.05)
    raise AssertionError("no relay within 20 s")
