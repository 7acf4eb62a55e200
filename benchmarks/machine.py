"""What the numbers were measured on."""

import os
import platform

from dualwrite.stages import Store
from dualwrite.stores import cursor

SETTINGS = ("fsync", "synchronous_commit", "shared_buffers", "max_wal_size")


def describe() -> str:
    """Cores, memory, and version and settings of the server, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    with cursor(Store.REGISTRY) as found:
        found.execute("SELECT split_part(current_setting('server_version'), ' ', 1)")
        server = f"PostgreSQL {found.fetchone()[0]}"
        found.execute("SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", (list(SETTINGS),))
        settings = [f"{name} {value}" for name, value in found.fetchall()]
    python = f"Python {platform.python_version()}"
    return ", ".join([f"{os.cpu_count()} cores", f"{memory:.0f} GB memory", server, *settings, python])
