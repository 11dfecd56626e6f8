"""A server of /metrics and those who ask it."""

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporters.server import MetricsServer

LOOPBACK = ("127.0.0.1", 0)


@contextmanager
def serving(render: Callable[[], bytes], listen: tuple[str, int] = LOOPBACK) -> Iterator[MetricsServer]:
    server = MetricsServer(listen, render)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(server: MetricsServer, path: str = "/metrics", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def say(server: MetricsServer, words: bytes) -> socket.socket:
    """A connection on which ``words`` were said."""
    connection = socket.create_connection(server.address, timeout=10)
    connection.sendall(words)
    return connection


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it is so; at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came to be so"
        time.sleep(0.005)
