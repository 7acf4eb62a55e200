"""The model of the protocol, its runner and its description name the same things. Spin is not needed here."""

import os
import re
import signal
import subprocess
import sys

import pytest

from ops.model.runs import ALLOWED, CONFIGS, LEFT_OUT, Asks, Run, all_runs
from ops.model.spin import MODEL, ModelError, read

SOURCES = {path.name: path.read_text() for path in sorted(MODEL.parent.glob("*.pml"))}
README = (MODEL.parent / "README.md").read_text()
#: Conditions of the model that leave nothing out of the protocol.
OPTIONS = {*ALLOWED, "DEEP", "NEVER_ENABLED", "SMALL_BATCHES", "STILL_HOLDS", "ONLY"}
COUNTED = (
    "State-vector 72 byte, depth reached 9, errors: {}\n     94 states, stored\n  8.1\ttotal actual memory usage\n"
)


def conditions() -> set[str]:
    """Every name that the model's preprocessor asks for, the numbers of bounds.pml apart."""
    text = "".join(text for name, text in SOURCES.items() if name != "bounds.pml")
    return set(re.findall(r"(?:#ifn?def |defined\()(\w+)", text))


@pytest.mark.parametrize("switch", sorted({run.switch for run in LEFT_OUT}))
def test_every_switch_of_the_runner_changes_the_model(switch: str) -> None:
    assert any(re.search(rf"(#ifn?def |defined\(){switch}\b", text) for text in SOURCES.values())


@pytest.mark.parametrize("run", LEFT_OUT, ids=lambda run: f"{run.switch}-{run.asks}")
def test_every_switch_of_the_runner_has_a_row_with_its_configuration(run: Run) -> None:
    rows = [row for row in README.splitlines() if row.startswith("|") and f"`{run.switch}`" in row]
    assert any(run.config in row and run.asks in row for row in rows)


def test_every_switch_of_the_model_is_run() -> None:
    assert conditions() - OPTIONS <= {run.switch for run in LEFT_OUT}


@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_is_checked_whole_and_shown_to_do_something(config: str) -> None:
    assert f"#ifdef CONFIG_{config} " in SOURCES["bounds.pml"]
    asked = {run.asks for run in all_runs(deep=False) if run.config == config and not run.switch}
    assert asked >= {Asks.ALL, Asks.REACHED}


def test_an_error_is_wanted_where_something_is_left_out_and_nowhere_else() -> None:
    wanted = {run.switch for run in all_runs(deep=True) if run.must_fail and run.asks is not Asks.REACHED}
    assert wanted == {run.switch for run in LEFT_OUT}


def test_an_error_found_is_told_from_none() -> None:
    assert read(COUNTED.format(1), [], 0.1).error
    assert not read(COUNTED.format(0), [], 0.1).error


@pytest.mark.parametrize("broken_off", ["Warning: Search not completed\n", "error: max search depth too small\n"])
def test_a_search_that_was_broken_off_is_no_proof(broken_off: str) -> None:
    with pytest.raises(ModelError, match="not completed"):
        read(broken_off + COUNTED.format(0), [], 0.1)


def test_running_out_of_ids_is_no_error_of_the_protocol() -> None:
    with pytest.raises(ModelError, match="too few ids"):
        read("pan:1: assertion violated (id<8) (at depth 99)\n" + COUNTED.format(1), [], 0.1)


def test_a_reader_that_has_gone_ends_the_runner_without_a_word() -> None:
    program = "import sys; from ops.model.__main__ import quietly; sys.exit(quietly(lambda: print('a line') or 0))"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")
