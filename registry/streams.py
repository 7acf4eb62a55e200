"""The streams of the registry: how each record reads from, and is written to, the old and the new table.

An exchange code never contains a colon, so `EXCHANGE:SYMBOL` splits at its first one; a row of the old table
whose exchange does contain one has no key (NULL) and is parked, as is a row without symbol, exchange or
index.
"""

from dualwrite.stages import Store
from dualwrite.stream import Field, Side, Stream, declare
from registry.domain_rules import MEMBERSHIP_HISTORY, MEMBERSHIP_RULES

_SCREENER_KEY = "CASE WHEN strpos(t.exchange, ':') = 0 THEN t.exchange || ':' || t.symbol END"
_EXCHANGE = "split_part(r.instrument_key, ':', 1)"
_SYMBOL = "substr(r.instrument_key, strpos(r.instrument_key, ':') + 1)"


def _same(*columns: str, row: str) -> dict[str, str]:
    """Columns that carry the name of their field."""
    return {column: f"{row}.{column}" for column in columns}


_INSTRUMENT = ("name", "isin", "currency", "country", "lot_size", "tick_size")

INSTRUMENTS = declare(
    Stream(
        name="instruments",
        key=(Field("instrument_key"),),
        fields=(
            Field("name"),
            Field("isin"),
            Field("currency"),
            Field("country"),
            Field("lot_size", "numeric(18,6)"),
            Field("tick_size", "numeric(18,8)"),
            Field("is_active", "boolean"),
        ),
        sides={
            Store.SCREENER: Side(
                schema="public",
                table="instruments",
                reads={
                    "instrument_key": _SCREENER_KEY,
                    **_same(*_INSTRUMENT, row="t"),
                    "is_active": "t.active",
                },
                writes={
                    "exchange": _EXCHANGE,
                    "symbol": _SYMBOL,
                    **_same(*_INSTRUMENT, row="r"),
                    "active": "r.is_active",
                },
                match=("exchange", "symbol"),
                model="screener.ScreenerInstrument",
            ),
            Store.REGISTRY: Side(
                schema="instrument_registry",
                table="instruments",
                reads=_same("instrument_key", *_INSTRUMENT, "is_active", row="t"),
                writes={
                    **_same("instrument_key", *_INSTRUMENT, "is_active", row="r"),
                    "exchange": _EXCHANGE,
                    "symbol": _SYMBOL,
                    "updated_at": "now()",
                },
                match=("instrument_key",),
                model="registry.Instrument",
            ),
        },
    )
)

INDEX_MEMBERSHIPS = declare(
    Stream(
        name="index_memberships",
        key=(Field("instrument_key"), Field("index_id")),
        fields=(Field("weight", "numeric(12,6)"), Field("sector"), Field("date_added", "date")),
        rules=MEMBERSHIP_RULES,
        history=MEMBERSHIP_HISTORY,
        sides={
            Store.SCREENER: Side(
                schema="public",
                table="index_memberships",
                reads={
                    "instrument_key": _SCREENER_KEY,
                    "index_id": "t.index_name",
                    "weight": "t.weight",
                    "sector": "t.sector",
                    "date_added": "t.effective_date",
                },
                writes={
                    "exchange": _EXCHANGE,
                    "symbol": _SYMBOL,
                    "index_name": "r.index_id",
                    "weight": "r.weight",
                    "sector": "r.sector",
                    "effective_date": "r.date_added",
                },
                match=("exchange", "symbol", "index_name"),
                model="screener.ScreenerIndexMembership",
            ),
            Store.REGISTRY: Side(
                schema="instrument_registry",
                table="index_memberships",
                reads=_same("instrument_key", "index_id", "weight", "sector", "date_added", row="t"),
                writes={
                    **_same("instrument_key", "index_id", "weight", "sector", "date_added", row="r"),
                    "is_active": "true",
                },
                match=("instrument_key", "index_id"),
                # An inactive membership is no membership: the old table has only active ones.
                where="t.is_active",
                model="registry.IndexMembership",
            ),
        },
    )
)
