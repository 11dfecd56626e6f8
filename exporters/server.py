"""The HTTP server: one request a connection, GET and HEAD alone, answered by an application.

A scrape must be answered whatever other clients do, and whatever they do must cost the service little:

* each connection has a thread of its own; there are at most ``MAX_CONNECTIONS`` of them, and ``MAX_RESPONSES`` to
  which a response is being written;
* a client that is silent, or does not read its response, gives way to a new one, and has ``IO_TIMEOUT`` at best.

waitress was measured beside it: a response of 5 MB, a thousand hostile clients, a scrape four times a second. With 64
connections it answered one scrape in 30 s, since whoever sends a byte now and then keeps a place; with 2,000 a scrape
took up to 7.8 s, and 1.7 GB of responses lay in temporary files. This server takes 1.5 s at most, and 4 MB.
"""

import fcntl
import io
import ipaddress
import logging
import platform
import re
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import Enum, auto
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple

from core.errors import FaultError

log = logging.getLogger("tidegate.exporters")

MAX_CONNECTIONS = 64
#: The metrics of 10,000 VMs are 5 MB.
MAX_RESPONSES = 8
#: Seconds for a whole request, and again for reading the response. Below Prometheus' own time-out of 10 s.
IO_TIMEOUT = 5.0
#: Seconds before which nobody gives way: a request may come a moment after its connection.
GRACE_SECONDS = 0.01
#: Seconds that a newcomer waits at most, and all that come after it: then there is too much to do for one more.
_MAX_WAIT_SECONDS = 1.0
_MAX_HEAD_BYTES = 16384

PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"


class Response(NamedTuple):
    """``content_type`` is that of ``body``; ``headers`` are further ones."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


#: Takes what was asked for, the path with its query as they came, and may be called by many threads at once.
Application = Callable[[str], Response]


def plain(status: HTTPStatus, text: str) -> Response:
    """One sentence for people."""
    return Response(status, PLAIN, f"{text}\n".encode(errors="backslashreplace"))


_READ_ONLY = plain(HTTPStatus.METHOD_NOT_ALLOWED, "Nothing can be changed here; use GET or HEAD.")
_MISDIRECTED = plain(
    HTTPStatus.MISDIRECTED_REQUEST,
    "Nothing is served under that name. If it is a name of this host, add it to [exporters.http] hosts.",
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
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class HttpServer:
    """Serves at ``listen`` (host, port; port 0: any) from `start` to `stop`.

    ``names`` are those under which it may be asked, beside loopback, the address that was reached and the host's own
    name; they may be changed while it serves. What is below ``/-/`` may be asked under any.
    """

    def __init__(self, listen: tuple[str, int], application: Application, names: Collection[str] = ()) -> None:
        self._listen = listen
        self._application = application
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
            self._server = _Server(self._listen, self._respond)
        except OSError as error:
            host, port = self._listen
            raise FaultError(
                f"{host}:{port}: the metrics cannot be served there: {error.strerror};"
                " free the address or set another one in [exporters.http] listen"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the service and hangs up on every client. Does nothing when it does not run."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.connections.clear()
        self._server = self._thread = None

    def _respond(self, target: str, host: str | None, own_address: str) -> Response:
        names = (self._listen[0], platform.node(), *self.names)
        if not target.startswith("/-/") and not is_our_name(host, own_address, names):
            return _MISDIRECTED
        return self._application(target)


# --- under which name it is asked

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", re.IGNORECASE)


def is_our_name(host: str | None, own_address: str, names: Collection[str]) -> bool:
    """Whether ``host``, a header Host, names us: loopback, the address that was reached, or one of ``names``.

    A foreign page may let a name of its own resolve to our address (DNS rebinding), and its script then reads what we
    answer: to the browser it is the same site. But the name is in the header Host, which no browser leaves out; a
    scraper of HTTP/1.0 may. An address cannot be rebound.
    """
    if host is None:
        return True
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["name"].strip("[]").lower().removesuffix(".")
    if name == "localhost" or name in {one.lower() for one in names}:
        return True
    try:
        address = _ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address == _ip_address(own_address)


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """A client of IPv4 on a socket of IPv6 reached ``::ffff:192.0.2.1``."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


# --- who may be connected


class Phase(Enum):
    """How far a connection has come."""

    REQUEST = auto()  # it has not finished its request
    WORK = auto()  # its response is being made
    RESPONSE = auto()  # it has only to read


class _Since(NamedTuple):
    phase: Phase
    time: float


