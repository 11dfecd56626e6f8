"""A server of /metrics and those who ask it."""

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from exporters.exposition import CONTENT_TYPE, SharedText
from exporters.server import HttpServer, Response, plain

LOOPBACK = ("127.0.0.1", 0)


def no_application(_target: str) -> Response:
    return plain(HTTPStatus.NOT_FOUND, "Not found.")


@contextmanager
def serving(render: Callable[[], bytes], listen: tuple[str, int] = LOOPBACK) -> Iterator[HttpServer]:
    """One that has the metrics that ``render`` gives, and nothing else."""
    metrics = SharedText(render)

    def application(target: str) -> Response:
        if target.partition("?")[0] != "/metrics":
            return no_application(target)
        return Response(HTTPStatus.OK, CONTENT_TYPE, metrics())

    server = HttpServer(listen, application)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(server: HttpServer, path: str = "/metrics", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def say(server: HttpServer, words: bytes) -> socket.socket:
    """A connection on which ``words`` were said."""
    connection = socket.create_connection(server.address, timeout=10)
    connection.sendall(words)
    return connection
