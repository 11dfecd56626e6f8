"""Whom to ping: a real HTTP server, and servers of every bad kind, each on a port of its own on the loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Heard(NamedTuple):
    """One ping: its path, without what tells runs apart, that UUID, and its body."""

    path: str
    run: str
    body: str


@dataclass
class Receiver:
    """Answers ping after ping with ``statuses``, the last of them again and again, once ``answers`` is set."""

    statuses: list[int] = field(default_factory=lambda: [200])
    heard: list[Heard] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    answers: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.heard]


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    """While one runs that answers at once."""
    receiver = Receiver(list(statuses or [200]))
    receiver.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            (run,) = query.pop("rid")
            rest = "".join(f"?{name}={value[0]}" for name, value in query.items())
            receiver.heard.append(Heard(parts.path + rest, run, body))
            receiver.agents.add(self.headers["User-Agent"])
            receiver.asked.set()
            receiver.answers.wait(60)
            status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
            with suppress(BrokenPipeError):  # whoever asked has given up
                self.send_response(status)
                self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"OK")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base calls it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/ping/secret-key"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.answers.set()
            server.shutdown()
            thread.join()


Behave = Callable[[socket.socket], None]


@contextmanager
def misbehaving(behave: Behave) -> Iterator[str]:
    """While a server runs that does this to each client; gives its host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):  # it is closed
            while True:
                clients.append(listener.accept()[0])
                threading.Thread(target=_safely, args=(behave, clients[-1]), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in (listener, *clients):
            one.close()


def _safely(behave: Behave, client: socket.socket) -> None:
    with suppress(OSError):  # the client has gone
        behave(client)


def says_nothing(client: socket.socket) -> None:
    client.recv(1 << 16)


def hangs_up(client: socket.socket) -> None:
    client.recv(1 << 16)
    client.shutdown(socket.SHUT_RDWR)


def speaks_otherwise(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    client.recv(1 << 16)
    client.shutdown(socket.SHUT_RDWR)


def has_headers_without_end(client: socket.socket) -> None:
    """One byte after another: no time-out between two of them is ever met."""
    client.recv(1 << 16)
    client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        client.sendall(b"x")
        threading.Event().wait(0.05)


def has_a_body_without_end(client: socket.socket) -> None:
    client.recv(1 << 16)
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        client.sendall(b"x" * 65536)


def closed_port() -> str:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"
