"""The service has started up, all its parts are there, and one that is told to stop does so and leaves nothing."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from celery import current_app
from django.conf import settings

from dualwrite import switch
from dualwrite.monitoring.startup import start_up
from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service
from dualwrite.runs import holder
from dualwrite.sql import statement
from dualwrite.stores import cursor
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.standing import reason_to_skip

QUEUES = {"watch", "work"}
PING_SECONDS, COMES_SECONDS, GOES_SECONDS = 3.0, 40.0, 30.0


def check(service: Service) -> str:
    """Start-up steps, probes, who has which seat; then a relay of our own comes, is told to stop, and goes."""
    blocking = start_up().blocking
    if blocking:
        raise NotReady(blocking[0].line)
    with service.client() as client:
        for path in ("/livez", "/readyz"):
            if (status := client.get(path).status_code) != 200:
                raise NotReady(f"{path} answers {status}")
    return f"started up, live, ready; {_workers()}; {_scheduler()}; {_relays()}"


def _workers() -> str:
    """Somebody takes from each queue."""
    found = current_app.control.inspect(timeout=PING_SECONDS).active_queues() or {}
    queues = {str(queue["name"]) for taken in found.values() for queue in taken}
    if lacking := QUEUES - queues:
        raise NotReady(f"no worker takes queue {' or '.join(sorted(lacking))}: celery -A config worker -Q watch,work")
    return f"{len(found)} workers"


def _scheduler() -> str:
    if holder("beat", "schedule") is None:
        raise NotReady("nobody schedules; start it: celery -A config beat")
    return "one scheduler"


def _relays() -> str:
    """Every mirrored stream has a relay; one more comes, is told to stop, ends well, and is counted no more."""
    mirrored = [stream for stream in all_streams() if not reason_to_skip(stream)]
    for stream in mirrored:
        if not fleet(stream):
            raise NotReady(f"no relay works on stream {stream.name}: manage.py relay")
    if not mirrored:
        return "nothing is to be relayed"
    return _comes_and_goes(mirrored[0])


def _comes_and_goes(stream: Stream) -> str:
    before = fleet(stream)
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "relay", "--stream", stream.name]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, "--metrics-port", "0"], cwd=settings.BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _until(lambda: fleet(stream) > before, COMES_SECONDS, "a relay that was started is not seen by the others")
            process.terminate()
            code = process.wait(GOES_SECONDS)
        except subprocess.TimeoutExpired as exc:
            raise NotReady(f"a relay that was told to stop did not within {GOES_SECONDS:g} s") from exc
        finally:
            process.kill()
    if code:
        raise NotReady(f"a relay that was told to stop ended with {code}")
    _until(lambda: fleet(stream) <= before, GOES_SECONDS, "a relay that has ended left its locks")
    return f"{before} relays, one more came and went in {time.monotonic() - began:.1f} s and left nothing"


def fleet(stream: Stream) -> int:
    """How many relays share the stream."""
    with cursor(switch.authority(stream).store) as found:
        found.execute(statement("relay", "fleet"), {"stream": stream.name})
        return int(found.fetchone()[0])


def _until(what: Callable[[], bool], seconds: float, otherwise: str) -> None:
    pace, until = threading.Event(), time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            raise NotReady(otherwise)
        pace.wait(0.1)
