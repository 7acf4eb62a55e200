"""What all views of this API share."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rest_framework.exceptions import NotFound
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from dualwrite.access import Clearance


class OneFormat(DefaultContentNegotiation):
    """Answers in the view's one format, whatever is asked for: a browser or a probe shall see something. What is sent
    must be of a format that the view reads."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first renderer."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""


class OperatorView(APIView):
    """JSON, for whoever the settings' permission lets in: readers view, writers operate, unless `needs` says so.

    What operators send is short; a loop that asks without end is stopped.
    """

    needs: ClassVar[Mapping[str, Clearance | None]] = {}
    content_negotiation_class = OneFormat
    body_max_bytes = 64 * 1024
    requests_per_minute = 1_200


class UnknownEndpoint(OperatorView):
    """Everything under /actuator that is not there."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound, whatever the method."""
        super().initial(request, *args, **kwargs)
        raise NotFound(f"there is no {request.path}; GET /actuator lists what there is")
