"""What the description of the API (OpenAPI) says of each call: parameters, bodies, answers."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

SUMMARIES = {
    "instruments": "Instruments, or what a search finds",
    "instrument": "One instrument",
    "instrument_memberships": "Memberships of an instrument through time",
    "resolve": "What identifiers mean",
    "indices": "All indices",
    "index": "One index",
    "members": "Members of an index, now or on a day",
    "index_changes": "What happened to an index between two days",
    "memberships": "Memberships as they are",
    "bulk_memberships": "Put and end memberships",
    "bulk_instruments": "Put and end instruments",
    "changes": "What changed behind a cursor",
    "consumers": "Who calls which contract",
    "screener_memberships": "Memberships, as the old service tells them",
    "screener_bulk": "Put memberships, as the old service takes them",
    "imports": "Import a file, or look what that would change",
}
_KEY = {"instrument_key": "NSE:TCS", "index_id": "NIFTY 50"}
EXAMPLES: dict[str, Any] = {
    "resolve": {"identifiers": ["NSE:TCS", {"isin": "INE002A01018"}], "as_of": "2024-01-31"},
    "bulk_memberships": {
        "memberships": [{**_KEY, "weight": "3.5", "sector": "Information Technology", "date_added": "2004-08-25"}]
    },
    "bulk_instruments": {"end": [{"instrument_key": "NSE:TCS"}]},
    "screener_bulk": {"memberships": [{"symbol": "TCS", "exchange": "NSE", "index_name": "NIFTY 50", "weight": 3.5}]},
}
View = TypeVar("View", bound=Callable[..., Any])
OBJECT = OpenApiTypes.OBJECT
FORM = "multipart/form-data"
PROBLEM = {"$ref": "#/components/schemas/Problem"}
TEXT, NUMBER, TRUTH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
OR_NULL = {"type": ["string", "null"]}
#: Numbers go as text; they may come as either.
DECIMAL = {"type": ["string", "number", "null"]}
MEMBERSHIP_KEY = {"instrument_key": TEXT, "index_id": TEXT}
MEMBERSHIP = {**MEMBERSHIP_KEY, "weight": DECIMAL, "sector": OR_NULL, "date_added": OR_NULL}
INSTRUMENT = {
    "instrument_key": TEXT,
    "name": OR_NULL,
    "isin": OR_NULL,
    "currency": OR_NULL,
    "country": OR_NULL,
    "lot_size": DECIMAL,
    "tick_size": DECIMAL,
    "is_active": TRUTH,
}
OLD_MEMBERSHIP = {
    "symbol": TEXT,
    "exchange": TEXT,
    "index_name": TEXT,
    "weight": {"type": ["number", "string", "null"]},
    "sector": OR_NULL,
    "effective_date": OR_NULL,
}


def _object(properties: dict[str, Any], *, needed: bool = True, closed: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if needed:
        found["required"] = list(properties)
    return {**found, "additionalProperties": False} if closed else found


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _parameter(name: str, meaning: str, kind: Any = OpenApiTypes.STR, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=meaning, **more)


def _form(*names: str) -> OpenApiParameter:
    return _parameter("format", "the form of the answer, where `Accept` does not say it", enum=list(names))


#: The forms beside JSON in which an answer may be had.
CSV, NDJSON = "text/csv", "application/x-ndjson"
TABLES = (CSV, NDJSON)
_NAMES = {CSV: "csv", NDJSON: "ndjson"}


def _page(name: str) -> dict[str, Any]:
    return _object({"next": OR_NULL, name: _list({"type": "object"})})


LIMIT = _parameter("limit", "how many of a page, 1 to 1000; 100 where it is not said", OpenApiTypes.INT)
CURSOR = _parameter("cursor", "of the page: what the one before gave as `next`")
KNOWN_AT = _parameter("known_at", "as known at this moment; now where it is not said", OpenApiTypes.DATETIME)
AS_OF = _parameter("as_of", "on this day", OpenApiTypes.DATE)
MODE = _parameter(
    "mode", "all: no record is written when one is refused; each: the others are", enum=["all", "each"], default="all"
)
ONCE = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="carried out once; again: the same answer"
)


def _call(
    name: str,
    answer: Any,
    *parameters: OpenApiParameter,
    body: Any = None,
    also: Sequence[str] = (),
    problems: Mapping[int, str] = MappingProxyType({}),
) -> Callable[[View], View]:
    forms = {"application/json": answer} | dict.fromkeys(also, OpenApiTypes.STR)
    responses: dict[Any, Any] = {(200, kind): OpenApiResponse(form, SUMMARIES[name]) for kind, form in forms.items()}
    for code, meaning in problems.items():
        responses[code, "application/problem+json"] = OpenApiResponse(PROBLEM, meaning)
    described: Callable[[View], View] = extend_schema(
        operation_id=f"registry_{name}",
        summary=SUMMARIES[name],
        parameters=[*parameters, *([_form("json", *(_NAMES[kind] for kind in also))] if also else [])],
        request={"application/json": body} if body else None,
        examples=[OpenApiExample("as docs/api.md has it", EXAMPLES[name], request_only=True)] if body else None,
        responses=responses,
        tags=["screener" if name.startswith("screener") else "registry"],
    )
    return described


_TEXTS = ("exchange", "symbol", "mic", "isin", "figi", "instrument_type", "currency", "country")
instruments = _call(
    "instruments",
    _page("instruments"),
    _parameter("search", "part of a name, symbol, ISIN or FIGI; words that are nearly right are found too"),
    *[_parameter(name, f"only with this {name}") for name in _TEXTS],
    _parameter("is_active", "only active ones, or only inactive ones", OpenApiTypes.BOOL),
    LIMIT,
    CURSOR,
    also=TABLES,
)
instrument = _call("instrument", OBJECT, problems={404: "there is no such instrument"})
instrument_memberships = _call(
    "instrument_memberships",
    _object({"instrument_key": TEXT, "memberships": _list({"type": "object"})}),
    KNOWN_AT,
    AS_OF,
    also=TABLES,
)
resolve = _call(
    "resolve",
    _object({"as_of": OR_NULL, "found": NUMBER, "results": _list({"type": "object"})}),
    body={
        **_object({"identifiers": {**_list({}), "minItems": 1, "maxItems": 2000}, "as_of": OR_NULL}, closed=True),
        "required": ["identifiers"],
    },
)
indices = _call("indices", _page("indices"), LIMIT, CURSOR, also=TABLES)
index = _call("index", OBJECT, problems={404: "there is no such index"})
members = _call(
    "members",
    _object({"index_id": TEXT, "count": NUMBER, "members": _list({"type": "object"})}),
    AS_OF,
    KNOWN_AT,
    also=TABLES,
    problems={404: "there is no such index"},
)
index_changes = _call(
    "index_changes",
    _object({"joined": _list(OBJ := {"type": "object"}), "left": _list(OBJ), "reweighted": _list(OBJ)}),
    _parameter("from", "what happened after this day", OpenApiTypes.DATE, required=True),
    _parameter("to", "and until this day", OpenApiTypes.DATE, required=True),
    KNOWN_AT,
    problems={404: "there is no such index"},
)
memberships = _call(
    "memberships",
    _page("memberships"),
    _parameter("index_id", "of this index"),
    _parameter("instrument_key", "of this instrument"),
    LIMIT,
    CURSOR,
    also=TABLES,
)
_WRITTEN = _object(
    {"written": NUMBER, "ended": NUMBER, "absent": NUMBER, "refused": NUMBER, "results": _list({"type": "object"})}
)
_CONFLICT = {
    409: "refused by the store, or under way",
    413: "too large",
    422: "the Idempotency-Key was used for another call",
}
bulk_memberships = _call(
    "bulk_memberships",
    _WRITTEN,
    MODE,
    ONCE,
    body=_object(
        {"memberships": _list(_object(MEMBERSHIP)), "end": _list(_object(MEMBERSHIP_KEY))}, needed=False, closed=True
    ),
    problems=_CONFLICT,
)
bulk_instruments = _call(
    "bulk_instruments",
    _WRITTEN,
    MODE,
    ONCE,
    body=_object(
        {"instruments": _list(_object(INSTRUMENT)), "end": _list(_object({"instrument_key": TEXT}))},
        needed=False,
        closed=True,
    ),
    problems=_CONFLICT,
)
changes = _call(
    "changes",
    _object({"changes": _list({"type": "object"}), "next": TEXT, "more": TRUTH}),
    _parameter("after", "behind this cursor; `latest`: only what is to come; nothing: from the oldest kept"),
    _parameter("kind", "only these", enum=["instrument", "membership"]),
    _parameter("index_id", "only memberships of this index"),
    LIMIT,
    problems={410: "changes behind the cursor are no longer kept, or it is of another feed"},
)
consumers = _call(
    "consumers",
    _object({"consumers": _list({"type": "object"})}),
    _parameter("contract", "only calls of this contract", enum=["api", "screener"]),
)
screener_memberships = _call(
    "screener_memberships",
    _object({"memberships": _list(_object(OLD_MEMBERSHIP))}),
    _parameter("index_name", "of this index"),
    _parameter("symbol", "of this symbol"),
    _parameter("exchange", "of this exchange"),
)
screener_bulk = _call(
    "screener_bulk",
    _object({"memberships": _list(_object(OLD_MEMBERSHIP))}),
    ONCE,
    body=_object({"memberships": _list(_object(OLD_MEMBERSHIP, needed=False))}, closed=True),
    problems=_CONFLICT,
)
_imports = _call(
    "imports",
    _object(
        {
            "applied": TRUTH,
            "plan": TEXT,
            "read": NUMBER,
            "accepted": NUMBER,
            "rejected": NUMBER,
            "lacking": _list(_object(MEMBERSHIP_KEY)),
            "more_lacking": NUMBER,
        }
    ),
    _parameter("index", "the index of all rows; spells need it"),
    _parameter("exchange", "the exchange of rows that name none"),
    _parameter("columns", "FIELD=COLUMN, separated by commas: from which column a field is read"),
    _parameter("into", "members: the store; the one that takes the writes where it is not said"),
    _parameter("filename", "the name under which it is recorded"),
    _parameter("apply", "import it; else only look", OpenApiTypes.BOOL),
    _parameter("plan", "of the look before: import only if just that would be changed"),
    also=[CSV],
    problems={409: "refused by the store, or something else would be changed by now", 413: "too large"},
)


def imports(view: View) -> View:
    """A file in a form; or as the body, as text/csv."""
    file = _object({"file": {"type": "string", "format": "binary"}}, closed=True)
    example = OpenApiExample("a file", {"file": "index_name,symbol,name"}, request_only=True, media_type=FORM)
    described: View = extend_schema(request={FORM: file}, examples=[example])(_imports(view))
    return described
