"""What a run tells and asks while it works, and how that is shown."""

import io
import json
import threading
import time

import pytest

from dualwrite.exceptions import Cancelled, RunLost
from dualwrite.management.progress import JsonLines, Steps
from dualwrite.runs import Progress, Watch


def test_speed_and_time_left_come_from_what_is_done() -> None:
    half = Progress("comparing", rows=500, total=1_000, seconds=2.0)
    assert (half.rows_per_second, half.eta_seconds) == (250, 2.0)
    assert Progress("comparing", rows=1_200, total=1_000, seconds=2.0).eta_seconds == 0.0
    assert Progress("comparing", rows=500, total=None, seconds=2.0).eta_seconds is None
    assert (Progress("comparing").rows_per_second, Progress("comparing", total=5).eta_seconds) == (0, None)


def test_rows_of_several_threads_add_up_and_a_phase_begins_at_nothing() -> None:
    watch = Watch()
    watch.phase("one", 40_000)

    def count() -> None:
        for _ in range(10_000):
            watch.advance(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (watch.progress.rows, watch.progress.total) == (40_000, 40_000)
    watch.phase("two")
    assert (watch.progress.phase, watch.progress.rows, watch.progress.total) == ("two", 0, None)


def test_a_run_asked_to_stop_is_told_at_its_next_word_whichever_it_is() -> None:
    watch = Watch()
    watch.stop(Cancelled("by anna"))
    with pytest.raises(Cancelled, match="by anna"):
        watch.advance(1)
    with pytest.raises(Cancelled, match="by anna"):
        watch.breathe()
    with pytest.raises(Cancelled, match="by anna"):
        watch.phase("next")


def test_the_first_reason_to_stop_counts() -> None:
    watch = Watch()
    watch.stop(RunLost("gone"))
    watch.stop(Cancelled("by anna"))
    watch.stop()
    with pytest.raises(RunLost):
        watch.advance(0)


def test_a_breath_waits_while_the_server_is_loaded() -> None:
    watch, freed = Watch(), []
    watch.slow_down(True)

    def free() -> None:
        freed.append(time.monotonic())
        watch.slow_down(False)

    timer = threading.Timer(0.2, free)
    timer.start()
    watch.breathe()
    assert freed, "it did not wait"
    watch.breathe()


def test_a_breath_ends_when_the_run_is_to_stop() -> None:
    watch = Watch()
    watch.slow_down(True)
    threading.Timer(0.1, watch.stop).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        watch.breathe()
    assert time.monotonic() - began < 5


def test_a_breath_is_never_longer_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dualwrite.runs.watch.LONGEST_BREATH_SECONDS", 0.2)
    watch = Watch()
    watch.slow_down(True)
    began = time.monotonic()
    watch.breathe()
    assert 0.2 <= time.monotonic() - began < 5


def test_a_pause_between_parts_is_made_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_THROTTLE_PAUSE_SECONDS", "0.2")
    began = time.monotonic()
    Watch().breathe()
    assert time.monotonic() - began >= 0.2


def test_the_batch_size_is_the_parameters_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_BATCH_SIZE", "123")
    assert (Watch().batch_size, Watch(batch_size=7).batch_size) == (123, 7)


def test_without_a_terminal_phases_and_now_and_then_rows_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dualwrite.management.progress.LINE_EVERY_SECONDS", 0.0)
    shown = io.StringIO()
    with Steps(shown) as steps:
        tell = steps.follow("instruments")
        tell(Progress("comparing digests", 0, 1_000, 0.0))
        tell(Progress("comparing digests", 500, 1_000, 2.0))
        tell(Progress("looking closer", 3, None, 1.0))
    assert shown.getvalue().splitlines() == [
        "instruments: comparing digests",
        "instruments: comparing digests: 500 of 1000, 250/s, 2 s left",
        "instruments: looking closer",
        "instruments: looking closer: 3, 3/s",
    ]


def test_a_terminal_shows_a_bar_with_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    shown = Terminal()
    with Steps(shown) as steps:
        steps.follow("instruments")(Progress("comparing digests", 500, 1_000, 2.0))
    assert "instruments: comparing digests" in shown.getvalue()
    assert "500/1000" in shown.getvalue()
    assert "250/s, 2 s left" in shown.getvalue()


def test_for_machines_each_phase_is_an_object() -> None:
    shown = io.StringIO()
    tell = JsonLines(shown).follow("instruments")
    tell(Progress("comparing digests", 0, 1_000, 0.0))
    tell(Progress("comparing digests", 10, 1_000, 0.1))
    tell(Progress("looking closer", 0, None, 0.0))
    lines = [json.loads(line) for line in shown.getvalue().splitlines()]
    assert [line["phase"] for line in lines] == ["comparing digests", "looking closer"]
    assert lines[0] == {
        "stream": "instruments",
        "phase": "comparing digests",
        "rows": 0,
        "total": 1_000,
        "seconds": 0.0,
        "rows_per_second": 0,
        "eta_seconds": None,
    }


def test_a_pause_ends_when_the_run_is_to_stop() -> None:
    watch = Watch()
    threading.Timer(0.1, watch.stop).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        watch.pause(60)
    assert time.monotonic() - began < 10
    Watch().pause(0)
