"""Make `.venv` match the lock files, then run `ops.local` in it. Needs the standard library only.

Flow: which lock files this sub-command needs -> are they the ones in the stamp -> if not, under a file lock:
make the environment, install, write the stamp (last, so that an interrupted install is seen) -> run.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed.json"
UNFINISHED = VENV / "unfinished"
LOG = ROOT / "var" / "log" / "install.log"
EXTRA_LOCKS = {
    "test": ["requirements-dev.txt"],
    "check": ["requirements-dev.txt"],
    "bench": ["requirements-dev.txt"],
}
USAGE, COULD_NOT_TELL = 2, 3


def main(arguments: list[str]) -> None:
    """Run the sub-command named by `arguments` in an environment that matches its lock files."""
    if arguments[:1] == ["lock"]:
        sys.exit(compile_locks(arguments[1:]))
    if arguments[:1] == ["doctor"]:
        sys.path[0] = str(ROOT)
        sys.argv = ["run", *arguments[1:]]
        runpy.run_module("ops.local.doctor", run_name="__main__")
    if arguments[:1] == ["bench"]:
        require_benchmark(arguments[1:])
    if arguments[:1] == ["stop"] and not STAMP.exists():
        print("nothing was running")
        sys.exit(0)
    locks = needed_locks(arguments[0] if arguments else "")
    if outdated(locks):
        with exclusive(ROOT / "var" / "install.lock"):
            if outdated(locks):
                install(locks)
    run_launcher(arguments)


def require_benchmark(arguments: list[str]) -> None:
    """End with usage when no benchmark is named, before minutes go into installing and starting servers."""
    # What makes a module of that package a benchmark is that it opens cases.
    modules = sorted((ROOT / "benchmarks").glob("*.py"))
    names = [path.stem for path in modules if "\ndef opened(" in path.read_text()]
    if not {*names, "-h", "--help"} & {*arguments}:
        say(f"which benchmark? Use: ./run bench {'|'.join(names)} [--rows N] [--rounds N] [--json]")
        sys.exit(USAGE)


def needed_locks(command: str) -> list[Path]:
    """The lock files that `command` needs and this checkout has."""
    names = ["requirements.txt", *EXTRA_LOCKS.get(command, [])]
    return [ROOT / name for name in names if (ROOT / name).exists()]


def outdated(locks: list[Path]) -> bool:
    """Whether the environment was not completely installed from exactly these lock files."""
    installed = read_stamp()
    # The interpreter it was made with may have been removed since.
    broken = UNFINISHED.exists() or not os.access(VENV / "bin" / "python", os.X_OK)
    return broken or any(installed.get(lock.name) != fingerprint(lock) for lock in locks)


def read_stamp() -> dict[str, str]:
    """Lock file name -> fingerprint at its installation; empty when there is none."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def fingerprint(lock: Path) -> str:
    """Of what an installation depends on: the lock's text and the interpreter's version."""
    return hashlib.sha256(f"{sys.version_info[:2]}\n{lock.read_text()}".encode()).hexdigest()


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` locked; a second `./run` waits here until the first has installed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        # Inherited by pip: as long as an abandoned one still writes, nobody else begins.
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another ./run is installing; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(locks: list[Path]) -> None:
    """Bring `.venv` to `locks`; ends the process with one message when that fails."""
    if not usable_environment():
        make_environment()
    UNFINISHED.touch()
    names = ", ".join(lock.name for lock in locks)
    say(f"installing {names} into .venv (once; takes up to a minute or two)")
    if install_with_pip(locks) != 0:
        sys.stderr.write(failure_text())
        sys.exit(COULD_NOT_TELL)
    stamp = read_stamp() | {lock.name: fingerprint(lock) for lock in locks}
    partial = STAMP.with_suffix(".new")
    partial.write_text(json.dumps(stamp))
    partial.replace(STAMP)
    UNFINISHED.unlink()
    say("installed")


def usable_environment() -> bool:
    """Whether `.venv` has a working Python 3.11+ with pip and no interrupted installation behind it."""
    python = VENV / "bin" / "python"
    if UNFINISHED.exists() or not python.exists():
        return False
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0


def make_environment() -> None:
    """Create `.venv` afresh with the standard library's venv module."""
    say(f"creating .venv with Python {sys.version_info[0]}.{sys.version_info[1]}")
    # This very process may run from the environment that is about to be cleared.
    python = getattr(sys, "_base_executable", None) or sys.executable
    # pip comes in a second step, under the mark of an unfinished installation.
    run_or_explain([python, "-m", "venv", "--clear", "--without-pip", VENV])
    UNFINISHED.touch()
    run_or_explain([VENV / "bin" / "python", "-m", "ensurepip", "--default-pip"])


def run_or_explain(command: list[str | Path]) -> None:
    """Run one step of making the environment; ends the process with advice when it fails."""
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        sys.stderr.write(f"{made.stdout}{made.stderr}")
        say(f"the virtual environment could not be made; on Debian or Ubuntu: apt-get install {package}")
        sys.exit(COULD_NOT_TELL)


def install_with_pip(locks: list[Path]) -> int:
    """Install with hashes checked, wheels only; the full output goes to the log. Returns pip's exit code."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command += ["--require-hashes", "--only-binary", ":all:", "--progress-bar", "off"]
    for lock in locks:
        command += ["-r", str(lock)]
    total = sum(count_pins(lock) for lock in locks)
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, close_fds=False)
    with LOG.open("w") as log, pip:
        show_progress(pip, log, total)
    return pip.returncode


def show_progress(pip: "subprocess.Popen[str]", log: TextIO, total: int) -> None:
    """Copy pip's lines to `log`; on a terminal keep one line that says how far it is."""
    seen = 0
    for line in pip.stdout or ():
        log.write(line)
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            seen += 1
            if sys.stderr.isatty():
                sys.stderr.write(f"\r  {seen} of about {total} packages ")
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def count_pins(lock: Path) -> int:
    """Number of packages a lock file names."""
    return sum(" \\" in line and "==" in line for line in lock.read_text().splitlines())


def failure_text() -> str:
    """What to show when pip failed: the end of its output and what usually helps."""
    tail = "\n".join(LOG.read_text().splitlines()[-12:])
    advice = (
        "Packages are there for Linux with glibc 2.28 or newer and macOS 11 or newer, on x86_64 and arm64; "
        "if this is such a machine, check the network and run the same command again."
    )
    return f"{tail}\nInstalling the packages failed (all of the output: {LOG}). {advice}\n"


def compile_locks(options: list[str]) -> int:
    """Write each requirements*.txt anew from its .in file; `options` go to uv, for example --upgrade.

    uv is installed into a directory that is thrown away afterwards.
    """
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        uv = Path(scratch) / "bin" / "uv"
        subprocess.run([uv.with_name("python"), "-m", "pip", "install", "-q", "uv"], check=True)
        for name in ("requirements", "requirements-dev", "requirements-peer"):
            if (ROOT / f"{name}.in").exists():
                compile_lock(uv, name, options)
    return 0


def compile_lock(uv: Path, name: str, options: list[str]) -> None:
    """Resolve `name`.in for every platform from Python 3.11 on."""
    say(f"compiling {name}.txt")
    command = [
        str(uv),
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
    ]
    command += ["--no-emit-index-url", "--no-header", *options, f"{name}.in", "--output-file", f"{name}.txt"]
    subprocess.run(command, cwd=ROOT, check=True)


def run_launcher(arguments: list[str]) -> None:
    """Become `ops.local` in `.venv`: in this process when it already runs there."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        python = str(VENV / "bin" / "python")
        os.execv(python, [python, str(Path(__file__)), *arguments])
    # The directory of this file would shadow nothing today, but it is no import root.
    sys.path[0] = str(ROOT)
    sys.argv = ["run", *arguments]
    runpy.run_module("ops.local", run_name="__main__", alter_sys=False)


def say(text: str) -> None:
    """One line for the person in front of the terminal; stdout stays free for results."""
    sys.stderr.write(f"run: {text}\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        say("stopped by SIGINT")
        sys.exit(128 + signal.SIGINT)
