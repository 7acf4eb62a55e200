"""One run of the verifier: spin generates it, gcc compiles it, it searches; everything in a temporary directory."""

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ops.model.runs import Run

MODEL = Path(__file__).resolve().parents[2] / "docs" / "protocol" / "model.pml"
TOOLS = ("spin", "gcc")
QUICK_SECONDS, DEEP_SECONDS = 120, 900
QUICK_MEGABYTES, DEEP_MEGABYTES = 900, 3500
#: Every line a step of the model prints when its way is told; the verifier's own lines begin otherwise.
STEP = re.compile(
    r"^((a |the )?(write|command)|serialization|relay|operator|enabler|capture|the notes|[AM] is|<<<<<START).*"
)

#: The verifier calls a search that it broke off free of errors, too.
INCOMPLETE = ("Search not completed", "max search depth too small")
IDS_USED_UP = re.compile(r"assertion violated +\(\S*(id|next)<")


class ModelError(Exception):
    """A tool failed, or the search was not complete; the message is its output."""


@dataclass(frozen=True)
class Found:
    """What a run found: whether an error, in how many states, seconds and megabytes, and the steps that lead to it."""

    error: bool
    states: int
    seconds: float
    megabytes: float
    steps: list[str]


def missing() -> list[str]:
    """The programs that are needed and not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def verify(run: Run) -> Found:
    """Generate, compile and run; raises ModelError unless the search came to an end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="protocol-model-") as scratch:
        _call(["spin", "-a", *run.defines, str(MODEL)], scratch)
        _call(["gcc", "-w", "-o", "pan", *_compiling(run), "pan.c"], scratch)
        output = _call(_searching(run), scratch, DEEP_SECONDS if run.deep else QUICK_SECONDS)
        return read(output, _told(run, scratch), time.monotonic() - began)


def _compiling(run: Run) -> list[str]:
    memory = DEEP_MEGABYTES if run.deep else QUICK_MEGABYTES
    options = [f"-DMEMLIM={memory}", "-DNOREDUCE"]
    if not run.liveness:
        options.append("-DSAFETY")
        if run.must_fail:
            options.append("-DBFS")  # breadth first: the way that is told is the shortest
    # A small search ends sooner than an optimising compiler.
    return [*options, "-O2" if run.deep else "-O0"]


def _searching(run: Run) -> list[str]:
    # Processes that wait for ever are no error (-E).
    return ["./pan", "-E", "-m100000", "-w25" if run.deep else "-w20", *_fairness(run)]


def _fairness(run: Run) -> list[str]:
    # Search for cycles (-a), among those in which whoever may always go on does go on (-f).
    return ["-a", "-f"] if run.liveness else []


def _call(command: list[str], scratch: str, seconds: float = QUICK_SECONDS) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise ModelError(f"{command[0]} did not end within {seconds:.0f} s") from exc
    if done.returncode != 0:
        raise ModelError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def _told(run: Run, scratch: str) -> list[str]:
    """The steps that lead to the error, in words; none when none was found."""
    trails = list(Path(scratch).glob("*.trail"))
    if not trails:
        return []
    command = ["./pan", "-r", trails[0].name, "-S", *_fairness(run)]
    # Replaying ends with the exit code of the error it shows.
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=QUICK_SECONDS, check=False)
    return [line for line in done.stdout.splitlines() if STEP.match(line)]


def read(output: str, steps: list[str], seconds: float) -> Found:
    """What the verifier's output says; raises ModelError when it is no proof, neither of an error nor of none."""
    errors = re.search(r"depth reached \d+, errors: (\d+)", output)
    states = re.search(r"([\d.e+]+) states, stored", output)
    memory = re.search(r"([\d.]+)\s+total actual memory usage", output)
    if not (errors and states and memory):
        raise ModelError(f"the verifier's output was not understood:\n{output}")
    error = errors[1] != "0"
    if not error and any(sign in output for sign in INCOMPLETE):
        raise ModelError(f"the search was not completed:\n{output}")
    if IDS_USED_UP.search(output):
        raise ModelError(f"the model has too few ids for this configuration:\n{output}")
    return Found(error, int(float(states[1])), seconds, float(memory[1]), steps)
