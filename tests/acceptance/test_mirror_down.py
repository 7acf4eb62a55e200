"""The mirror's database is away for a while under load: no write fails, and all of it arrives when it is back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest
from django.db import connections
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dualwrite import outbox, writing
from dualwrite.control.enable import enable
from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import dedicated
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from dualwrite.writing import Outcome
from tests.acceptance.test_kills import killed_at_the_end
from tests.conftest import TESTER, url_of
from tests.integration.moving import eventually


@dataclass
class Load:
    """Writers of two kinds, each at half of so many writes a second, until told to stop."""

    stream: Stream
    rate: float
    stop: threading.Event = field(default_factory=threading.Event)
    failed: list[str] = field(default_factory=list)
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    written: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Both writers at work."""
        threads = [threading.Thread(target=self._paced, args=(write,)) for write in (self._service, self._raw)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def _paced(self, writer: Callable[[], AbstractContextManager[Callable[[int], None]]]) -> None:
        with writer() as write:
            number = 0
            while not self.stop.wait(2 / self.rate):
                number += 1
                try:
                    write(number)
                    self.written += 1
                except Exception as exc:  # whatever it is, it is what must not be
                    self.failed.append(repr(exc))

    @contextmanager
    def _service(self) -> Iterator[Callable[[int], None]]:
        def write(number: int) -> None:
            fields = {"weight": number % 100, "sector": "service", "date_added": None}
            key = {"instrument_key": f"NSE:A{number % 500}", "index_id": "X"}
            (one,) = self.stream.write([{**key, **fields}])
            assert one.stores[Store.SCREENER].outcome is Outcome.WRITTEN
            outcome = one.stores[Store.REGISTRY].outcome
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

        try:
            yield write
        finally:
            writing.close()
            connections.close_all()

    @contextmanager
    def _raw(self) -> Iterator[Callable[[int], None]]:
        def write(number: int) -> None:
            query = (
                "INSERT INTO index_memberships (symbol, exchange, index_name, weight) SELECT s, 'NSE', 'X', %(weight)s"
                " FROM (SELECT %(symbol)s::text) AS n (s)"
                " WHERE NOT EXISTS (SELECT FROM index_memberships WHERE symbol = s)"
            )
            values = {"symbol": f"B{number % 500}", "weight": number % 100}
            if not session.execute(query, values).rowcount:
                update = "UPDATE index_memberships SET weight = %(weight)s WHERE symbol = %(symbol)s"
                assert session.execute(update, values).rowcount == 1

        with dedicated(Store.SCREENER, "raw writer") as session:
            yield write


@contextmanager
def away(store: Store) -> Iterator[None]:
    """The store's database ends every session and accepts none, until this ends."""
    url = url_of(store)
    name = str(conninfo_to_dict(url)["dbname"])
    accept = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as server:
        server.execute(accept.format(sql.Identifier(name), sql.SQL("false")))
        try:
            server.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
            yield
        finally:
            server.execute(accept.format(sql.Identifier(name), sql.SQL("true")))


@pytest.mark.parametrize(
    ("rate", "seconds"), [(60, 4), pytest.param(300, 60, marks=pytest.mark.deep)], ids=["briefly", "a minute"]
)
def test_no_write_fails_while_the_mirror_is_down_and_all_of_it_arrives(
    stores: None, memberships: Stream, rate: float, seconds: float
) -> None:
    enable(memberships, TESTER)
    worker.drain(memberships)
    load = Load(memberships, rate)
    with killed_at_the_end("relay") as relay:
        with load.running():
            eventually(lambda: load.written > rate / 2, 30)
            with away(Store.REGISTRY):
                before = load.written
                eventually(lambda: load.written > before + rate * seconds * 0.9, seconds * 10)
                assert outbox.pending(memberships, Store.SCREENER).count > 100
            eventually(lambda: load.outcomes.get(Outcome.PENDING, 0) > 0, 10)
        connections.close_all()
        assert load.failed == []
        eventually(lambda: outbox.pending(memberships, Store.SCREENER).count == 0, 60)
        assert relay.poll() is None, "the relay has gone on by itself"
    assert not ParkedKey.objects.exists()
    run = validate(memberships, level="strict")
    assert (run.status, run.differences) == ("passed", [])
    assert run.matched
