"""Words for tests of alerts: rules, sources that say what the test says, and receivers of webhooks."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone

from dualwrite.models import Alert, AlertChannel, AlertRule, AlertState, Measure
from dualwrite.monitoring.alerts.channels import signature
from dualwrite.monitoring.alerts.evaluation import Evaluated, evaluate
from dualwrite.monitoring.alerts.sources import Source
from dualwrite.monitoring.alerts.sources.messages import SOURCE as CHANNELS
from dualwrite.monitoring.alerts.states import Sample


@cache
def _begin(test: str) -> datetime:
    return timezone.now()


def at(seconds: float) -> datetime:
    """So long after the test began: of another test's moment, whoever looks would say that nobody looked lately."""
    return _begin(os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]) + timedelta(seconds=seconds)


def rule(name: str = "lag", **values: Any) -> AlertRule:
    """Lag above 60 s, at once, over at once, unless said."""
    usual = {"measure": Measure.LAG, "threshold": 60, "cool_down_seconds": 0, "runbook": "lag", "severity": "warning"}
    return AlertRule.objects.create(name=name, **{**usual, **values})


def webhook(address: str, name: str = "hook", **values: Any) -> AlertChannel:
    return AlertChannel.objects.create(name=name, kind="webhook", address=address, **values)


def says(*samples: Sample) -> Sequence[Source]:
    """A source of these samples, beside the channels' own."""
    return [Source("test", (Measure.LAG,), lambda: samples), CHANNELS]


def lag(value: float | None, subject: str = "memberships") -> Sample:
    return Sample(Measure.LAG, subject, value, f"the mirror is {value} s behind")


def evaluated(seconds: float, *samples: Sample) -> Evaluated:
    """One evaluation at that time, of these samples."""
    return evaluate(at(seconds), lambda: says(*samples))


def states() -> list[tuple[str, str]]:
    """Subject and state of all alerts, the oldest first."""
    return list(Alert.objects.order_by("id").values_list("subject", "state"))


def one_open() -> Alert:
    return Alert.objects.exclude(state=AlertState.RESOLVED).get()


@dataclass
class Receiver:
    """What came, how it is answered; `keys`: those it knows, where it wants a signature; `hangs` until `go` is set."""

    url: str = ""
    status: int = 200
    keys: Sequence[str] = ()
    hangs: bool = False
    location: str = ""
    go: threading.Event = field(default_factory=threading.Event)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, headers: dict[str, str], body: bytes) -> int:
        """The status, after a while where it hangs."""
        self.came.append((headers, body))
        if self.hangs:
            self.go.wait(30)
        stamp, signed = (headers.get(n, "") for n in (signature.TIMESTAMP_HEADER, signature.SIGNATURE_HEADER))
        now = int(timezone.now().timestamp())
        if self.keys and not signature.is_signed(body, self.keys, stamp, signed, now):
            return 401
        return self.status


@contextmanager
def receiving(**values: Any) -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver(**values)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.answer(dict(self.headers.items()), body))
            self.send_header("Content-Length", "0")
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield receiver
    finally:
        receiver.go.set()
        server.shutdown()
        server.server_close()
        thread.join()
