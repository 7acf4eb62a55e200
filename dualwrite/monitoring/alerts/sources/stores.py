"""What the stores tell of themselves: whether they are the pair they were, and what time it is there."""

import time
from datetime import UTC, datetime

from dualwrite import switch
from dualwrite.exceptions import DualWriteError, NotInstalled, WrongStore
from dualwrite.models import Measure
from dualwrite.monitoring.alerts.sources import Source, unknown, yes
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, present

PAIR = "stores"


def pair() -> list[Sample]:
    """Whether both remember each other as they are; nothing where there is only one."""
    if Store.SCREENER not in present():
        return []
    try:
        switch.require_pair()
    except WrongStore as exc:
        return [yes(Measure.WENT_BACK, PAIR, str(exc))]
    except NotInstalled as exc:
        return [unknown(Measure.WENT_BACK, PAIR, str(exc))]
    return [yes(Measure.WENT_BACK, PAIR, "")]


def clocks() -> list[Sample]:
    """How far each server's clock is from ours, less what the way there and back may account for."""
    return [_clock(store) for store in present()]


def _clock(store: Store) -> Sample:
    try:
        with cursor(store) as found:
            found.execute("SELECT 1")  # connecting takes its time, and is no skew
            before, began = datetime.now(UTC), time.monotonic()
            found.execute(statement("monitoring", "clock"))
            there: datetime = found.fetchone()[0]
            way = time.monotonic() - began
    except DualWriteError as exc:
        return unknown(Measure.CLOCK_SKEW, store.value, str(exc))
    apart = (there - before).total_seconds() - way / 2
    skew = max(0.0, abs(apart) - way / 2)
    words = f"the clock of the {store} store's server is {abs(apart):.1f} s {'ahead' if apart > 0 else 'behind'}"
    return Sample(Measure.CLOCK_SKEW, store.value, round(skew, 3), words)


STORES = Source("pair", (Measure.WENT_BACK,), pair)
CLOCKS = Source("clocks", (Measure.CLOCK_SKEW,), clocks)
