"""What operators set, and take back. It counts at once here, and within seconds everywhere."""

from dataclasses import dataclass

from django.db import transaction

from dualwrite import switch
from dualwrite.configuration import push
from dualwrite.configuration.keep import Change
from dualwrite.configuration.load import load
from dualwrite.configuration.reaction import react
from dualwrite.exceptions import UsageError
from dualwrite.models import ParameterChange, ParameterOverride
from dualwrite.parameters import Origin, Reading, parameter_named
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.switch import Actor


@dataclass(frozen=True)
class Set:
    """A change, what counts now, and what it set off that could not be done."""

    change: Change
    reading: Reading[object]
    failed: tuple[str, ...]


def override(name: str, text: str, actor: Actor) -> Set:
    """Set a parameter; raises UnknownName, InvalidParameter, UsageError without a reason, StoreUnreachable."""
    parameter = parameter_named(name)
    parameter.read(text)
    return _change(parameter.name, text.strip(), actor)


def take_back(name: str, actor: Actor) -> Set:
    """Let the parameter be what it is without an override; raises as `override`."""
    return _change(parameter_named(name).name, None, actor)


def _change(name: str, after: str | None, actor: Actor) -> Set:
    if not actor.reason:
        raise UsageError("changing a parameter needs a reason")
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        mine = ParameterOverride.objects.select_for_update().filter(name=name)
        before = mine.values_list("value", flat=True).first()
        change = Change(name, before, after)
        if before != after:
            _store(change, actor)
    return _published(change, actor)


def _store(change: Change, actor: Actor) -> None:
    if change.after is None:
        ParameterOverride.objects.filter(name=change.name).delete()
    else:
        values = {"value": change.after, "by": actor.name, "reason": actor.reason}
        ParameterOverride.objects.update_or_create(name=change.name, defaults=values)
    ParameterChange.objects.create(
        name=change.name,
        origin=Origin.OVERRIDE,
        before=change.before,
        after=change.after,
        by=actor.name,
        reason=actor.reason,
    )


def _published(change: Change, actor: Actor) -> Set:
    before_it: Reading[object] = parameter_named(change.name).reading()
    load()
    now: Reading[object] = parameter_named(change.name).reading()
    evidence = {"parameter": change.name, "before": change.before, "after": change.after, "in_force": str(now.value)}
    switch.audit(Store.REGISTRY, actor, "set parameter", None, evidence)
    push.tell()
    # What was in force is what the kill switch looks at: an override of false over a true environment is one.
    effective = Change(change.name, _text(before_it), _text(now)) if now.origin is Origin.OVERRIDE else change
    return Set(change, now, tuple(react([effective], Origin.OVERRIDE, actor)))


def _text(reading: Reading[object]) -> str:
    return str(reading.value)
