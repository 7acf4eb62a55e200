"""What a collation takes for the same is different to a reader: it is relayed, and the mirror is equal then."""

from collections.abc import Iterator

import psycopg
import pytest

from dualwrite.relay import worker
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.support import add, enabled, one


@pytest.fixture
def caseless(registry: Session) -> Iterator[Session]:
    """A mirror whose sectors are equal whatever their case."""
    try:
        registry.execute(
            "CREATE COLLATION IF NOT EXISTS public.caseless"
            " (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported as exc:
        pytest.skip(str(exc))  # ICU is not part of every build of the server
    registry.execute("ALTER TABLE index_memberships ALTER COLUMN sector TYPE text COLLATE public.caseless")
    yield registry
    registry.execute('ALTER TABLE index_memberships ALTER COLUMN sector TYPE text COLLATE "default"')


def test_a_change_of_case_alone_is_relayed(screener: Session, caseless: Session, memberships: Stream) -> None:
    add(screener, "A", sector="Banks")
    enabled(memberships)
    screener.execute("UPDATE index_memberships SET sector = 'BANKS'")
    worker.drain(memberships)
    assert one(caseless, "SELECT sector FROM index_memberships") == "BANKS"
    assert validate(memberships).status == "passed"
