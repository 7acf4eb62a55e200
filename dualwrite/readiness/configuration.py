"""A configuration source that goes away takes nothing with it, and is heard again when it comes back."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dualwrite.configuration.exceptions import ConfigServiceAway
from dualwrite.configuration.fetch import Fetched, Service, fetch
from dualwrite.configuration.refresh import first_look
from dualwrite.monitoring.checks.config_service import ConfigServiceCheck
from dualwrite.parameters import BATCH_SIZE, all_parameters
from dualwrite.readiness import service as running
from dualwrite.readiness.exceptions import NotReady

LOOPBACK = "127.0.0.1"
LIMIT_SECONDS = 2.0
FIRST, SECOND = "4321", "1234"


def check(_: running.Service) -> str:
    """One of our own is asked, stopped, asked in vain, started again and asked; then how the service's own is."""
    with _source(FIRST) as port:
        _require(_ask(port), FIRST)
        before = [parameter.value() for parameter in all_parameters()]
    try:
        _ask(port)
    except ConfigServiceAway:
        pass
    else:
        raise NotReady("a config service that is stopped still answers")
    if not first_look(LIMIT_SECONDS) or [parameter.value() for parameter in all_parameters()] != before:
        raise NotReady("the parameters in force are others, or cannot be read, while a config service is away")
    with _source(SECOND, port) as again:
        _require(_ask(again), SECOND)
    found = ConfigServiceCheck().run()
    own = "the service's own answers" if found["configured"] else "the service has none (CONFIG_SERVICE_URL)"
    return f"read, stopped, {len(before)} parameters kept their values, read anew; {own}"


def _ask(port: int) -> Fetched:
    one = [parameter for parameter in all_parameters() if parameter.name == BATCH_SIZE.name]
    return fetch(Service(f"http://{LOOPBACK}:{port}", "", "readiness"), one, LIMIT_SECONDS)


def _require(fetched: Fetched, text: str) -> None:
    if fetched.texts.get(BATCH_SIZE.name) != text:
        raise NotReady(f"the config service said {text} and {fetched.texts.get(BATCH_SIZE.name)} was heard")


@contextmanager
def _source(text: str, port: int = 0) -> Iterator[int]:
    """A config service that says this of everything; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server calls
            body = json.dumps({"secret_value": text}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not in our output."""

    with ThreadingHTTPServer((LOOPBACK, port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, name="config service of readiness", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
