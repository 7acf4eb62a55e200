"""The registry's SQL functions and triggers, one versioned file each.

A migration loads a file by name and never again: a change is a new file (``_v2``) and a new migration. Every
name in them is qualified with the schema ``instrument_registry``, since they also run for writers with
another search_path.
"""

from pathlib import Path


def load(name: str) -> str:
    """The text of ``registry/sql/{name}.sql``."""
    return Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8")
