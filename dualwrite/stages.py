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
    def reads(self) -> Store:
        """The store whose answer a reader gets."""
        return self.authority

    @property
    def compares(self) -> bool:
        """Whether a read asks the other store as well and compares the answers."""
        return self in (Stage.SHADOW, Stage.LIVE)

    @property
    def mirrors(self) -> bool:
        """Whether the other store follows."""
        return self not in (Stage.OFF, Stage.COMPLETE)

    @property
    def following(self) -> "Stage | None":
        """The stage one step forward; None from the last."""
        order = list(Stage)
        return order[order.index(self) + 1] if self is not Stage.COMPLETE else None

    @property
    def way_back(self) -> "Stage | None":
        """The stage one step back; None where no way leads back."""
        order = list(Stage)
        return order[order.index(self) - 1] if self in (Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN) else None

    @property
    def may_become(self) -> "tuple[Stage, ...]":
        """The stages one step away: forward, and back where there is a way back."""
        return tuple(stage for stage in (self.following, self.way_back) if stage is not None)

    @property
    def ends_the_way_back(self) -> bool:
        """Whether whoever comes here can never go back."""
        return self is Stage.COMPLETE

    def switches_to(self, other: "Stage") -> bool:
        """Whether going from here to the other stage moves the authority to the other store."""
        return self.authority is not other.authority

    def steps_back_to(self, other: "Stage") -> "tuple[Stage, ...]":
        """The stages passed from here back to the other one, that one included; empty when no way leads there."""
        passed: list[Stage] = []
        here: Stage | None = self
        while (here := here.way_back if here else None) is not None:
            passed.append(here)
            if here is other:
                return tuple(passed)
        return ()


def store_named(name: str) -> Store:
    """Return the store of that name; raises UnknownName listing the valid ones."""
    try:
        return Store(name)
    except ValueError as exc:
        raise UnknownName("store", name, list(Store)) from exc


def stage_named(name: str) -> Stage:
    """Return the stage of that name; raises UnknownName listing the valid ones."""
    try:
        return Stage(name)
    except ValueError as exc:
        raise UnknownName("stage", name, list(Stage)) from exc
