"""Every parameter with its value, where that comes from, and what does not count; and how the config service is."""

from typing import Any

from dualwrite.exceptions import InvalidParameter
from dualwrite.models import ConfigSource, ParameterChange
from dualwrite.parameters import Parameter, all_parameters
from dualwrite.stages import Store
from dualwrite.stores import failing


def report() -> dict[str, Any]:
    """All of it as JSON; raises StoreUnreachable."""
    with failing(Store.REGISTRY):
        source = ConfigSource.objects.filter(pk=1).first()
        changes = ParameterChange.objects.order_by("name", "-id").distinct("name")
        last = {change.name: change for change in changes}
    parameters = [_row(parameter, last.get(parameter.name)) for parameter in all_parameters()]
    return {"parameters": parameters, "config_service": _service(source)}


def parameter_report(parameter: Parameter[Any]) -> dict[str, Any]:
    """One of its parameters; raises StoreUnreachable."""
    with failing(Store.REGISTRY):
        return _row(parameter, ParameterChange.objects.filter(name=parameter.name).first())


def _row(parameter: Parameter[Any], last: ParameterChange | None) -> dict[str, Any]:
    own: dict[str, Any] = {"name": parameter.name, "variable": parameter.variable, "meaning": parameter.meaning}
    own |= {"default": str(parameter.default), "bounds": parameter.valid, "last_change": _told(last)}
    try:
        reading = parameter.reading()
    except InvalidParameter as exc:
        return {**own, "value": None, "origin": None, "faults": [str(exc)]}
    return {**own, "value": str(reading.value), "origin": reading.origin.value, "faults": list(reading.faults)}


def _told(change: ParameterChange | None) -> dict[str, Any] | None:
    if change is None:
        return None
    names = ("at", "origin", "before", "after", "by", "reason")
    return {name: getattr(change, name) for name in names}


def _service(source: ConfigSource | None) -> dict[str, Any]:
    """`state`: none, closed (it answers), open (it does not, and is not asked now)."""
    if source is None or source.asked_at is None:
        return {"state": "none"}
    state = "open" if source.failures else "closed"
    names = ("failures", "error", "wrong", "answered_at", "changed_at", "ask_at")
    return {"state": state, **{name: getattr(source, name) for name in names}}
