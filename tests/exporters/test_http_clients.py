"""The server of /metrics answers whatever other clients do, and whatever they do costs it little."""

import itertools
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from exporters import server as served
from exporters.exposition import SharedText
from exporters.server import IO_TIMEOUT, MAX_CONNECTIONS, MAX_RESPONSES, HttpServer, Phase
from tests.exporters.client import ask, say, serving
from tests.waiting import until


def serving_threads() -> list[str]:
    """The threads that have a client."""
    return [thread.name for thread in threading.enumerate() if "process_request" in thread.name]


def phases(server: HttpServer) -> list[Phase]:
    """Of its clients."""
    assert server._server is not None
    return server._server.connections.phases()


# --- silent, slow and many


def test_twenty_silent_clients_do_not_delay_a_scrape(server: HttpServer) -> None:
    """Each waits in a thread of its own."""
    with ExitStack() as clients:
        for _ in range(20):
            clients.enter_context(say(server, b""))
        began = time.monotonic()
        assert ask(server)[0] == 200
        assert time.monotonic() - began < IO_TIMEOUT


@pytest.mark.parametrize("words", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
def test_more_silent_clients_than_seats_do_not_keep_a_scrape_out(server: HttpServer, words: bytes) -> None:
    """Who has not finished his question gives way to who comes; the threads stay few."""
    with ExitStack() as clients:
        for _ in range(4 * MAX_CONNECTIONS):
            clients.enter_context(say(server, words))
        began = time.monotonic()
        assert ask(server)[0] == 200
        assert time.monotonic() - began < IO_TIMEOUT
        until(lambda: len(serving_threads()) <= MAX_CONNECTIONS)


def test_a_client_that_drips_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, server: HttpServer) -> None:
    """The patience is for the whole question, not for each byte of it."""
    monkeypatch.setattr(served, "IO_TIMEOUT", 0.5)
    began = time.monotonic()
    with say(server, b"GET") as client, suppress(ConnectionError):
        client.settimeout(0.1)
        while time.monotonic() - began < 5:
            client.sendall(b" ")
            with suppress(TimeoutError):
                if client.recv(1) == b"":
                    break
    assert time.monotonic() - began < 3


def test_a_client_that_does_not_read_holds_up_nobody() -> None:
    """Its answer fills the line and waits there; the others have theirs."""
    with serving(lambda: b"x" * 20_000_000) as server, say(server, b"GET /metrics HTTP/1.0\r\n\r\n"):
        began = time.monotonic()
        assert len(ask(server)[2]) == 20_000_000
        assert time.monotonic() - began < IO_TIMEOUT


def test_more_clients_that_do_not_read_than_may_have_an_answer_keep_nobody_out() -> None:
    """Each answer may be megabytes: who has had his for longest gives way."""
    with serving(lambda: b"x" * 20_000_000) as server, ExitStack() as clients:
        for _ in range(3 * MAX_RESPONSES):
            clients.enter_context(say(server, b"GET /metrics HTTP/1.0\r\n\r\n"))
            until(lambda: Phase.WORK not in phases(server))
        assert len(ask(server)[2]) == 20_000_000
        assert len(phases(server)) <= MAX_RESPONSES


def test_a_question_without_end_is_not_kept(server: HttpServer) -> None:
    """Memory is bounded: a head has so many bytes and no more."""
    line = b"X-Long: " + b"x" * 10_000 + b"\r\n"
    with say(server, b"GET /metrics HTTP/1.0\r\n") as client, pytest.raises(ConnectionError):
        client.sendall(line * 10_000)


def test_when_every_seat_waits_for_its_answer_the_next_client_is_told_to_come_again() -> None:
    """Closed politely, at once, and the others get what they asked for."""
    gate = threading.Event()

    def slow() -> bytes:
        gate.wait(20)
        return b"x 1\n"

    with serving(slow) as server, ExitStack() as clients:
        question = b"GET /metrics HTTP/1.0\r\n\r\n"
        waiting = [clients.enter_context(say(server, question)) for _ in range(MAX_CONNECTIONS)]
        status = _status_when_full(server)
        gate.set()
        answers = [client.makefile("rb").read() for client in waiting]
    assert status == 503
    assert {answer[-4:] for answer in answers} == {b"x 1\n"}


def _status_when_full(server: HttpServer) -> int:
    """Until all who asked are known to have asked, a newcomer takes the seat of one that seems silent."""
    until(lambda: phases(server) == [Phase.WORK] * MAX_CONNECTIONS)
    return ask(server, "/")[0]


# --- one text for many


class CountedLock:
    """A lock that knows who came to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.came: list[str] = []

    def __enter__(self) -> None:
        self.came.append(threading.current_thread().name)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_who_asks_while_a_text_is_written_shares_the_next_one() -> None:
    """Thirty at once cost two texts, and nobody gets one that was begun before it had asked."""
    begun = itertools.count(1)
    gate = threading.Event()

    def render() -> bytes:
        number = next(begun)
        gate.wait(20)
        return b"%d" % number

    shared = SharedText(render)
    shared._lock = lock = CountedLock()  # type: ignore[assignment] # as a context manager it is one
    got: list[bytes] = []
    clients = [threading.Thread(target=lambda: got.append(shared())) for _ in range(30)]
    clients[0].start()
    until(lambda: shared._begun == 1)
    for client in clients[1:]:
        client.start()
    until(lambda: len(lock.came) == 30)
    gate.set()
    for client in clients:
        client.join()
    assert sorted(got) == [b"1"] + [b"2"] * 29


def test_a_text_that_failed_is_not_shared() -> None:
    """The next one tries again."""
    texts = iter(["", "x 1\n"])
    shared = SharedText(lambda: next(texts).encode() or bytes(1 // 0))
    with pytest.raises(ZeroDivisionError):
        shared()
    assert shared() == b"x 1\n"
