"""What every operation has in common, whichever package has its view: role, security, and the problems it may end in.

The settings name `OperationSchema` and `complete`.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.permissions import SAFE_METHODS

from actuator.openapi.shapes import Shape, count, many, record, text
from dualwrite.access.permissions import needed_by

PROBLEM_MEDIA = "application/problem+json"
FAULT = record(
    "One of pointer, parameter and header says where.",
    optional=("pointer", "parameter", "header"),
    detail=text("What is wrong, and what is valid."),
    pointer=text("Where in the body, as RFC 6901 has it, after a #."),
    parameter=text("Which parameter of the query."),
    header=text("Which header."),
)
PROBLEM: Shape = {
    **record(
        "What went wrong, as RFC 9457 has it.",
        optional=("code", "errors"),
        type=text("What kind of problem it is; `about:blank`: the one its status says."),
        title=text("The status in words."),
        status=count("The status of the answer."),
        detail=text("What went wrong, in a sentence."),
        instance=text("The path that was asked."),
        code=text("What kind of refusal of the engine it is, such as `AlreadyRunning`."),
        errors=many(FAULT, "Each thing that is wrong with what was sent."),
    ),
    # Some say more: the run under way, what was done and what is pending.
    "additionalProperties": True,
}
EVERYWHERE = {
    400: "The request is not valid.",
    401: "Nobody is known to ask: no key was sent, or one that is not valid, has expired or was revoked.",
    403: "Who asks may not do this, or a session sent no CSRF token.",
    404: "What the path names is not there.",
    406: "It is not answered in the format that was asked for.",
    413: "The body is too large.",
    415: "The body is not sent as JSON.",
    429: "Too many requests; `Retry-After` says for how many seconds to wait.",
    500: "It failed unexpectedly; the log has it.",
    503: "A database cannot be reached, so nothing can be told or done.",
}
#: Those that only a body or a path with a name can bring about.
OF_BODIES, OF_NAMES = (413, 415), (404,)


class OperationSchema(AutoSchema):
    """What a view says of an operation, and what is true of all."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation with its role and its problems."""
        found: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if found is None:
            return None
        needed = needed_by(self.view, self.method)
        found["x-role"] = str(needed) if needed else "anybody"
        responses = found["responses"]
        for code, why in EVERYWHERE.items():
            if self._may_end_in(code, found, needed is not None):
                responses.setdefault(str(code), {"description": why, "content": _problem()})
        found["responses"] = {code: responses[code] for code in sorted(responses)}
        if "429" in responses:
            responses["429"].setdefault("headers", {})["Retry-After"] = {"schema": count("Seconds.")}
        return found

    def get_auth(self) -> list[dict[str, Any]]:
        """A key, a bearer token or a session; or nothing, where nothing is needed."""
        found: list[dict[str, Any]] = super().get_auth()
        return found if needed_by(self.view, self.method) else [{}, *found]

    def _may_end_in(self, code: int, found: dict[str, Any], needs_somebody: bool) -> bool:
        if code in OF_BODIES:
            return self.method not in SAFE_METHODS
        if code == 401 and not needs_somebody:
            return bool(self.view.get_authenticators())
        if code == 403:
            return needs_somebody
        return True


def _problem() -> Shape:
    return {PROBLEM_MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put the schemas that are referred to by name among the components."""
    from actuator.shapes import COMPONENTS  # the views' own, which import this package

    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.update({"Problem": PROBLEM, **COMPONENTS})
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    return result


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Both ways to send a key."""

    target_class = "dualwrite.access.authentication.KeyAuthentication"
    name = ["key", "bearer"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> Any:
        """Either of them."""
        return [{"key": []}, {"bearer": []}]

    def get_security_definition(self, auto_schema: AutoSchema) -> Any:
        """The headers."""
        return [
            {"type": "apiKey", "in": "header", "name": "X-Internal-API-Key"},
            {"type": "http", "scheme": "bearer"},
        ]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The session of somebody who is logged in to the admin."""

    target_class = "dualwrite.access.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> Any:
        """The cookie."""
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Anything but reading needs the token as X-CSRFToken.",
        }
