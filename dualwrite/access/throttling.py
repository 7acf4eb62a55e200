"""So many requests a minute for each caller, and for each address of those that are not known."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from dualwrite.access.caller import known
from dualwrite.access.counting import COUNTING, left_of_minute

if TYPE_CHECKING:
    # The settings name this module, so the views' module is still being imported when it asks for this one.
    from rest_framework.views import APIView


class CallerThrottle(BaseThrottle):
    """By key or user, else by address. A view may say its own `requests_per_minute`; 0 is no limit."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Whether there is room for it."""
        caller = known(request)
        usual: int = settings.REQUESTS_PER_MINUTE["known" if caller else "unknown"]
        limit: int = getattr(view, "requests_per_minute", usual) if caller else usual
        if not limit:
            return True
        who = caller.pk if caller else f"address:{self.get_ident(request)}"
        return COUNTING.add(f"{_counted_with(view)}:{who}") <= limit

    def wait(self) -> float:
        """Until the next minute."""
        return left_of_minute()


def _counted_with(view: "APIView") -> str:
    """What the views that share a limit have in common: the class that says it, else the package.

    Counted by package alone, a hundred calls of cheap addresses would use up the few of a dear one.
    """
    says_it = next((each for each in type(view).__mro__ if "requests_per_minute" in vars(each)), None)
    return f"{says_it.__module__}.{says_it.__qualname__}" if says_it else type(view).__module__.partition(".")[0]


def address_of(request: Request) -> str:
    """The address that asks, behind as many proxies as the setting NUM_PROXIES says."""
    return str(BaseThrottle().get_ident(request))
