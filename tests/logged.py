"""All that the suite logs is read: no secret of the environment and no key of a record may stand in it.

A handler of the root logger keeps every line of this process, as it was meant and as it is written; processes add what
they wrote (`read`). After each test, and once more at the end, what was kept is looked through: the test whose line it
is fails.
"""

import json
import logging
import os
import re
from collections.abc import Mapping

from config.logs import formatter, secrets_in
from registry.exchanges import EXCHANGES

#: A key as the engine writes it, and the first part of one as people do: NSE:TCS.
JSON_KEY = re.compile(r'\[\\*"[^"\\\]\n]+\\*"(?:, ?(?:\\*"[^"\\\]\n]+\\*"|null))*\]')
INSTRUMENT = re.compile(rf"\b(?:{'|'.join(sorted(EXCHANGES))}):[A-Z0-9]")
#: Of pytest and of tools, not of the product.
OTHERS = ("asyncio", "faker", "hypothesis", "factory")


def leaks(text: str, environment: Mapping[str, str]) -> list[str]:
    """What of the text must not be in a log, each with a few words around it. Pure."""
    keys = [(m.start(), "a key of a record") for each in (JSON_KEY, INSTRUMENT) for m in each.finditer(text)]
    secrets = [(text.index(one), "a secret") for one in secrets_in(environment) if one in text]
    return [f"{what}: …{' '.join(text[max(at - 60, 0) : at + 60].split())}…" for at, what in keys + secrets]


class Logged(logging.Handler):
    """Keeps what is logged until it is looked through."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter("json"))
        self._found: list[str] = []
        self.read_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """As it was meant: the statement has to know what it may say. As it is written: errors and all."""
        if record.name.startswith(OTHERS):
            return
        self._look(f"{record.name} (as it was meant): ", record.getMessage())
        self._look(f"{record.name}: ", " ".join(map(str, json.loads(self.format(record)).values())))

    def read(self, written: str, secret: Mapping[str, str] | None = None) -> None:
        """What a process of its own wrote: lines of the log, and what it said to whoever called it, keys as well.

        `secret`: variables of the process that this one does not have.
        """
        for line in written.splitlines():
            is_logged = line.startswith("{") and '"event"' in line
            self._look("of a process: ", line, secret or {}, ("a secret", *(["a key"] if is_logged else [])))

    def found(self) -> list[str]:
        """What must not be there, since the last time this was asked."""
        found, self._found = self._found, []
        return found

    def _look(self, whose: str, text: str, more: Mapping[str, str] = {}, what: tuple[str, ...] = ("a ",)) -> None:
        self.read_lines += 1
        self._found += [f"{whose}{one}" for one in leaks(text, {**os.environ, **more}) if one.startswith(what)]


LOGGED = Logged()
