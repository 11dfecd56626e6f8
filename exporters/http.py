"""The small server that answers /metrics.

A scrape must be answered whatever other clients do, and whatever they do must cost the service little:

* each connection has a thread of its own and asks one thing; there are at most ``MOST_CONNECTIONS`` of them;
* who says nothing gives way to who comes, and has ``PATIENCE`` seconds for his whole question at best;
* one text is written at a time, and all who asked before it was begun share it.
"""

import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from exporters.seats import Seats
from exporters.text import CONTENT_TYPE, SharedText
from tidegate.errors import FaultError

log = logging.getLogger("tidegate.exporters")

MOST_CONNECTIONS = 32
#: Seconds for a whole question, and again for taking the answer. Below Prometheus' own time-out of 10 s.
PATIENCE = 5.0
_LONGEST_HEAD = 16384
_PLAIN = "text/plain; charset=utf-8"
_REFUSAL = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Page:
    """What one path answers: the type of its content, and who writes it anew for each question."""

    content_type: str
    write: Callable[[], bytes]


class MetricsServer:
    """Answers at ``listen`` (host, port; port 0: any) from `start` to `stop`.

    ``render`` gives the text of /metrics. It is called from other threads, by one at a time.
    """

    def __init__(self, listen: tuple[str, int], render: Callable[[], bytes]) -> None:
        self._listen = listen
        self._pages = {
            "/": Page(_PLAIN, lambda: b"Tidegate. The metrics are at /metrics.\n"),
            "/metrics": Page(CONTENT_TYPE, SharedText(render)),
        }
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as they are while it serves, as asked for before."""
        if self._server is None:
            return self._listen
        host, port, *_ = self._server.socket.getsockname()
        return host, port

    def start(self) -> None:
        """Serves in a thread of its own. Raises FaultError when the address cannot be had."""
        try:
            self._server = _Server(self._listen, self._pages)
        except OSError as error:
            host, port = self._listen
            raise FaultError(
                f"{host}:{port}: the metrics cannot be served there: {error.strerror};"
                " free the address or set another one in [exporters.http] listen"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the service and hangs up on every client. Does nothing when it does not run."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.seats.clear()
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # Some versions of Python set it for HTTP servers: two services would share a port and the scrapes.
    allow_reuse_port = False

    def __init__(self, listen: tuple[str, int], pages: Mapping[str, Page]) -> None:
        self.pages = pages
        self.seats = Seats(MOST_CONNECTIONS)
        found: Any = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM)[0]
        self.address_family, _, _, _, address = found
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's asks the DNS for our name, which may take its time

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.seats.take(request):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.setblocking(False)  # this is the thread that accepts: it waits for nobody
            request.send(_REFUSAL)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self.seats.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):  # a client that went away or said nothing is no news
            log.error("a question over HTTP could not be answered", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "tidegate"
    sys_version = ""

    def handle(self) -> None:
        head = self._read_head()
        if not head:
            return
        self.server.seats.has_asked(self.connection)
        self.rfile.close()
        self.rfile = io.BufferedReader(io.BytesIO(head))
        self.handle_one_request()

    def _read_head(self) -> bytes:
        """The question up to its empty line; b"" when the client left or said too much.

        Raises OSError when it took too long.
        """
        deadline = time.monotonic() + PATIENCE
        head = b""
        # A time-out for each read would wait for ever for one who sends a byte now and then.
        while not (b"\n\r\n" in head or b"\n\n" in head):
            self.connection.settimeout(max(0.0, deadline - time.monotonic()))
            piece = self.connection.recv(4096)
            if not piece or len(head) > _LONGEST_HEAD:
                return b""
            head += piece
        self.connection.settimeout(PATIENCE)
        return head

    def do_GET(self) -> None:
        """Answers with the page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answers with the page's headers."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        status = HTTPStatus.NOT_FOUND if page is None else HTTPStatus.OK
        body = b"Nothing is here. The metrics are at /metrics.\n" if page is None else page.write()
        self.send_response(status)
        self.send_header("Content-Type", _PLAIN if page is None else page.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Says nothing: a line for each scrape would hide the lines that matter."""
