"""The small server that answers /metrics, and hands every other path to the site, which has the page.

A scrape must be answered whatever other clients do, and whatever they do must cost the service little:

* each connection has a thread of its own and asks one thing; there are at most ``MOST_CONNECTIONS`` of them, and
  ``MOST_ANSWERS`` that are given to them;
* who says nothing, or does not take his answer, gives way to who comes, and has ``PATIENCE`` seconds for it at best;
* one text is written at a time, and all who asked before it was begun share it.
"""

import io
import logging
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from core.errors import FaultError
from exporters import hosts
from exporters.answer import Answer, Site, sentence
from exporters.seats import Seats, forget_unsent
from exporters.text import CONTENT_TYPE, SharedText

log = logging.getLogger("tidegate.exporters")

MOST_CONNECTIONS = 64
#: Of them with an answer: that of 10,000 VMs is 5 MB.
MOST_ANSWERS = 8
#: Seconds for a whole question, and again for taking the answer. Below Prometheus' own time-out of 10 s.
IO_TIMEOUT = 5.0
_LONGEST_HEAD = 16384
_NOWHERE = sentence(HTTPStatus.NOT_FOUND, "Nothing is here. The metrics are at /metrics.")
_READ_ONLY = sentence(HTTPStatus.METHOD_NOT_ALLOWED, "Nothing can be changed here: GET and HEAD are all.")
_FOREIGN = sentence(
    HTTPStatus.MISDIRECTED_REQUEST,
    "Nothing is shown under that name. If it is a name of this host, add it to [exporters.http] hosts.",
)
#: Nothing is loaded from anywhere else, no page of others holds this one, and what a name makes of itself is no script.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", _CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_REFUSAL = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


def _no_site(target: str) -> Answer:
    if target.partition("?")[0] == "/":
        return sentence(HTTPStatus.OK, "Tidegate. The metrics are at /metrics.")
    return _NOWHERE


class MetricsServer:
    """Answers at ``listen`` (host, port; port 0: any) from `start` to `stop`.

    ``render`` gives the text of /metrics. It is called from other threads, by one at a time. ``site`` answers every
    other path. ``names`` are those under which it may be asked, beside loopback, the address that was reached and the
    host's own name; they may be changed while it serves.
    """

    def __init__(
        self, listen: tuple[str, int], render: Callable[[], bytes], site: Site = _no_site, names: Collection[str] = ()
    ) -> None:
        self._listen = listen
        self._metrics = SharedText(render)
        self._site = site
        self.names = names
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
            self._server = _Server(self._listen, self._answer)
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

    def _answer(self, target: str, host: str | None, own_address: str) -> Answer:
        path = target.partition("?")[0]
        names = (self._listen[0], platform.node(), *self.names)
        if not path.startswith("/-/") and not hosts.is_ours(host, own_address, names):
            return _FOREIGN
        if path == "/metrics":
            return Answer(HTTPStatus.OK, CONTENT_TYPE, self._metrics())
        return self._site(target)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # whoever finds it full tries again after a second, and then after three
    # Some versions of Python set it for HTTP servers: two services would share a port and the scrapes.
    allow_reuse_port = False

    def __init__(self, listen: tuple[str, int], answer: Callable[[str, str | None, str], Answer]) -> None:
        self.answer = answer
        self.seats = Seats(MOST_CONNECTIONS, MOST_ANSWERS)
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
        forget_unsent(request)
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
        deadline = time.monotonic() + IO_TIMEOUT
        head = b""
        # A time-out for each read would wait for ever for one who sends a byte now and then.
        while not (b"\n\r\n" in head or b"\n\n" in head):
            self.connection.settimeout(max(0.0, deadline - time.monotonic()))
            piece = self.connection.recv(4096)
            if not piece or len(head) > _LONGEST_HEAD:
                return b""
            head += piece
        self.connection.settimeout(IO_TIMEOUT)
        return head

    def do_GET(self) -> None:
        """Answers."""
        self._ask_and_tell()

    def do_HEAD(self) -> None:
        """Answers with the headers of the same."""
        self._ask_and_tell()

    def _ask_and_tell(self) -> None:
        own_address = self.connection.getsockname()[0]
        self._tell(self.server.answer(self.path, self.headers.get("Host"), own_address))

    def _tell(self, answer: Answer) -> None:
        self.server.seats.is_answered(self.connection)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in (*_HEADERS, *answer.headers):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server says of a question that it does not understand: a method that is no GET, or no HTTP."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._tell(_READ_ONLY._replace(headers=(("Allow", "GET, HEAD"),)))
        else:
            status = HTTPStatus(code)
            self._tell(sentence(status, message or status.phrase))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Says nothing: a line for each scrape would hide the lines that matter."""
