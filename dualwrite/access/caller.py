"""Somebody who asks, as views, throttles and the audit know them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import NotAuthenticated

from dualwrite.clearance import Clearance
from dualwrite.switch import Actor

if TYPE_CHECKING:
    from rest_framework.request import Request

#: The permissions of Django's by which a session may do what a clearance allows.
OPERATE = "dualwrite.operate_stream"
OPERATE_RETENTION = "dualwrite.operate_retention"
FORCE = "dualwrite.force_stream"


@dataclass(frozen=True)
class Caller:
    """`name`: the key's, or the user's; `by`: key or session; `user`: whose session it is, else None.

    A session whose user is no staff has no clearance. Django and DRF ask for the attributes further down.
    """

    name: str
    clearance: Clearance | None
    by: str
    user: Any = None

    is_authenticated = True
    is_anonymous = False

    @property
    def pk(self) -> str:
        """What tells callers apart."""
        return f"{self.by}:{self.name}"

    def get_username(self) -> str:
        """As Django calls the name."""
        return self.name

    def covers(self, needed: Clearance) -> bool:
        """Whether they may do what needs that clearance."""
        return self.clearance is not None and self.clearance.covers(needed)

    def holds(self, permission: str) -> bool:
        """Whether they may do what Django's permission guards in the admin: of a key its clearance decides."""
        return self.user.has_perm(permission) if self.user is not None else self.covers(Clearance.OPERATOR)

    def actor(self, reason: str = "") -> Actor:
        """As the audit names them: a user as in the admin, a key as what it is."""
        return Actor(self.name if self.by == "session" else self.pk, reason)


def known(request: "Request") -> Caller | None:
    """Who asks; None when nobody is known to."""
    found: object = request.user
    return found if isinstance(found, Caller) else None


def caller_of(request: "Request") -> Caller:
    """Who asks; raises NotAuthenticated when nobody is known to."""
    found = known(request)
    if found is None:
        raise NotAuthenticated
    return found


def may_look(request: "Request") -> bool:
    """Whether details are for whoever asks."""
    found = known(request)
    return found is not None and found.covers(Clearance.VIEWER)


def clearance_of(user: Any) -> Clearance | None:
    """What a user of the admin may do: superusers all, staff that may steer streams act, other staff look."""
    if not (user.is_active and user.is_staff):
        return None
    if user.is_superuser:
        return Clearance.ADMIN
    return Clearance.OPERATOR if user.has_perm(OPERATE) else Clearance.VIEWER
