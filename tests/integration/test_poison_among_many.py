"""One record that the mirror refuses, among very many that it takes."""

from dualwrite.control.parked import redrive
from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.relay.pipe import Moved
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.test_parking import refusing
from tests.support import enabled, fill, one

ROWS = 100_000


def test_all_others_arrive_and_it_does_too_once_the_mirror_is_mended(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    fill(screener, ROWS)
    screener.execute("UPDATE index_memberships SET sector = 'bad' WHERE symbol = 'S7777'")
    with refusing(registry):
        # The poison was noted twice, as written and as changed.
        assert worker.drain(memberships).parked
        assert one(registry, "SELECT count(*) FROM index_memberships") == ROWS - 1
        parked = ParkedKey.objects.get()
        assert (parked.key, "not_bad" in parked.error) == ('["NSE:S7777","X"]', True)
    assert redrive(memberships, TESTER, [parked.key]) == 1
    assert worker.drain(memberships) == Moved(keys=1, parked=0)
    assert not ParkedKey.objects.exists()
    run = validate(memberships, level="strict")
    assert (run.status, run.matched) == ("passed", ROWS)
