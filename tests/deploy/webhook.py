"""Who is told: a server that hears what Alertmanager's webhooks say."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.waiting import WAIT_SECONDS


class Notification(NamedTuple):
    """One alert of which one receiver (the path) was told."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Webhook:
    """What was heard so far, in order."""

    def __init__(self) -> None:
        self.heard: list[Notification] = []
        self._news = threading.Condition()

    def hear(self, receiver: str, body: Mapping[str, Any]) -> None:
        """As Alertmanager tells it: many alerts in one body."""
        every = [Notification(receiver, one["status"], one["labels"], one["annotations"]) for one in body["alerts"]]
        with self._news:
            self.heard += every
            self._news.notify_all()

    def wait_for(self, receiver: str, alert: str, status: str = "firing", **labels: str) -> Notification:
        """The first one of this kind, waited for."""
        found: list[Notification] = []

        def is_there() -> bool:
            told = (one for one in self.heard if (one.receiver, one.status) == (receiver, status))
            found[:] = [one for one in told if ({"alertname": alert} | labels).items() <= one.labels.items()]
            return bool(found)

        with self._news:
            assert self._news.wait_for(is_there, WAIT_SECONDS), (alert, status, self.heard)
        return found[0]


@contextmanager
def listening() -> Iterator[tuple[Webhook, int]]:
    """A webhook, and its port on the loopback."""
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            webhook.hear(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield webhook, server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
