"""The stand-in's server: one thread a request, everything in memory."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MOODS = ("well", "slow", "down", "wrong")
#: Longer than anybody waits.
SLOW_SECONDS = 30.0


@dataclass
class StandIn:
    """Values by name, the key that is asked for, the environment they are of, and how it behaves.

    `asked` counts requests for values.
    """

    key: str = ""
    environment: str = "production"
    values: dict[str, object] = field(default_factory=dict)
    mood: str = "well"
    asked: int = 0
    url: str = ""
    woken: threading.Event = field(default_factory=threading.Event)

    def answer(self, name: str, environment: str, key: str) -> tuple[int, object]:
        """Status and body for a value."""
        self.asked += 1
        if self.mood == "slow":
            self.woken.wait(SLOW_SECONDS)
        if self.mood == "down":
            return 503, {"error": "out of service"}
        if self.mood == "wrong":
            return 200, ["nonsense"]
        if key != self.key:
            return 401, {"error": "wrong key"}
        if environment != self.environment or name not in self.values:
            return 404, {"error": "not set"}
        return 200, {"secret_value": self.values[name]}

    def change(self, path: str, body: dict[str, object]) -> tuple[int, object]:
        """Status and body for what is told to the stand-in itself."""
        what, _, name = path.removeprefix("/stand-in/").partition("/")
        if what == "mood" and body.get("mood") in MOODS:
            self.mood = str(body["mood"])
            self.woken.set()
            self.woken = threading.Event()
            return 200, {"mood": self.mood}
        if what == "values" and name and "value" in body:
            if body["value"] is None:
                self.values.pop(name, None)
            else:
                self.values[name] = body["value"]
            return 200, self.values
        return 400, {"error": f"valid: values/NAME with a value, mood with one of {', '.join(MOODS)}"}


@contextmanager
def serve(stand_in: StandIn, port: int = 0) -> Iterator[StandIn]:
    """Serve on the loopback address while inside; `url` says where."""
    server = _Server(("127.0.0.1", port), _handler(stand_in))
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.woken.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # everybody asks for all parameters at once


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            words = parts.path.strip("/").split("/")
            if words[:3] != ["api", "v1", "secrets"] or len(words) != 5 or words[4] != "value":
                self._say(404, {"error": "no such path"})
                return
            environment = parse_qs(parts.query).get("environment", [""])[0]
            self._say(*stand_in.answer(words[3], environment, self.headers.get("X-Internal-API-Key", "")))

        def do_PUT(self) -> None:
            try:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            except ValueError:
                body = {}
            self._say(*stand_in.change(urlsplit(self.path).path, body if isinstance(body, dict) else {}))

        def _say(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a request may carry a key."""

    return Handler
