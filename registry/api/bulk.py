"""A bulk write over HTTP: the body becomes records, what became of them the answer."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.access.idempotency import answered_once
from dualwrite.stream import Stream
from registry.api.body import lists_of
from registry.api.problems import invalid_body
from registry.api.query import Query
from registry.api.view import ApiView
from registry.bulk.checks import items
from registry.bulk.write import Mode, Order, RecordsRefused, Told, bulk_write, counts_of


def bulk(view: ApiView, request: Request, stream: Stream, name: str) -> Response:
    """Carry out the body's lists: `name` to be put, `end` to be ended."""
    mode = Mode(Query(request, "mode").one_of("mode", list(Mode)) or Mode.ALL)
    given = lists_of(request, name, "end")

    def carry_out() -> Response:
        found = [*items(stream, name, given[name]), *items(stream, "end", given["end"], ends=True)]
        return Response(answer(write(stream, found, order_of(view, mode))))

    return answered_once(request, carry_out)


def order_of(view: ApiView, mode: Mode) -> Order:
    """Who orders it."""
    return Order(view.consumer, mode, {"mode": mode.value})


def write(stream: Stream, found: list[Any], order: Order) -> list[Told]:
    """Write them; raises Invalid that points to each fault."""
    try:
        return bulk_write(stream, found, order)
    except RecordsRefused as exc:
        raise invalid_body(exc.faults) from exc


def answer(told: list[Told]) -> dict[str, Any]:
    """The numbers, and what became of each record."""
    stores: dict[Any, Any] = {}
    return {**counts_of(told), "results": [_result(one, stores) for one in told]}


def _result(one: Told, stores: dict[Any, Any]) -> dict[str, Any]:
    """`stores`: what was told of stores already; thousands of records share the few things there are to say."""
    found: dict[str, Any] = {"pointer": one.item.place, "outcome": one.outcome}
    if one.written is not None:
        known = tuple(map(id, one.written.stores.values()))
        if known not in stores:
            stores[known] = one.written.as_data()["stores"]
        return {**found, "key": one.written.key, "stores": stores[known]}
    if one.refused:
        return {**found, "errors": [fault.as_data() for fault in one.refused]}
    return found
