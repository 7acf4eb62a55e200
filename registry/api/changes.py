"""The feed of changes."""

from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.stages import Store
from registry.api import schema
from registry.api.problems import Gone, invalid_parameter
from registry.api.query import Query
from registry.api.view import STORE, ApiView
from registry.reading import feed
from registry.reading.stage import standing
from registry.streams import INDEX_MEMBERSHIPS, INSTRUMENTS

KINDS = {True: "instrument", False: "membership"}


class ChangesView(ApiView):
    """GET /api/v1/changes."""

    @schema.changes
    def get(self, request: Request) -> Response:
        """What changed behind a cursor, in order; `next` is the cursor to go on with, also where nothing did."""
        query = Query(request, "after", "limit", "kind", "index_id")
        kind = query.one_of("kind", feed.KINDS)
        try:
            page = feed.changes(query.text("after"), limit=query.limit(), kind=kind, index_id=query.text("index_id"))
        except feed.CursorInvalid as exc:
            raise invalid_parameter("after", str(exc)) from exc
        except (feed.CursorUnknown, feed.CursorTooOld) as exc:
            raise Gone(str(exc)) from exc
        answer = {
            "changes": [_change(one) for one in page.changes],
            "next": page.next,
            "more": page.more,
            "stages": {stream.name: standing(stream).stage.value for stream in (INSTRUMENTS, INDEX_MEMBERSHIPS)},
        }
        return Response(answer, headers={STORE: Store.REGISTRY.value})


def _change(one: feed.FeedChange) -> dict[str, object]:
    operation = "ended" if one.after is None else "began" if one.before is None else "changed"
    return {
        "kind": KINDS[one.index_id is None],
        "instrument_key": one.instrument_key,
        "index_id": one.index_id,
        "operation": operation,
        "before": one.before,
        "after": one.after,
        "at": one.at,
    }
