"""Instruments: one, a list, a search, their memberships through time; what identifiers mean; writes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.clearance import Clearance
from dualwrite.stages import Store
from registry.api import schema
from registry.api.bulk import bulk
from registry.api.problems import NotFound, invalid_body
from registry.api.query import PAGE, Query, cursor_of, next_address
from registry.api.renderers import Csv, Json, Ndjson, Rows, as_json
from registry.api.view import STORE, ApiView, Told, say_where
from registry.bulk.checks import Fault
from registry.exchanges import EXCHANGES
from registry.importing.checks import parse_date
from registry.reading import comparison, search
from registry.reading.identifiers import Resolved, identifier, resolved
from registry.reading.records import Asked, Record
from registry.reading.route import serve
from registry.reading.spells import spells_of
from registry.streams import INSTRUMENTS

COLUMNS = ("instrument_key", *search.FIELDS)
#: Filters that both stores can tell.
BOTH = ("isin", "currency", "country")
MOST_IDENTIFIERS = 2_000


class InstrumentsView(ApiView):
    """GET /api/v1/instruments."""

    renderer_classes = (Json, Csv, Ndjson)

    @schema.instruments
    def get(self, request: Request) -> Response:
        """Instruments by their keys; or what a search finds, the likeliest first."""
        query = Query(request, "search", "is_active", *search.FILTERS, *PAGE)
        filters = query.texts(*search.FILTERS)
        query.one_of("instrument_type", search.TYPES)
        is_active = query.truth("is_active")
        if query.text("search") is not None or is_active is not None or filters.keys() - set(BOTH):
            return self._searched(request, query, filters, is_active)
        return self._listed(request, query, filters)

    def _listed(self, request: Request, query: Query, filters: Mapping[str, str]) -> Response:
        limit = query.limit()
        asked = Asked(filters, tuple(map(str, query.cursor(str))), limit + 1)
        answer = serve(INSTRUMENTS, asked, self.consumer)
        found, more = answer.records[:limit], len(answer.records) > limit
        about = {"next": next_address(request, cursor_of(found[-1]["instrument_key"]) if more else None)}
        columns = COLUMNS_OF_BOTH
        response = Told(Rows("instruments", columns, [[_told(r)[c] for c in columns] for r in found], about))
        response.job = comparison.job(INSTRUMENTS, self.consumer, asked, answer)
        return say_where(response, answer.route)

    def _searched(self, request: Request, query: Query, filters: Mapping[str, str], active: bool | None) -> Response:
        limit, after = query.limit(), query.cursor(int, str)
        behind = (int(str(after[0])), str(after[1])) if after else None
        found = search.search(query.text("search"), filters, is_active=active, after=behind, limit=limit + 1)
        page, more = found[:limit], len(found) > limit
        cursor = cursor_of(page[-1][0], page[-1][1]["instrument_key"]) if more else None
        rows = [[one[column] for column in COLUMNS] for _, one in page]
        response = Response(Rows("instruments", COLUMNS, rows, {"next": next_address(request, cursor)}))
        response[STORE] = Store.REGISTRY.value
        return response


class InstrumentView(ApiView):
    """GET /api/v1/instruments/{instrument_key}."""

    @schema.instrument
    def get(self, request: Request, instrument_key: str) -> Response:
        """One instrument, as both stores have it."""
        Query(request)
        asked = Asked({"instrument_key": instrument_key})
        answer = serve(INSTRUMENTS, asked, self.consumer)
        if not answer.records:
            raise _unknown(instrument_key)
        response = Told(_told(answer.records[0]))
        response.job = comparison.job(INSTRUMENTS, self.consumer, asked, answer)
        return say_where(response, answer.route)


class InstrumentMembershipsView(ApiView):
    """GET /api/v1/instruments/{instrument_key}/memberships."""

    renderer_classes = (Json, Csv, Ndjson)
    COLUMNS = ("index_id", "since", "until", "weight", "sector", "source", "recorded_at")

    @schema.instrument_memberships
    def get(self, request: Request, instrument_key: str) -> Response:
        """In which indices it was, and is, since when and until when, as known now or at a moment."""
        query = Query(request, "known_at", "as_of")
        known_at, as_of = query.moment("known_at"), query.day("as_of")
        found = spells_of(instrument_key, known_at)
        if as_of is not None:
            found = [one for one in found if one.since <= as_of and (one.until is None or as_of < one.until)]
        rows = [[getattr(one, column) for column in self.COLUMNS] for one in found]
        about = {"instrument_key": instrument_key, "known_at": known_at, "as_of": as_of}
        return Response(Rows("memberships", self.COLUMNS, rows, about), headers={STORE: Store.REGISTRY.value})


class ResolveView(ApiView):
    """POST /api/v1/instruments/resolve."""

    needs = {"POST": Clearance.VIEWER}  # it only reads

    @schema.resolve
    def post(self, request: Request) -> Response:
        """What each identifier means: one instrument, several to choose among, or why none."""
        Query(request)
        identifiers, as_of = _asked(request.data)
        asked = [identifier(one) for one in identifiers]
        found = search.resolve(asked, as_of)
        results = [resolved(one, found.get(number, ())) for number, one in enumerate(asked)]
        return Response(_answer(as_of, results), headers={STORE: Store.REGISTRY.value})


class BulkInstrumentsView(ApiView):
    """POST /api/v1/instruments/bulk."""

    needs = {"POST": Clearance.OPERATOR}

    @schema.bulk_instruments
    def post(self, request: Request) -> Response:
        """Put instruments, and make others inactive: all or none, or each by itself."""
        return bulk(self, request, INSTRUMENTS, "instruments")


def _asked(sent: Any) -> tuple[list[Any], Any]:
    valid = f"valid: an object with identifiers, a list of 1 to {MOST_IDENTIFIERS}, and as_of where it is wanted"
    if not isinstance(sent, dict) or not isinstance(sent.get("identifiers"), list):
        raise invalid_body([Fault("#/identifiers", valid)])
    if unknown := sorted(map(str, sent.keys() - {"identifiers", "as_of"})):
        raise invalid_body([Fault(f"#/{unknown[0]}", f"unknown; {valid}")])
    if not 1 <= len(sent["identifiers"]) <= MOST_IDENTIFIERS:
        raise invalid_body([Fault("#/identifiers", f"there are {len(sent['identifiers'])}; {valid}")])
    as_of = sent.get("as_of")
    day = parse_date(as_of) if isinstance(as_of, str) else None
    if as_of is not None and (day is None or day.year == 9999):
        raise invalid_body([Fault("#/as_of", f"{as_of!r}; valid: a day as YYYY-MM-DD, e.g. 2024-01-31")])
    return sent["identifiers"], day


def _answer(as_of: Any, results: Sequence[Resolved]) -> bytes:
    """The JSON, around that of the instruments, which is there already."""
    counts = Counter(one.status for one in results)
    head = {"as_of": as_of, **{name: counts[name] for name in ("found", "ambiguous", "not_found", "invalid")}}
    begin = as_json(head).decode().removesuffix("}")
    return f'{begin},"results":[{",".join(map(_resolved, results))}]}}'.encode()


def _resolved(one: Resolved) -> str:
    told = ",".join(match.told for match in one.matches)
    candidates = ",".join(match.told for match in one.candidates)
    more = f',"candidates":[{candidates}]' if candidates else ""
    given = _text(one.given)
    return f'{{"identifier":{given},"status":"{one.status}","matches":[{told}]{more},"reason":{_text(one.reason)}}}'


def _text(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else json.dumps(value)


#: What a record of either store tells, and what follows from its key.
COLUMNS_OF_BOTH = (
    "instrument_key",
    "symbol",
    "exchange",
    "mic",
    "isin",
    "name",
    "currency",
    "country",
    "lot_size",
    "tick_size",
    "is_active",
)


def _told(record: Record) -> dict[str, Any]:
    exchange, _, symbol = str(record["instrument_key"]).partition(":")
    known = EXCHANGES.get(exchange)
    own = {"symbol": symbol, "exchange": exchange, "mic": known.mic if known else None}
    return {column: {**record, **own}[column] for column in COLUMNS_OF_BOTH}


def _unknown(instrument_key: str) -> NotFound:
    return NotFound(f"there is no instrument {instrument_key}; valid: EXCHANGE:SYMBOL, e.g. NSE:RELIANCE")
