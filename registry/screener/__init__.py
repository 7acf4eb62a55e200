"""The old store as it is: tables that another service owns and writes.

Never migrated from here. ``schema.sql`` creates them (idempotently) only for the embedded default and the
tests.
"""

from pathlib import Path

SCHEMA_SQL = Path(__file__).with_name("schema.sql")
"""The file that creates the old tables where nobody else does."""
