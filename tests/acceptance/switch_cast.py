"""The processes of `test_switch_kills` by their names, and what their journals tell."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.switch_actors import HOT, START
from tests.process import ROOT, environment

WRITERS = ("orm", "raw", "psql")
RELAYS = ("relay 1", "relay 2")
#: In the order in which they are told to stop.
NAMES = (*WRITERS, "switch", *RELAYS)
UNBRAKED = {"INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS": "1000000"}


@dataclass
class Told:
    """What the writers' journals tell: the records, those of which it is not known, and how often was counted."""

    records: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, set[str | None]] = field(default_factory=dict)
    counted: int = 0
    perhaps_counted: int = 0
    writes: int = 0

    def read(self, journal: Path) -> None:
        """Add one life's journal."""
        tried: list[str] = []
        for line in journal.read_text().splitlines():
            word, *rest = line.split(" ")
            if word == "try":
                tried = rest
            elif word == "ok":
                self._acknowledged(*tried)
                tried = []
        if tried:
            self._unknown(*tried)

    def _acknowledged(self, verb: str, symbol: str, value: str) -> None:
        self.writes += 1
        if verb == "count":
            self.counted += 1
        elif verb == "put":
            self.records[symbol] = value
        else:
            self.records.pop(symbol, None)

    def _unknown(self, verb: str, symbol: str, value: str) -> None:
        if verb == "count":
            self.perhaps_counted += 1
        else:
            self.unknown[symbol] = {self.records.get(symbol), value if verb == "put" else None}

    def require(self, found: dict[str, str]) -> None:
        """Fail unless the records found are those told of."""
        counted = int(found[HOT])
        assert self.counted <= counted <= self.counted + self.perhaps_counted
        for symbol, possible in self.unknown.items():
            assert found.get(symbol) in possible, symbol
        left = {symbol: value for symbol, value in found.items() if symbol not in {*self.unknown, HOT}}
        assert left == {symbol: value for symbol, value in self.records.items() if symbol not in self.unknown}


class Cast:
    """The processes, by their names, each in its own life."""

    def __init__(self, directory: Path, dice: random.Random) -> None:
        self._directory, self._dice = directory, dice
        self._alive: dict[str, subprocess.Popen[bytes]] = {}
        self._lives = dict.fromkeys(NAMES, 0)

    def start(self, name: str) -> None:
        """Let it live, once more."""
        self._lives[name] += 1
        life = f"{name}{self._lives[name]}"
        own = ["-c", START, name, life, self._directory / life, str(self._dice.random())]
        arguments = ["manage.py", "relay"] if name in RELAYS else own
        with (self._directory / f"{life}.err").open("wb") as errors:
            self._alive[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=environment(**UNBRAKED, PGAPPNAME="test actor"),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """SIGKILL it, and the psql it may have started; it must have been alive."""
        process = self._alive.pop(name)
        assert process.poll() is None, self._last_words(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Let everybody finish what is in hand; the relays last."""
        for name in NAMES:
            process = self._alive.pop(name)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, self._last_words(name)

    def end(self) -> None:
        """Leave nobody behind."""
        for name in list(self._alive):
            process = self._alive.pop(name)
            process.kill()
            process.wait()

    def told(self) -> Told:
        """What the writers acknowledged so far."""
        told = Told()
        for journal in self._journals(*WRITERS):
            told.read(journal)
        return told

    def acknowledged(self) -> int:
        """How many writes were acknowledged so far."""
        return sum(journal.read_bytes().count(b"\nok\n") for journal in self._journals(*WRITERS))

    def switched(self) -> int:
        """Switches that the switching process saw through to their end."""
        return sum(journal.read_text().count("switched") for journal in self._journals("switch"))

    def _journals(self, *names: str) -> list[Path]:
        lives = [self._directory / f"{name}{life}" for name in names for life in range(1, self._lives[name] + 1)]
        return [journal for journal in lives if journal.exists()]

    def _last_words(self, name: str) -> str:
        return f"{name}: {(self._directory / f'{name}{self._lives[name]}.err').read_text()}"
