"""The old service's contract, so that a consumer moves by changing its base URL.

What is told and taken is what the old service does; where it comes from, and where it goes, the stage says.
"""

import datetime as dt
from decimal import Decimal
from typing import Any

from django.utils.http import http_date
from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.access.idempotency import answered_once
from dualwrite.clearance import Clearance
from registry.api import schema
from registry.api.body import lists_of
from registry.api.bulk import order_of, write
from registry.api.problems import invalid_body
from registry.api.query import Query
from registry.api.view import ApiView, Told, say_where
from registry.bulk.checks import Fault, Item, items
from registry.bulk.write import Mode
from registry.reading import comparison
from registry.reading.parameters import DEPRECATED_SINCE, SUNSET
from registry.reading.records import Asked, Record
from registry.reading.route import serve
from registry.streams import INDEX_MEMBERSHIPS

#: Name in the old contract → name in the canonical record, of what has a name there.
NAMES = {"index_name": "index_id", "weight": "weight", "sector": "sector", "effective_date": "date_added"}
FIELDS = ("symbol", "exchange", *NAMES)
#: What the old service did without, as its table does.
OPTIONAL = ("weight", "sector", "effective_date")


class ScreenerView(ApiView):
    """An address of the old contract: its end is told with every answer, once it is known."""

    contract = "screener"

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Add `Deprecation` (RFC 9745) and `Sunset` (RFC 8594)."""
        final = super().finalize_response(request, response, *args, **kwargs)
        since, sunset = DEPRECATED_SINCE.value(), SUNSET.value()
        if since is not None:
            final["Deprecation"] = f"@{_seconds(since)}"
        if sunset is not None:
            final["Sunset"] = http_date(_seconds(sunset))
        return final


class ScreenerMembershipsView(ScreenerView):
    """GET /screener/api/v1/index-memberships."""

    @schema.screener_memberships
    def get(self, request: Request) -> Response:
        """All memberships; of an index, of a symbol, of an exchange."""
        query = Query(request, "index_name", "symbol", "exchange")
        symbol, exchange, index = (query.text(name) for name in ("symbol", "exchange", "index_name"))
        where = {"index_id": index} if index else {}
        if symbol and exchange:
            where["instrument_key"] = f"{exchange}:{symbol}"
        asked = Asked(where)
        answer = serve(INDEX_MEMBERSHIPS, asked, self.consumer)
        told = [old_form(record) for record in answer.records]
        wanted = [one for one in told if symbol in (None, one["symbol"]) and exchange in (None, one["exchange"])]
        response = Told({"memberships": wanted})
        response.job = comparison.job(INDEX_MEMBERSHIPS, self.consumer, asked, answer)
        return say_where(response, answer.route)


class ScreenerBulkView(ScreenerView):
    """POST /screener/api/v1/index-memberships/bulk."""

    needs = {"POST": Clearance.OPERATOR}

    @schema.screener_bulk
    def post(self, request: Request) -> Response:
        """Put memberships, all or none; the answer has them as they were written."""
        Query(request)
        given = lists_of(request, "memberships")["memberships"]

        def carry_out() -> Response:
            found = items(
                INDEX_MEMBERSHIPS, "memberships", [canonical(number, one) for number, one in enumerate(given)]
            )
            write(INDEX_MEMBERSHIPS, [_old_names(item) for item in found], order_of(self, Mode.ALL))
            return Response({"memberships": [old_form(dict(item.record or {})) for item in found]})

        return answered_once(request, carry_out)


def canonical(number: int, given: Any) -> dict[str, Any]:
    """What was given in the old form, as a canonical record; raises Invalid where it has not that form."""
    place = f"#/memberships/{number}"
    if not isinstance(given, dict):
        raise invalid_body([Fault(place, f"valid: an object with {', '.join(FIELDS)}")])
    unknown = [Fault(f"{place}/{name}", f"unknown; valid: {', '.join(FIELDS)}") for name in given if name not in FIELDS]
    missing = [Fault(f"{place}/{n}", "missing") for n in FIELDS if n not in OPTIONAL and not given.get(n)]
    wrong = [Fault(f"{place}/{n}", "valid: a text") for n in FIELDS[:2] if given.get(n) and not _is_text(given[n])]
    if ":" in str(given.get("exchange")):
        # It would be taken for the end of the exchange, and the rest for a part of the symbol.
        wrong.append(Fault(f"{place}/exchange", "valid: capital letters and digits"))
    if faults := [*unknown, *missing, *wrong]:
        raise invalid_body(faults)
    own = {new: given.get(old) for old, new in NAMES.items()}
    return {"instrument_key": f"{given['exchange']}:{given['symbol']}", **own}


def old_form(record: Record) -> dict[str, Any]:
    """A canonical record as the old service tells it; its numbers are numbers."""
    exchange, _, symbol = str(record["instrument_key"]).partition(":")
    own = {old: record[new] for old, new in NAMES.items()}
    weight, day = own["weight"], own["effective_date"]
    own["weight"] = float(weight) if isinstance(weight, Decimal) else weight
    own["effective_date"] = day.isoformat() if isinstance(day, dt.date) else day
    return {"symbol": symbol, "exchange": exchange, **own}


def _old_names(item: Item) -> Item:
    """Its faults under the names that the caller knows."""
    back = {new: old for old, new in NAMES.items()} | {"instrument_key": "symbol"}
    faults = tuple(
        Fault("/".join([*fault.pointer.split("/")[:3], back.get(name, name)]), fault.detail)
        for fault in item.faults
        for name in fault.pointer.split("/")[3:4]
    )
    return Item(item.at, item.number, item.ends, item.record, faults)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _seconds(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())
