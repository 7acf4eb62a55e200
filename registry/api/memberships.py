"""Index memberships as they are: read from the store that the stage says, written through the write service."""

from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.clearance import Clearance
from registry.api import schema
from registry.api.bulk import bulk
from registry.api.query import PAGE, Query, cursor_of, next_address
from registry.api.renderers import Csv, Json, Ndjson, Rows
from registry.api.view import ApiView, Told, say_where
from registry.reading import comparison
from registry.reading.records import Asked, Record
from registry.reading.route import serve
from registry.streams import INDEX_MEMBERSHIPS

FIELDS = ("instrument_key", "index_id", "weight", "sector", "date_added")


class MembershipsView(ApiView):
    """GET /api/v1/index-memberships."""

    renderer_classes = (Json, Csv, Ndjson)

    @schema.memberships
    def get(self, request: Request) -> Response:
        """Memberships by their keys; of an index, of an instrument, or one."""
        query = Query(request, "index_id", "instrument_key", *PAGE)
        where = query.texts("index_id", "instrument_key")
        after = tuple(map(str, query.cursor(str, str)))
        limit = query.limit()
        # One more than the page has, to know whether another one follows.
        asked = Asked(where, after, limit + 1)
        answer = serve(INDEX_MEMBERSHIPS, asked, self.consumer)
        found, more = answer.records[:limit], len(answer.records) > limit
        cursor = cursor_of(found[-1]["instrument_key"], found[-1]["index_id"]) if more else None
        about = {"next": next_address(request, cursor)}
        response = Told(Rows("memberships", FIELDS, rows_of(found, FIELDS), about))
        response.job = comparison.job(INDEX_MEMBERSHIPS, self.consumer, asked, answer)
        return say_where(response, answer.route)


class BulkMembershipsView(ApiView):
    """POST /api/v1/index-memberships/bulk."""

    needs = {"POST": Clearance.OPERATOR}

    @schema.bulk_memberships
    def post(self, request: Request) -> Response:
        """Put and end memberships: all or none, or each by itself; with an Idempotency-Key once."""
        return bulk(self, request, INDEX_MEMBERSHIPS, "memberships")


def rows_of(found: Sequence[Record], columns: Sequence[str]) -> list[list[Any]]:
    """Records as rows of these columns."""
    return [[record[column] for column in columns] for record in found]
