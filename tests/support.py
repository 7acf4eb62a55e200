"""Small words the tests share."""

from typing import Any, LiteralString

from dualwrite.control.enable import enable
from dualwrite.relay import worker
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER


def one(session: Session, query: LiteralString, *values: Any) -> Any:
    """The first column of the only row."""
    row = session.execute(query, values or None).fetchone()
    assert row is not None
    return row[0]


def column(session: Session, query: LiteralString, *values: Any) -> list[Any]:
    """The first column of all rows."""
    return [row[0] for row in session.execute(query, values or None).fetchall()]


def add(screener: Session, symbol: str | None, index: str | None = "NIFTY 50", **fields: Any) -> None:
    """A membership in the old store, on the exchange NSE unless said."""
    values = {"exchange": "NSE", "weight": None, "sector": None, "effective_date": None, **fields}
    screener.execute(
        "INSERT INTO index_memberships (symbol, exchange, index_name, weight, sector, effective_date)"
        " VALUES (%(symbol)s, %(exchange)s, %(index)s, %(weight)s, %(sector)s, %(effective_date)s)",
        {"symbol": symbol, "index": index, **values},
    )


def fill(screener: Session, rows: int) -> None:
    """That many memberships in the old store, symbols S1, S2, ..."""
    screener.execute(
        "INSERT INTO index_memberships (symbol, exchange, index_name)"
        " SELECT 'S' || g, 'NSE', 'X' FROM generate_series(1, %s) AS g",
        (rows,),
    )


def noted(screener: Session) -> list[str]:
    """Keys in the old store's outbox, in the order of their notes."""
    return column(screener, "SELECT key FROM dualwrite.outbox ORDER BY id")


def mirrored(registry: Session) -> dict[str, Any]:
    """instrument key → weight in the registry's active memberships."""
    rows = registry.execute("SELECT instrument_key, weight FROM index_memberships WHERE is_active").fetchall()
    return {str(key): weight for key, weight in rows}


def enabled(stream: Stream) -> None:
    """Enable a stream and relay what there is."""
    enable(stream, TESTER)
    worker.drain(stream)
