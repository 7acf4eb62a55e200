"""Validations beside 500 writes a second and a relay that is paused, resumed and killed: no false word, nothing missed.

Writers and relay are processes of their own. The fast tier makes some runs and plants 10 faults, the deep one makes 24
and plants 50, with either store as the authority.
"""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dualwrite import outbox
from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.control.pause import pause, resume
from dualwrite.models import ParkedKey, ValidationRun
from dualwrite.relay import worker
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation import look, recheck, result
from dualwrite.validation.look import Records, read
from dualwrite.validation.run import validate
from dualwrite.validation.tolerance import Rule
from tests.acceptance.load_faults import QUIET, key_of, plant
from tests.acceptance.load_writer import KINDS, START
from tests.acceptance.switch_cast import UNBRAKED
from tests.conftest import TESTER
from tests.process import ROOT, environment, start
from tests.support import add, enabled, one
from tests.writing import INDEX, TABLES, put

pytestmark = pytest.mark.alone

#: Writes due in a second, and how many of them must be made at least: beside other tests, and in the long runs. The
#: registry's writes cost more, so two cores that also run the servers, the relay and the validation make fewer of them.
RATE, BUSY_RATE = 500, 150
FULL_RATE = {Store.SCREENER: 450, Store.REGISTRY: 250}
DIGESTS, AGAIN = "comparing digests", "looking at "
#: Records written while the relay is paused, by nobody else.
WAITING = ["P1", "P2", "P3"]


class At(Watch):
    """Does something once, at the beginning of a phase; must have come there."""

    def __init__(self, phase: str, action: Callable[[], object]) -> None:
        super().__init__()
        self._at, self._action = phase, action
        self.reached = False

    def phase(self, sentence: str, total_rows: int | None = None) -> None:
        super().phase(sentence, total_rows)
        if sentence.startswith(self._at) and not self.reached:
            self.reached = True
            self._action()


@dataclass(frozen=True)
class Step:
    """One validation of a series: how it is made, and what happens to the relay meanwhile."""

    relay: str
    level: str = "strict"
    incremental: bool = False


#: Paused: from before the run until after it. Pausing and resuming: between digests and recheck.
STEPS = (
    Step("at work"),
    Step("at work", "detailed"),
    Step("paused"),
    Step("resuming", "detailed", incremental=True),
    Step("pausing", incremental=True),
    Step("at work", "detailed", incremental=True),
)


