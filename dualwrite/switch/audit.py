"""Who did what to which stream, and why: a line in the audit of the store that was changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from dualwrite import trace
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor


@dataclass(frozen=True)
class Actor:
    """Who does it, and why."""

    name: str
    reason: str = ""


def audit(
    store: Store,
    actor: Actor,
    verb: str,
    stream: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add a line to the store's audit: who did what to which stream, and why; `before`, `after`: what was changed."""
    with cursor(store) as found:
        found.execute(statement("state", "audit"), line(actor, verb, stream, before, after, evidence))


def line(
    actor: Actor,
    verb: str,
    stream: str | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The values of one line; the evidence has the ids of the request it was done for, if there is one."""
    if ids := trace.ids():
        evidence = {**(evidence or {}), "trace": ids}
    images = {"before": before, "after": after, "evidence": evidence}
    return {
        "actor": actor.name,
        "reason": actor.reason,
        "verb": verb,
        "stream": stream,
        **{name: None if image is None else Jsonb(dict(image)) for name, image in images.items()},
    }
