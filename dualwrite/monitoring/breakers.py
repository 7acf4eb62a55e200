"""All circuit breakers there are: of the mirror, for either store, and of the config service."""

from dualwrite import breaker, switch
from dualwrite.configuration import keep
from dualwrite.stages import Store
from dualwrite.stores import present
from dualwrite.switch import Actor

CONFIG_SERVICE = "config service"


def reset_breakers(actor: Actor) -> list[str]:
    """Close them all, whoever opened them, and say in the audit which were open; their names.

    What is away opens its breaker again at once. Raises StoreUnreachable, StoreFailed of the registry: the mirror's
    are closed by then, and the config service's, which is kept there, is not.
    """
    found = [f"{store} as a mirror" for store in breaker.reset(present())]
    found += [CONFIG_SERVICE] if keep.ask_now() else []
    switch.audit(Store.REGISTRY, actor, "reset breakers", None, {"were_open": found})
    return found
