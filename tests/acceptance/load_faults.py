"""Faults for `test_validation_under_load`: planted in the mirror, on records that its writers leave alone."""

import json
from dataclasses import dataclass
from typing import LiteralString

from dualwrite.stages import Store
from dualwrite.stores import Session
from tests.support import tampered
from tests.writing import INDEX, TABLES

#: Records that nobody writes: Q0, Q1, ...
QUIET = 1_000
OTHER_INDEX = "OTHER"


@dataclass(frozen=True)
class Fault:
    """What it is found as, what spoils the record of the symbol `test.victim`, and in which index."""

    kind: str
    change: LiteralString
    index: str = INDEX


FAULTS: dict[Store, tuple[Fault, ...]] = {
    Store.REGISTRY: (
        Fault(
            "field_mismatch",
            "UPDATE index_memberships SET sector = 'odd' WHERE instrument_key = current_setting('test.victim')",
        ),
        Fault(
            "missing_in_mirror", "DELETE FROM index_memberships WHERE instrument_key = current_setting('test.victim')"
        ),
        Fault(
            "field_mismatch",
            "UPDATE index_memberships SET weight = 7 WHERE instrument_key = current_setting('test.victim')",
        ),
        Fault(
            "missing_in_mirror",
            "UPDATE index_memberships SET is_active = false WHERE instrument_key = current_setting('test.victim')",
        ),
        Fault(
            "extra_in_mirror",
            "INSERT INTO index_memberships (instrument_key, index_id) VALUES (current_setting('test.victim'), 'OTHER')",
            OTHER_INDEX,
        ),
    ),
    Store.SCREENER: (
        Fault(
            "field_mismatch", "UPDATE index_memberships SET sector = '' WHERE symbol = current_setting('test.victim')"
        ),
        Fault("missing_in_mirror", "DELETE FROM index_memberships WHERE symbol = current_setting('test.victim')"),
        Fault(
            "field_mismatch",
            "UPDATE index_memberships SET effective_date = '1999-12-31' WHERE symbol = current_setting('test.victim')",
        ),
        Fault(
            "field_mismatch", "UPDATE index_memberships SET weight = 7 WHERE symbol = current_setting('test.victim')"
        ),
        Fault(
            "extra_in_mirror",
            "INSERT INTO index_memberships (exchange, symbol, index_name)"
            " VALUES ('NSE', current_setting('test.victim'), 'OTHER')",
            OTHER_INDEX,
        ),
        Fault(
            "field_mismatch",
            "INSERT INTO index_memberships (exchange, symbol, index_name, sector)"
            " SELECT exchange, symbol, index_name, sector FROM index_memberships"
            " WHERE symbol = current_setting('test.victim')",
        ),
    ),
}


def plant(session: Session, mirror: Store, number: int) -> tuple[str, str]:
    """Plant the fault of that number, on a record of its own; its key, and what it must be found as."""
    fault = FAULTS[mirror][number % len(FAULTS[mirror])]
    symbol = f"Q{number}"
    session.execute("SELECT set_config('test.victim', %s, false)", (TABLES[mirror].name(symbol),))
    tampered(session, fault.change)
    return key_of(symbol, fault.index), fault.kind


def key_of(symbol: str, index: str = INDEX) -> str:
    """The text of a key."""
    return json.dumps([f"NSE:{symbol}", index], separators=(",", ":"))
