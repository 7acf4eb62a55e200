"""Whatever order things happen in and whoever dies or wakes late: one authority at a time, and nothing is lost."""

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import Refused
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.stateful.machine import History
from tests.stateful.sleepers import Sleeper, sleeping_at_failpoints
from tests.stateful.world import World, impatient
from tests.support import add

COMMON = settings(
    deadline=None,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    stateful_step_count=40,
    # One that fails is printed as it is: to shrink it takes longer than a test may.
    phases=[Phase.generate],
)


@pytest.fixture
def history(stores: None, memberships: Stream) -> Iterator[type[History]]:
    """The machine on two stores that know each other."""
    enable(memberships, TESTER)
    with impatient(), sleeping_at_failpoints():
        world = World(memberships)

        class Here(History):
            pass

        Here.world = world
        yield Here
        world.close()


def test_fifty_histories(history: type[History]) -> None:
    """The same fifty every time."""
    fifty = settings(COMMON, max_examples=50, derandomize=True)
    run_state_machine_as_test(history, settings=fifty)


@pytest.mark.deep
@pytest.mark.timeout(7200)
def test_a_thousand_histories(history: type[History]) -> None:
    run_state_machine_as_test(history, settings=settings(COMMON, max_examples=1_000))


def test_a_switch_that_meets_a_relay_asleep_in_its_transaction_is_refused(
    history: type[History], memberships: Stream, screener: Session
) -> None:
    """Nothing has been changed then, so it is `Refused`, as for a writer that does not finish."""
    add(screener, "A")
    relay = Sleeper("relay", partial(worker.drain, memberships))
    while relay.place != "relay may apply":
        relay.wake()
    with pytest.raises(Refused, match="a relay stands still in the middle of a batch"):
        hand_over(memberships, Store.REGISTRY, TESTER)
