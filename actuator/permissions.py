"""Who may ask: only this machine itself."""

from ipaddress import ip_address
from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    # The settings name this module, so the views' module is still being imported when it asks for this one.
    from rest_framework.views import APIView

FORWARDING = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


class LoopbackOnly(BasePermission):
    """Requests from 127.0.0.0/8 and ::1 that no proxy forwarded: behind one, everybody seems to be local."""

    message = "only requests made on this machine itself are answered here"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether the request comes from this machine."""
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
