"""What each request is known by: `X-Request-ID` and `traceparent`, taken or made, logged and sent back."""

from typing import Any

from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware
from structlog.contextvars import bind_contextvars, clear_contextvars

from config.logs import route_of
from dualwrite import trace

ID_HEADER, TRACE_HEADER = "X-Request-ID", "traceparent"


@receiver(request_finished)
def _forget(**_: object) -> None:
    """What this thread does next is not done for that request."""
    clear_contextvars()


class TracedRequests(RequestMiddleware):
    """Binds both ids to everything that is logged meanwhile, and logs each request's end, by its address's pattern."""

    def prepare(self, request: HttpRequest) -> None:
        """Take the client's ids where they are valid, else make them: django_structlog binds what the header says."""
        clear_contextvars()
        request.META["HTTP_X_REQUEST_ID"] = trace.request_id(request.META.get("HTTP_X_REQUEST_ID"))
        request.META["HTTP_TRACEPARENT"] = trace.traceparent(request.META.get("HTTP_TRACEPARENT"))
        bind_contextvars(**{trace.TRACEPARENT: request.META["HTTP_TRACEPARENT"]})
        super().prepare(request)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        """Send both back."""
        response[ID_HEADER] = request.META["HTTP_X_REQUEST_ID"]
        response[TRACE_HEADER] = request.META["HTTP_TRACEPARENT"]
        ids = trace.ids()
        super().handle_response(request, response)
        # Forgotten by that, and Django has yet to warn of what went wrong; `_forget` comes after it.
        bind_contextvars(**ids)

    def process_got_request_exception(self, sender: type[Any], request: HttpRequest, **kwargs: Any) -> None:
        """Nothing: Django logs what failed unexpectedly, and once is enough; the end is logged all the same."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Method and pattern: the path may have the key of a record, the query a secret."""
        return f"{request.method} {route_of(request)}"
