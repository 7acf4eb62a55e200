"""Django's database router: sends each model to its store and warns early. It neither captures nor fences.

`.using()`, raw SQL and the old service pass it by; the triggers in both databases see every write and decide.
"""

import time
from typing import Any

from django.db import models

from dualwrite import switch
from dualwrite.exceptions import NotAuthority, NotInstalled
from dualwrite.stages import Role, Store
from dualwrite.stores import require_present
from dualwrite.stream import Stream, all_streams

#: A role read this long ago still serves for the early word; the trigger decides anyway.
ROLE_MAX_AGE_SECONDS = 1.0

#: Whose store a write is sent to: in the middle of a switch it waits there for the end and is then told the right
#: store; refused here at once, writers would go to and fro until the end.
TRIED = (Role.AUTHORITY, Role.FENCED, None)

_roles: dict[tuple[str, Store], tuple[float, Role | None]] = {}


class DualWriteRouter:
    """Routes the application labelled `screener` to the old store and everything else to the registry."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        """The alias of the model's store; raises NoOldStore."""
        store = store_of(model)
        require_present(store)
        return store.alias

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        """The alias of the model's store; raises NoOldStore, NotAuthority when it does not take the model's writes."""
        store = store_of(model)
        require_present(store)
        stream = stream_of(model, store)
        if stream is not None and _role(stream, store) not in TRIED:
            raise NotAuthority(f"write stream {stream.name} in the {store.peer} store, not in the {store} store")
        return store.alias

    def allow_relation(self, first: models.Model, second: models.Model, **hints: Any) -> bool:
        """Whether both live in the same store."""
        return store_of(type(first)) is store_of(type(second))

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        """Only the registry is migrated; the old store's tables belong to another team."""
        return app_label != Store.SCREENER.value and db in (Store.REGISTRY.alias, Store.REGISTRY.owner_alias)


def store_of(model: type[models.Model]) -> Store:
    """The store a model lives in."""
    return Store.SCREENER if model._meta.app_label == Store.SCREENER.value else Store.REGISTRY


def stream_of(model: type[models.Model], store: Store) -> Stream | None:
    """The stream whose table in that store the model is, if any."""
    return next((s for s in all_streams() if s.side(store).model.lower() == model._meta.label_lower), None)


def _role(stream: Stream, store: Store) -> Role | None:
    read_at, role = _roles.get((stream.name, store), (float("-inf"), None))
    if time.monotonic() - read_at > ROLE_MAX_AGE_SECONDS:
        try:
            role = switch.state(stream, store).role
        except NotInstalled:
            # No triggers either: nothing is fenced yet, and `dualwrite status` says so.
            role = None
        _roles[stream.name, store] = (time.monotonic(), role)
    return role


def forget_roles() -> None:
    """Read roles afresh, after this process changed one."""
    _roles.clear()
