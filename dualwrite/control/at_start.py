"""At the service's start DUAL_WRITE_ENABLED enables every stream that is off, unless an operator wanted it so.

The worker does it, on a thread (`config.celery`): it is there once, and noting every key of a store takes its time.

How it can fail, and the answer:

* a store or the parameter's sources are away → it is tried again until they are back, and said once;
* another worker starts as well, or an operator enables → the stream's lock lets one do it, the other leaves it;
* the mirror would lose more rows than the brake allows, capture is not installed as it should be → it stays off, with
  the reason in the log: that is for an operator to decide;
* the process dies in the middle → as with any enable, whoever enables next does it again.
"""

import logging
import threading

from django.db import connections

from dualwrite import trace
from dualwrite.control.enable import enable
from dualwrite.control.transition import stage_of
from dualwrite.exceptions import AlreadyRunning, DualWriteError, StoreFailed, StoreUnreachable
from dualwrite.models import Audit
from dualwrite.parameters import DUAL_WRITE_ENABLED
from dualwrite.stages import Stage, Store
from dualwrite.stores import failing, present
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor

log = logging.getLogger(__name__)

START = Actor("start", f"{DUAL_WRITE_ENABLED.name} is true")
#: Who may have disabled a stream without an operator's wish.
NOBODY = ("config service",)
WAIT_SECONDS = 5.0


def enable_what_is_off(stop: threading.Event) -> list[str]:
    """Enable what is to be enabled; ends when all of it has been decided, or `stop` is set. The streams enabled."""
    done: list[str] = []
    said = ""
    try:
        with trace.begun():
            for stream in all_streams():
                while not stop.is_set():
                    try:
                        done += [stream.name] if _enabled(stream) else []
                        break
                    except (StoreUnreachable, StoreFailed) as exc:
                        if not said:
                            log.warning("streams that are off are enabled once this is mended: %s", exc)
                        said = str(exc)
                        stop.wait(WAIT_SECONDS)
    finally:
        connections.close_all()
    return done


def _enabled(stream: Stream) -> bool:
    """Raises StoreUnreachable, StoreFailed; whatever else keeps it off is said."""
    try:
        if not is_wanted(stream) or not enable(stream, START).changed:
            return False
    except AlreadyRunning:
        return False
    except (StoreUnreachable, StoreFailed):
        raise
    except DualWriteError as exc:
        log.warning("stream %s stays off: %s", stream.name, exc)
        return False
    log.info("stream %s: enabled, as %s", stream.name, START.reason)
    return True


def is_wanted(stream: Stream) -> bool:
    """Whether it is off, may be enabled, and no operator brought it there. Raises StoreUnreachable, StoreFailed."""
    if Store.SCREENER not in present() or not DUAL_WRITE_ENABLED.value() or stage_of(stream) is not Stage.OFF:
        return False
    with failing(Store.REGISTRY):
        steps = Audit.objects.filter(stream=stream.name, verb__in=("enable", "disable"))
        last = steps.exclude(actor__in=NOBODY).order_by("-id").first()
    return last is None or last.verb == "enable"
