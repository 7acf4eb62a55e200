"""Who still uses the old contract."""

from django.db.models import Max, Sum
from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.stages import Store
from dualwrite.stores import failing
from registry.api import schema
from registry.api.query import Query
from registry.api.view import ApiView
from registry.models import ConsumerCalls
from registry.reading import usage
from registry.reading.route import route
from registry.streams import INDEX_MEMBERSHIPS


class ConsumersView(ApiView):
    """GET /api/v1/consumers."""

    @schema.consumers
    def get(self, request: Request) -> Response:
        """Calls of each consumer by contract, the last one of each, and the store that answers the consumer now."""
        query = Query(request, "contract")
        contract = query.one_of("contract", ConsumerCalls.Contract.values)
        usage.USAGE.flush()
        with failing(Store.REGISTRY):
            rows = ConsumerCalls.objects.filter(**({"contract": contract} if contract else {}))
            found = rows.values("consumer", "contract").annotate(calls=Sum("calls"), last_at=Max("last_at"))
            told = list(found.order_by("consumer", "contract"))
        stores = {name: route(INDEX_MEMBERSHIPS, name).store.value for name in {one["consumer"] for one in told}}
        return Response({"consumers": [{**one, "answered_by": stores[one["consumer"]]} for one in told]})
