"""What all views of this API share."""

import hashlib
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import quote_etag
from rest_framework.exceptions import NotFound
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from registry.api import renderers
from registry.api.body import Json
from registry.api.problems import invalid_parameter
from registry.reading import comparison, usage
from registry.reading.comparison import Job
from registry.reading.route import Route

SAFE = ("GET", "HEAD")
STAGE, STORE = "Registry-Stage", "Registry-Store"


class Told(Response):
    """An answer; what is to be compared with it is handed over once it was sent."""

    job: Job | None = None

    def close(self) -> None:
        """The server has sent it, or given up."""
        super().close()
        if self.job is not None:
            comparison.offer(self.job)
            self.job = None


class ApiView(APIView):
    """Answers consumers; `contract` says under which of the two contracts."""

    contract = "api"
    renderer_classes: Sequence[type[renderers.Json]] = (renderers.Json,)
    parser_classes: Sequence[type[BaseParser]] = (Json,)

    @property
    def consumer(self) -> str:
        """Who asks, by the name of the key."""
        return str(getattr(self.request.user, "name", None) or "local")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Count whoever may ask; a key with a character that no database takes is nobody's."""
        super().initial(request, *args, **kwargs)
        if request.query_params.get("format") == "":
            forms = ", ".join(one.format for one in self.renderer_classes)
            raise invalid_parameter("format", f"''; valid: {forms}")
        usage.note(self.consumer, self.contract)
        if any("\0" in value for value in kwargs.values()):
            raise NotFound

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """An ETag, a short answer where nothing changed, a compressed one where it is asked for."""
        final = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(final, ("Accept", "Authorization", "X-Internal-API-Key"))
        patch_cache_control(final, private=True, no_cache=True)
        final.add_post_render_callback(_typed)
        if request.method in SAFE and final.status_code == HttpResponse.status_code:
            final.add_post_render_callback(lambda rendered: _conditional(request, rendered))
        final.add_post_render_callback(lambda rendered: _compressed(request, rendered))
        return final


class UnknownEndpoint(ApiView):
    """Everything under /api and /screener that is not there."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound, whatever the method."""
        super().initial(request, *args, **kwargs)
        raise NotFound(f"there is no {request.path}; /api/docs/ shows what there is")


def say_where(response: Response, route: Route) -> Response:
    """Tell the stage of what was read, and which store it is from."""
    response[STAGE], response[STORE] = route.stage.value, route.store.value
    return response


def _typed(response: Any) -> None:
    """No rows are of a form as well: an answer without bytes loses its type on the way here."""
    if response.data is not None and "Content-Type" not in response:
        response["Content-Type"] = response.accepted_renderer.media_type


_GZIP = GZipMiddleware(lambda request: HttpResponse())


def _compressed(request: Request, response: Any) -> Any:
    return _GZIP.process_response(request._request, response)


def _conditional(request: Request, response: Any) -> None:
    """Of the content before it is compressed: that is never twice the same."""
    etag = quote_etag(hashlib.sha256(response.content + response.get("Content-Type", "").encode()).hexdigest()[:32])
    response["ETag"] = etag
    known = {one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(",")}
    if etag in known or "*" in known:
        response.status_code = 304
        response.content = b""
        for header in ("Content-Type", "Content-Length"):
            response.headers.pop(header, None)
