"""Indices: which there are, their members now or on a day, and what happened to them between two days."""

from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.stages import Store
from registry.api import schema
from registry.api.memberships import rows_of
from registry.api.problems import NotFound, invalid_parameter
from registry.api.query import PAGE, Query, cursor_of, next_address
from registry.api.renderers import Csv, Json, Ndjson, Rows
from registry.api.view import STORE, ApiView, Told, say_where
from registry.reading import comparison, search
from registry.reading.records import Asked
from registry.reading.route import serve
from registry.reading.spells import index_changes, members
from registry.streams import INDEX_MEMBERSHIPS

REGISTRY = {STORE: Store.REGISTRY.value}


class IndicesView(ApiView):
    """GET /api/v1/indices."""

    renderer_classes = (Json, Csv, Ndjson)
    COLUMNS = ("index_id", "name", "exchange", "country", "currency", "members")

    @schema.indices
    def get(self, request: Request) -> Response:
        """The indices the registry knows, with how many members each has now."""
        query = Query(request, *PAGE)
        limit, after = query.limit(), query.cursor(str)
        found = search.indices(after=str(after[0]) if after else None, limit=limit + 1)
        page, more = found[:limit], len(found) > limit
        cursor = cursor_of(page[-1]["index_id"]) if more else None
        rows = [[one[column] for column in self.COLUMNS] for one in page]
        return Response(Rows("indices", self.COLUMNS, rows, {"next": next_address(request, cursor)}), headers=REGISTRY)


class IndexView(ApiView):
    """GET /api/v1/indices/{index_id}."""

    @schema.index
    def get(self, request: Request, index_id: str) -> Response:
        """One index."""
        Query(request)
        found = search.indices(index_id)
        if not found:
            raise _unknown(index_id)
        return Response(found[0], headers=REGISTRY)


class MembersView(ApiView):
    """GET /api/v1/indices/{index_id}/members."""

    renderer_classes = (Json, Csv, Ndjson)
    NOW = ("instrument_key", "weight", "sector", "date_added")
    THEN = ("instrument_key", "name", "isin", "since", "until")

    @schema.members
    def get(self, request: Request, index_id: str) -> Response:
        """All members: as they are now, or those of a day, as known now or at a moment."""
        query = Query(request, "as_of", "known_at")
        as_of, known_at = query.day("as_of"), query.moment("known_at")
        if known_at is not None and as_of is None:
            as_of = known_at.date()
        if as_of is None:
            return self._now(index_id)
        found = members(index_id, as_of, known_at)
        if found is None:
            raise _unknown(index_id)
        rows = [(m.instrument_key, m.name, m.isin, m.since, m.until) for m in found]
        about = {"index_id": index_id, "as_of": as_of, "known_at": known_at, "count": len(rows)}
        return Response(Rows("members", self.THEN, rows, about), headers=REGISTRY)

    def _now(self, index_id: str) -> Response:
        asked = Asked({"index_id": index_id})
        answer = serve(INDEX_MEMBERSHIPS, asked, self.consumer)
        if not answer.records and not search.indices(index_id):
            raise _unknown(index_id)
        about = {"index_id": index_id, "as_of": None, "known_at": None, "count": len(answer.records)}
        response = Told(Rows("members", self.NOW, rows_of(answer.records, self.NOW), about))
        response.job = comparison.job(INDEX_MEMBERSHIPS, self.consumer, asked, answer)
        return say_where(response, answer.route)


class IndexChangesView(ApiView):
    """GET /api/v1/indices/{index_id}/changes."""

    @schema.index_changes
    def get(self, request: Request, index_id: str) -> Response:
        """Who joined and left after one day and until another one, and whose weight was recorded otherwise."""
        query = Query(request, "from", "to", "known_at")
        first, last, known_at = query.day("from"), query.day("to"), query.moment("known_at")
        if first is None or last is None:
            missing = "from" if first is None else "to"
            raise invalid_parameter(missing, "missing; valid: a day as YYYY-MM-DD, e.g. 2024-01-31")
        if last < first:
            raise invalid_parameter("to", f"{last} is before from, {first}")
        found = index_changes(index_id, first, last, known_at)
        if found is None:
            raise _unknown(index_id)
        answer = {
            "index_id": index_id,
            "from": first,
            "to": last,
            "known_at": known_at,
            "joined": [{"instrument_key": key, "day": day} for key, day in found.joined],
            "left": [{"instrument_key": key, "day": day} for key, day in found.left],
            "reweighted": [
                {"instrument_key": one.instrument_key, "before": one.before, "after": one.after}
                for one in found.reweighted
            ],
            "weights_since": found.weights_since,
        }
        return Response(answer, headers=REGISTRY)


def _unknown(index_id: str) -> NotFound:
    return NotFound(f"there is no index {index_id}; GET /api/v1/indices lists them")
