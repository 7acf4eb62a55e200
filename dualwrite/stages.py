"""Stages, stores and roles: words that own their behaviour. No I/O."""

from enum import StrEnum

from dualwrite.exceptions import UnknownName


class Store(StrEnum):
    """One of the two databases."""

    SCREENER = "screener"  #: the old one, owned by another service
    REGISTRY = "registry"  #: the new one

    @property
    def alias(self) -> str:
        """Its name in DATABASES."""
        return "default" if self is Store.REGISTRY else "screener"

    @property
    def owner_alias(self) -> str:
        """The name in DATABASES of its owner's account, used for schema changes where it is configured."""
        return "owner" if self is Store.REGISTRY else "screener_owner"

    @property
    def peer(self) -> "Store":
        """The other store."""
        return Store.SCREENER if self is Store.REGISTRY else Store.REGISTRY


class Role(StrEnum):
    """What one store is for one stream."""

    AUTHORITY = "authority"  #: takes the writes
    MIRROR = "mirror"  #: follows; only the relay writes it
    FENCED = "fenced"  #: takes none, in the middle of a switch
    DETACHED = "detached"  #: not part of the stream; takes none


class Stage(StrEnum):
    """How far a stream has moved."""

    OFF = "off"  #: only the old store
    DUALWRITE = "dualwrite"  #: the new store follows
    SHADOW = "shadow"  #: reads are compared as well
    LIVE = "live"  #: the new store takes the writes, the old one follows
    RAMPDOWN = "rampdown"  #: consumers have left the old store
    COMPLETE = "complete"  #: the old store takes no writes; no way back

    @property
    def authority(self) -> Store:
        """The store that takes the writes."""
        old = (Stage.OFF, Stage.DUALWRITE, Stage.SHADOW)
        return Store.SCREENER if self in old else Store.REGISTRY

    @property
    def mirrors(self) -> bool:
        """Whether the other store follows."""
        return self not in (Stage.OFF, Stage.COMPLETE)

    @property
    def may_become(self) -> "tuple[Stage, ...]":
        """The stages one step away: forward, and back where there is a way back."""
        order = list(Stage)
        here = order.index(self)
        forward = order[here + 1 : here + 2]
        back = [order[here - 1]] if self in (Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN) else []
        return tuple(forward + back)


def store_named(name: str) -> Store:
    """Return the store of that name; raises UnknownName listing the valid ones."""
    try:
        return Store(name)
    except ValueError as exc:
        raise UnknownName("store", name, list(Store)) from exc
