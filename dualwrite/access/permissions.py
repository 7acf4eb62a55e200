"""What a view needs, held against what the caller may do."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from dualwrite.access.caller import known
from dualwrite.clearance import Clearance

if TYPE_CHECKING:
    # The settings name this module, so the views' module is still being imported when it asks for this one.
    from rest_framework.views import APIView

FORWARDING = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
#: Whom a view is open to that needs nothing.
ANYBODY = None


class Cleared(BasePermission):
    """Reading needs a viewer, anything else an operator, unless the view's `needs` says otherwise by method."""

    message = "this needs the role of an operator"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether the caller may; who is refused is told what is missing."""
        needed = needed_by(view, request.method or "")
        if needed is ANYBODY:
            return True
        caller = known(request)
        if caller is None:
            return False
        self.message = f"This needs the role {needed}, and {caller.name} has {caller.clearance or 'none'}."
        return caller.covers(needed)


class ClearedOrLoopback(Cleared):
    """The same, and requests made on this machine itself."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether the caller may, or is this machine."""
        return is_local(request) or super().has_permission(request, view)


def needed_by(view: "APIView", method: str) -> Clearance | None:
    """What the method of the view needs; None: nothing. One that it does not offer is told to whoever may look."""
    needs: Mapping[str, Clearance | None] = getattr(view, "needs", {})
    if method in needs:
        return needs[method]
    if method in ("HEAD", "OPTIONS") and "GET" in needs:
        return needs["GET"]
    offered = method in view.allowed_methods
    return Clearance.VIEWER if method in SAFE_METHODS or not offered else Clearance.OPERATOR


def is_local(request: Request) -> bool:
    """Whether this machine itself asks, and no proxy forwarded it: behind one, everybody seems to be local."""
    forwarded = any(header in request.META for header in FORWARDING)
    return not forwarded and is_loopback(request.META.get("REMOTE_ADDR", ""))


def is_loopback(address: str) -> bool:
    """Whether the text is an address of this machine itself; a text that is no address is not."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