@dataclass
class Load:
    """A stream under load, and the faults planted in its mirror so far and those found: key → kind."""

    stream: Stream
    authority: Store
    sessions: dict[Store, Session]
    planted: dict[str, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    #: How often the digests of some buckets differed, so that there was something to look at again.
    candidates: int = 0

    def plant(self, faults: int) -> None:
        """So many more."""
        mirror = self.authority.peer
        for number in range(len(self.planted), len(self.planted) + faults):
            key, kind = plant(self.sessions[mirror], mirror, number)
            self.planted[key] = kind

    def take(self, step: Step, faults: int) -> ValidationRun:
        """Plant, validate, and hold what was found against what was planted."""
        self.plant(faults)
        if step.relay in ("paused", "resuming"):
            self._pause_with_writes_waiting()
        watch = {
            "pausing": At(AGAIN, lambda: pause(self.stream, TESTER)),
            "resuming": At(AGAIN, lambda: resume(self.stream, TESTER)),
        }.get(step.relay, At(AGAIN, lambda: None))
        run = validate(self.stream, step.level, watch=watch, incremental=step.incremental)
        assert watch.reached
        # A part looks again at what was found before; what was planted since may be in another part.
        self.found |= self.require(run, self.found if step.incremental else self.planted)
        if step.relay == "paused":
            waiting = {d["key"]: d["history"] for d in run.differences if d["kind"] == "unsettled"}
            assert {waiting.get(key_of(symbol)) for symbol in WAITING} == {"pending"}
            assert run.status != "passed"
        resume(self.stream, TESTER)
        self.candidates += run.configuration["differing_buckets"] > 0
        return run

    def require(self, run: ValidationRun, at_least: dict[str, str]) -> dict[str, str]:
        """What it found; fails unless it is these faults, perhaps others that were planted, and nothing else."""
        told = [(d["key"], d["kind"]) for d in run.differences if d["kind"] != "unsettled"]
        found = dict(told)
        assert len(told) == len(found)
        assert {key: kind for key, kind in found.items() if self.planted.get(key) != kind} == {}
        assert {key: kind for key, kind in at_least.items() if key not in found} == {}
        kinds = Counter(found.values())
        counted = run.missing_in_mirror, run.extra_in_mirror, run.field_mismatch, run.relay_stuck
        assert counted == (kinds["missing_in_mirror"], kinds["extra_in_mirror"], kinds["field_mismatch"], 0)
        # Which of the two depends on the part that was looked at: a few faults are a large share of a small one.
        assert run.status in (("warning", "failed") if found or run.unsettled else ("passed",))
        assert run.cut_short == ""
        return found

    def _pause_with_writes_waiting(self) -> None:
        pause(self.stream, TESTER)
        until_it_stands_still(self.sessions[Store.REGISTRY])
        put(self.sessions[self.authority], TABLES[self.authority], WAITING, f"waiting {time.monotonic()}")


def until_it_stands_still(registry: Session) -> None:
    """Return when the relay has seen that it is paused: it asked after that was committed, and took nothing since."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'"
        " AND query ~ 'held_because FROM dualwrite_stream' AND application_name ~ 'relay' AND query_start > %s"
    )
    paused_at, deadline = one(registry, "SELECT clock_timestamp()"), time.monotonic() + 20
    while not one(registry, asked, paused_at):
        assert time.monotonic() < deadline, "the relay does not ask whether it is paused"


def until_relayed(stream: Stream, authority: Store, relay: "subprocess.Popen[str]") -> None:
    """Return when nothing waits."""
    calm, deadline = threading.Event(), time.monotonic() + 60
    while outbox.pending(stream, authority).count:
        assert relay.poll() is None, relay.communicate()
        assert time.monotonic() < deadline, outbox.pending(stream, authority)
        calm.wait(0.05)


@contextmanager
def relaying() -> Iterator["subprocess.Popen[str]"]:
    """A relay process, killed at the end if it lives still."""
    process = start("relay", **UNBRAKED)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def written(store: Store, directory: Path, least_rate: float) -> Iterator[None]:
    """The store is written all the while; fails where that was slower than said."""
    seed, tally = random.randrange(2**32), directory / "tally"
    print(f"seed {seed}")  # noqa: T201
    with (directory / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", START, store.value, str(RATE), str(seed), str(tally)],
            cwd=ROOT,
            env=environment(),
            stdout=errors,
            stderr=errors,
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (directory / "errors").read_text()
    finally:
        process.kill()
        process.wait()
    told = json.loads(tally.read_text())
    print(f"{told['writes'] / told['seconds']:.0f} writes/s")  # noqa: T201
    assert told["writes"] / told["seconds"] >= least_rate, told
    assert set(told["kinds"]) == set(KINDS)


def spread(faults: int, steps: int) -> list[int]:
    """How many faults to plant before each step: none before the first, which must find nothing."""
    return [0, *(faults * (n + 1) // (steps - 1) - faults * n // (steps - 1) for n in range(steps - 1))]


def series(load: Load, directory: Path, steps: Sequence[Step], faults: int, least_rate: float = BUSY_RATE) -> None:
    """Validate step after step under load; in the end the faults alone are left."""
    with relaying() as relay:
        with written(load.authority, directory, least_rate):
            until_it_is_written(load)
            for step, more in zip(steps, spread(faults, len(steps)), strict=True):
                run = load.take(step, more)
                told = {d["kind"] for d in run.differences}
                print(step, run.status, sorted(told), run.unsettled, f"{run.seconds:.1f} s")  # noqa: T201
        until_relayed(load.stream, load.authority, relay)
        assert relay.poll() is None
    assert not ParkedKey.objects.exists()
    assert load.candidates >= len(steps) // 2, "hardly ever was anything on its way"
    assert len(load.planted) == faults
    last = validate(load.stream)
    load.require(last, load.planted)
    assert (last.unsettled, len(last.differences)) == (0, faults)


def until_it_is_written(load: Load) -> None:
    """Return when the writers are at work."""
    writing = "SELECT count(*) FROM index_memberships WHERE sector ~ '^v'"
    calm, deadline = threading.Event(), time.monotonic() + 30
    while not one(load.sessions[load.authority], writing):
        assert time.monotonic() < deadline, "nobody writes"
        calm.wait(0.05)


@pytest.fixture
def load(
    request: pytest.FixtureRequest,
    memberships: Stream,
    screener: Session,
    registry: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> Load:
    """Records that nobody writes, in both stores; that store as the authority."""
    for name, value in UNBRAKED.items():
        monkeypatch.setenv(name, value)
    # Every difference is to be held against what was planted.
    monkeypatch.setattr(result, "KEPT_DIFFERENCES", 100_000)
    quiet = "INSERT INTO index_memberships (symbol, exchange, index_name) SELECT 'Q' || g, 'NSE', %s"
    screener.execute(quiet + " FROM generate_series(0, %s) AS g", (INDEX, QUIET - 1))
    enabled(memberships)
    authority: Store = request.param
    if authority is Store.REGISTRY:
        hand_over(memberships, authority, TESTER)
        enable(memberships, TESTER)
        worker.drain(memberships)
    return Load(memberships, authority, {Store.SCREENER: screener, Store.REGISTRY: registry})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that wait for a paused relay are given up sooner."""
    monkeypatch.setattr(recheck, "PATIENCE", (0.1, 0.2, 0.5, 1.0))


@pytest.mark.parametrize("load", [Store.SCREENER], indirect=True, ids=str)
def test_no_false_word_and_every_fault_found_under_load(load: Load, tmp_path: Path, impatient: None) -> None:
    series(load, tmp_path, STEPS[:5], faults=10)


@pytest.mark.parametrize("load", [Store.REGISTRY], indirect=True, ids=str)
def test_the_same_on_the_way_back(load: Load, tmp_path: Path, impatient: None) -> None:
    series(load, tmp_path, (STEPS[0], STEPS[3], STEPS[2]), faults=10)


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("load", list(Store), indirect=True, ids=str)
def test_twenty_four_runs_and_fifty_faults_under_load(load: Load, tmp_path: Path) -> None:
    series(load, tmp_path, STEPS * 4, faults=50, least_rate=FULL_RATE[load.authority])


def test_a_key_that_comes_and_goes_between_the_reads_of_a_look_is_no_difference(
    memberships: Stream, screener: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    mirrors: list[int] = []

    def blinking(stream: Stream, store: Store, keys: Sequence[str], rule: Rule) -> Records:
        blinks = store is Store.REGISTRY and not mirrors
        if blinks:
            add(screener, "BLINK", INDEX)
            worker.drain(stream)
        found = read(stream, store, keys, rule)
        if blinks:
            mirrors.append(len(found))
            screener.execute("DELETE FROM index_memberships WHERE symbol = 'BLINK'")
            worker.drain(stream)
        return found

    monkeypatch.setattr(look, "read", blinking)
    assert list(recheck.recheck(memberships, Store.SCREENER, [key_of("BLINK")])) == []
    assert mirrors == [1]
