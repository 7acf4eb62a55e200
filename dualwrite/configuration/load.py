"""What is stored, into the memory of this process."""

import logging

from dualwrite.exceptions import DualWriteError
from dualwrite.models import ParameterKnown, ParameterOverride
from dualwrite.parameters import Texts, put
from dualwrite.stages import Store
from dualwrite.stores import failing

log = logging.getLogger(__name__)


def load() -> Texts:
    """Read what is stored, and let it count from now on; raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        remote = dict(ParameterKnown.objects.values_list("name", "value"))
        overrides = dict(ParameterOverride.objects.values_list("name", "value"))
    texts = Texts(remote, overrides)
    put(texts)
    return texts


class Loader:
    """Loads again and again, and says once when that fails and once when it works again."""

    def __init__(self) -> None:
        self._away = ""

    def load(self) -> bool:
        """Load; false where the registry could not be asked: what is in memory counts on."""
        try:
            load()
        except DualWriteError as exc:
            if not self._away:
                log.warning("live parameters keep what they have, as they cannot be read: %s", exc)
            self._away = str(exc)
            return False
        if self._away:
            log.info("live parameters are read again")
        self._away = ""
        return True
