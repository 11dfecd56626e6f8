"""Clients of the worst kinds. ``python -m tests.exporters.crowd PORT COUNT``: so many of them, until its input ends.

Whoever was hung up on comes again a second later. At the end it prints how many times each kind has come, as JSON.
"""

import asyncio
import itertools
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from tests.host import ROOT

#: Seconds before one comes again, and between the bytes of who says or takes little at a time.
PAUSE = 1.0
QUESTION = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
MALFORMED = itertools.cycle(
    (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a greeting of TLS\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"DELETE /metrics HTTP/1.1\r\n\r\n",
        b"\x00\xff" * 50 + b"\n\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
        b"GET /" + b"x" * 12_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nX-Long: " + b"x" * 30_000,
    )
)


class Client:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    async def say(self, words: bytes) -> None:
        await self._loop.sock_sendall(self._connection, words)

    async def is_told(self, most: int = 65536) -> bool:
        """False once the other side has hung up."""
        return await self._loop.sock_recv(self._connection, most) != b""

    async def wait_for_the_end(self) -> None:
        while await self.is_told():
            pass

    def say_no_more(self) -> None:
        self._connection.shutdown(socket.SHUT_WR)


async def silent(client: Client) -> None:
    await client.wait_for_the_end()


async def half_asked(client: Client) -> None:
    await client.say(QUESTION[:-2])
    await client.wait_for_the_end()


async def half_open(client: Client) -> None:
    await client.say(QUESTION[:-2])
    client.say_no_more()
    await client.wait_for_the_end()


async def dripping(client: Client) -> None:
    for byte in QUESTION:
        await client.say(bytes([byte]))
        await asyncio.sleep(PAUSE)


async def not_reading(client: Client) -> None:
    await client.say(QUESTION)
    await asyncio.sleep(10 * PAUSE)


async def hardly_reading(client: Client) -> None:
    await client.say(QUESTION)
    while await client.is_told(100):
        await asyncio.sleep(PAUSE)


async def malformed(client: Client) -> None:
    await client.say(next(MALFORMED))
    await client.wait_for_the_end()


KINDS: tuple[Callable[[Client], Awaitable[None]], ...] = (
    silent,
    half_asked,
    half_open,
    dripping,
    not_reading,
    hardly_reading,
    malformed,
)


async def _comes_again(port: int, kind: Callable[[Client], Awaitable[None]], came: Counter[str]) -> None:
    while True:
        with socket.socket() as connection, suppress(OSError):
            connection.setblocking(False)
            # Little is taken for those who do not read.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            came[kind.__name__] += 1
            await kind(Client(connection))
        await asyncio.sleep(PAUSE)


async def _all_come(port: int, count: int) -> Counter[str]:
    came: Counter[str] = Counter()
    kinds = itertools.islice(itertools.cycle(KINDS), count)
    crowd = [asyncio.create_task(_comes_again(port, kind, came)) for kind in kinds]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for one in crowd:
        one.cancel()
    return came


class Crowd:
    """``came`` is known when it has gone: kind -> connections."""

    def __init__(self) -> None:
        self.came: dict[str, int] = {}


@contextmanager
def crowding(port: int, count: int) -> Iterator[Crowd]:
    """``count`` clients in a process of their own, as long as the block runs."""
    words = [sys.executable, "-m", "tests.exporters.crowd", str(port), str(count)]
    crowd = Crowd()
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield crowd
            told, _ = process.communicate()
            crowd.came = json.loads(told)
        finally:
            process.kill()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_all_come(int(sys.argv[1]), int(sys.argv[2])))))
