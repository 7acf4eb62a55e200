"""Stores that are away: for a test, a store's address is another port of this machine."""

import pytest
from django.db import connections

from dualwrite.stages import Store

#: Nothing listens there.
CLOSED_PORT = 1


def move(store: Store, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store's address be that port until the test ends."""
    connections[store.alias].close()
    monkeypatch.setitem(connections[store.alias].settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connections[store.alias].settings_dict, "PORT", str(port))
