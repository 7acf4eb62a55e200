"""A streamed table is trimmed where the registry takes its writes: the old table follows, nothing is found missing."""

from pathlib import Path

import pytest
from django.conf import settings

from dualwrite import failpoints
from dualwrite.exceptions import Refused
from dualwrite.models import ParkedKey, RetentionPolicy, RetentionRun
from dualwrite.relay import worker
from dualwrite.retention.approval import approve
from dualwrite.retention.run import Order, run
from dualwrite.stages import Stage
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.integration.letters import OPERATOR, execute
from tests.integration.moving import bring, quick, relay_at_work
from tests.support import column, enabled, one


@pytest.fixture(autouse=True)
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path))


@pytest.fixture
def live(screener: Session, registry: Session, instruments: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry takes the writes of instruments; three are old, one is new, all are relayed."""
    quick(monkeypatch)
    screener.execute("INSERT INTO instruments (symbol, exchange) VALUES ('NEW', 'NSE')")
    with relay_at_work(instruments):
        bring(instruments, Stage.LIVE)
    for symbol in ("ONE", "TWO", "SIX"):
        registry.execute(
            "INSERT INTO instruments (instrument_key, symbol, exchange, updated_at)"
            " VALUES ('NSE:' || %(s)s, %(s)s, 'NSE', now() - interval '10 years')",
            {"s": symbol},
        )
    worker.drain(instruments)


def approved() -> None:
    RetentionPolicy.objects.create(
        name="stale", table="instruments", action="mark_inactive", date="updated_at", max_percent=100
    )
    run("stale", Order(OPERATOR))
    approve("stale", OPERATOR)


def drained(stream: Stream) -> None:
    worker.drain(stream)


def inactive(registry: Session) -> list[str]:
    return column(registry, "SELECT symbol FROM instruments WHERE NOT is_active ORDER BY symbol")


def test_the_old_table_follows_and_a_validation_finds_nothing_missing(
    live: None, screener: Session, registry: Session, instruments: Stream
) -> None:
    approved()

    done = execute("stale")

    assert (done.status, done.removed, inactive(registry)) == ("complete", 3, ["ONE", "SIX", "TWO"])
    assert one(screener, "SELECT count(*) FROM instruments WHERE NOT active") == 0
    worker.drain(instruments)
    assert one(screener, "SELECT count(*) FROM instruments WHERE NOT active") == 3
    assert validate(instruments).status == "passed"


def test_keys_that_wait_or_are_parked_stay(live: None, registry: Session, instruments: Stream) -> None:
    approved()
    registry.execute("UPDATE instruments SET updated_at = updated_at WHERE symbol = 'ONE'")
    ParkedKey.objects.create(stream="instruments", key='["NSE:TWO"]', error="for the test")

    done = execute("stale")

    assert inactive(registry) == ["SIX"]
    assert (done.removed, done.plan["kept_back"]) == (1, 2)


def test_a_key_that_came_to_rest_after_the_export_stays_as_no_backup_has_it(
    live: None, registry: Session, instruments: Stream
) -> None:
    approved()
    registry.execute("UPDATE instruments SET updated_at = updated_at WHERE symbol = 'SIX'")
    failpoints.at("retention deleting", lambda: drained(instruments))
    try:
        done = execute("stale")
    finally:
        failpoints.clear()

    assert inactive(registry) == ["ONE", "TWO"]
    assert (done.removed, done.changed, done.held) == (2, 0, 0)


def test_what_the_old_store_takes_the_writes_of_is_not_trimmed_here(
    screener: Session, registry: Session, instruments: Stream
) -> None:
    enabled(instruments)
    RetentionPolicy.objects.create(name="stale", table="instruments", action="mark_inactive", date="updated_at")

    with pytest.raises(Refused, match="the screener store takes the writes of stream instruments"):
        run("stale", Order(OPERATOR))

    assert RetentionRun.objects.get().status == "error"
