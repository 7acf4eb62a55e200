"""What is away in a test: a store, whose address is another port of this machine then; worker and scheduler."""

from types import ModuleType

import pytest
from django.db import connections

from dualwrite.monitoring.checks import ALL
from dualwrite.stages import Store

#: Nothing listens there.
CLOSED_PORT = 1


def move(store: Store, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store's address be that port until the test ends."""
    connections[store.alias].close()
    monkeypatch.setitem(connections[store.alias].settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connections[store.alias].settings_dict, "PORT", str(port))


#: The checks that can be UP in a test that starts neither worker nor scheduler.
ATTENDED = tuple(check for check in ALL if check.name not in ("celery", "beat"))


def unattended(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Let these modules not look at worker and scheduler, which a test need not start."""
    for module in modules:
        monkeypatch.setattr(module, "ALL", ATTENDED)
