"""A body whose length nobody says is refused: Django would take it for none, and a call without a body for another."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, JsonResponse


class RequireLength:
    """Middleware: 411 for a body sent in chunks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, unless there is a body of unknown length."""
        if not request.META.get("HTTP_TRANSFER_ENCODING"):
            return self._get_response(request)
        problem = {
            "type": "about:blank",
            "title": "Length Required",
            "status": 411,
            "detail": "The body is sent in chunks; send it whole, with its Content-Length.",
            "instance": request.path,
        }
        return JsonResponse(problem, status=411, content_type="application/problem+json")
