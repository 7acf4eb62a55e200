"""docs/runbooks/changing-a-streamed-table.md, step by step: what the server refuses, and the way around it."""

import psycopg
import pytest

from dualwrite import capture
from dualwrite.control.enable import enable
from dualwrite.exceptions import DualWriteError
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.support import add, enabled, mirrored

WIDEN = "ALTER TABLE index_memberships ALTER COLUMN symbol TYPE varchar(40)"
DROP_TRIGGER = "DROP TRIGGER dualwrite_b_rekey ON index_memberships"
UNDO = "ALTER TABLE index_memberships ALTER COLUMN symbol TYPE text"


def test_the_runbook_changes_the_type_of_a_key_column(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    add(screener, "A")
    worker.drain(memberships)
    with dedicated(Store.SCREENER, "test owner", owner=True) as owner:
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="type of a column used in a trigger definition"):
            owner.execute(WIDEN)
        with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="cannot drop column"):
            owner.execute("ALTER TABLE index_memberships DROP COLUMN symbol")
        try:
            with owner.transaction():
                owner.execute(DROP_TRIGGER)
                owner.execute(WIDEN)
            screener.execute("UPDATE index_memberships SET symbol = 'B'")
            with pytest.raises(DualWriteError):
                worker.drain(memberships)
            capture.install(Store.SCREENER)
            enable(memberships, TESTER)
            worker.drain(memberships)
            assert mirrored_keys(memberships) == ["NSE:B"]
            assert validate(memberships).status == "passed"
        finally:
            capture.uninstall(Store.SCREENER)
            owner.execute(UNDO)


def mirrored_keys(stream: Stream) -> list[str]:
    """The keys in the registry."""
    with dedicated(Store.REGISTRY, f"test {stream.name}") as registry:
        return sorted(mirrored(registry))