class ConnectionLimit:
    """At most ``connections`` at a time, ``responses`` of them with a response, which may be megabytes.

    When there are too many, the one that has been asking for longest gives way, else the one that has been reading its
    response for longest: a client that keeps silent or does not read, or a thousand of them, cannot keep out one that
    asks. Those whose response is being made stay, and those that have sent what nobody has read yet: in a crowd it
    takes a while until a thread runs.
    """

    def __init__(self, connections: int, responses: int) -> None:
        self._max_connections = connections
        self._max_responses = responses
        self._changed = threading.Condition()
        self._open: dict[socket.socket, _Since] = {}  # in the order of coming to their phase

    def admit(self, connection: socket.socket) -> bool:
        """True when there was a place or one could be made free."""
        end = time.monotonic() + _MAX_WAIT_SECONDS
        with self._changed:
            while len(self._open) >= self._max_connections:
                if (first := self._first_to_go()) is not None:
                    self._dismiss(first)
                elif self._all_work() or time.monotonic() > end:
                    return False
                else:
                    self._changed.wait(GRACE_SECONDS)
            self._open[connection] = _Since(Phase.REQUEST, time.monotonic())
            return True

    def has_asked(self, connection: socket.socket) -> None:
        """From now on this one keeps its place until there is a response."""
        self._enter(connection, Phase.WORK)

    def has_response(self, connection: socket.socket) -> None:
        """It has only to read. There is one more response now: perhaps another one has to go."""
        self._enter(connection, Phase.RESPONSE)
        with self._changed:
            reading = [one for one, since in self._open.items() if since.phase is Phase.RESPONSE]
            for one in reading[: -self._max_responses]:
                self._dismiss(one)

    def remove(self, connection: socket.socket) -> None:
        """Frees the place."""
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify()

    def clear(self) -> None:
        """Hangs up on all."""
        with self._changed:
            while self._open:
                _hang_up(self._open.popitem()[0])

    def phases(self) -> list[Phase]:
        """Of those who are connected."""
        with self._changed:
            return [since.phase for since in self._open.values()]

    def _enter(self, connection: socket.socket, phase: Phase) -> None:
        with self._changed:
            if self._open.pop(connection, None) is not None:
                self._open[connection] = _Since(phase, time.monotonic())
                self._changed.notify()

    def _dismiss(self, connection: socket.socket) -> None:
        del self._open[connection]
        _hang_up(connection)

    def _all_work(self) -> bool:
        return all(since.phase is Phase.WORK for since in self._open.values())

    def _first_to_go(self) -> socket.socket | None:
        before = time.monotonic() - GRACE_SECONDS
        old = [(one, since.phase) for one, since in self._open.items() if since.time < before]
        silent = (one for one, phase in old if phase is Phase.REQUEST and not _has_unread(one))
        reading = (one for one, phase in old if phase is Phase.RESPONSE)
        return next(silent, None) or next(reading, None)


def _has_unread(connection: socket.socket) -> bool:
    """Whether something has come from it that its thread has not read."""
    try:
        return fcntl.ioctl(connection, termios.FIONREAD, bytes(4)) != bytes(4)
    except (OSError, ValueError):  # it is closed, or about to be
        return False


def _forget_unsent(connection: socket.socket) -> None:
    """Has the kernel drop what the other side has not taken when the connection is closed: else it keeps megabytes."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang_up(connection: socket.socket) -> None:
    """Wakes the connection's thread, which then closes it."""
    _forget_unsent(connection)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


# --- HTTP


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # whoever finds it full tries again after a second, and then after three
    # Some versions of Python set it for HTTP servers: two services would share a port and the scrapes.
    allow_reuse_port = False

    def __init__(self, listen: tuple[str, int], respond: Callable[[str, str | None, str], Response]) -> None:
        self.respond = respond
        self.connections = ConnectionLimit(MAX_CONNECTIONS, MAX_RESPONSES)
        found: Any = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM)[0]
        self.address_family, _, _, _, address = found
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's asks the DNS for our name, which may take its time

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.setblocking(False)  # this is the thread that accepts: it waits for nobody
            request.send(_BUSY)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self.connections.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        _forget_unsent(request)
        if not isinstance(error, OSError):  # a client that went away or sent nothing is no news
            log.error("a request over HTTP could not be answered", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "tidegate"
    sys_version = ""

    def handle(self) -> None:
        head = self._read_head()
        if not head:
            return
        self.server.connections.has_asked(self.connection)
        self.rfile.close()
        self.rfile = io.BufferedReader(io.BytesIO(head))
        self.handle_one_request()

    def _read_head(self) -> bytes:
        """The request up to its empty line; b"" when the client left or sent too much.

        Raises OSError when it took too long.
        """
        deadline = time.monotonic() + IO_TIMEOUT
        head = b""
        # A time-out for each read would wait for ever for one who sends a byte now and then.
        while not (b"\n\r\n" in head or b"\n\n" in head):
            self.connection.settimeout(max(0.0, deadline - time.monotonic()))
            piece = self.connection.recv(4096)
            if not piece or len(head) > _MAX_HEAD_BYTES:
                return b""
            head += piece
        self.connection.settimeout(IO_TIMEOUT)
        return head

    def do_GET(self) -> None:
        """Answers; HEAD gets the headers of the same."""
        own_address = self.connection.getsockname()[0]
        self._send(self.server.respond(self.path, self.headers.get("Host"), own_address))

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _send(self, response: Response) -> None:
        self.server.connections.has_response(self.connection)
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in (*_HEADERS, *response.headers):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server answers to what it does not understand: a method that is no GET, or no HTTP."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._send(_READ_ONLY._replace(headers=(("Allow", "GET, HEAD"),)))
        else:
            status = HTTPStatus(code)
            self._send(plain(status, message or status.phrase))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Logs nothing: a line for each scrape would hide the lines that matter."""
