"""The server of /metrics: what it answers, how it starts and how it stops."""

import http.client
from contextlib import suppress

import pytest

from core.config.settings import Config
from core.errors import FaultError
from core.state.database import State
from exporters.exposition import Exposition, render
from exporters.server import HttpServer
from tests.exporters.client import LOOPBACK, ask, no_application, say, serving
from tests.exporters.conftest import NOW

# --- what it answers


def test_it_serves_the_state_as_prometheus_text(filled: State, exposition: Exposition, config: Config) -> None:
    """The real text over a real connection, read in the server's own threads."""
    with serving(lambda: exposition.text(config)) as server:
        status, headers, body = ask(server)
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body.startswith(render(filled, config, NOW))
    assert b'\ntidegate_collect_success{collector="vms"} 1.0\n' in body


def test_another_path_is_404_and_a_query_is_not(server: HttpServer) -> None:
    """prometheus_client's own server answers any path: a typing error in the scrape would go unnoticed."""
    assert ask(server, "/metric")[0] == 404
    assert ask(server, "/metrics/")[0] == 404
    assert ask(server, "/metrics?x=1")[::2] == (200, b"x 1\n")


def test_head_has_the_headers_and_no_body(server: HttpServer) -> None:
    """The length is that of the text."""
    status, headers, body = ask(server, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "4", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_get_and_head_is_understood(server: HttpServer, method: str) -> None:
    """Nothing here can be changed."""
    status, headers, body = ask(server, method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert body == b"Nothing can be changed here; use GET or HEAD.\n"


def test_it_listens_on_ipv6_too() -> None:
    """`[::1]` is loopback as well."""
    with serving(lambda: b"x 1\n", ("::1", 0)) as server:
        assert server.address[0] == "::1"
        assert ask(server)[0] == 200


def test_nothing_is_logged_for_a_question(
    server: HttpServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither for a good one, nor for one that means nothing, nor for a client that goes away."""
    ask(server)
    ask(server, "/nothing")
    say(server, b"\x16\x03\x01 hello\r\n\r\n").close()
    say(server, b"GET /met").close()
    ask(server)
    assert (capfd.readouterr(), caplog.text) == (("", ""), "")


def test_a_bug_is_logged_with_its_trace_and_the_next_question_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The connection is closed without an answer, so that nobody takes it for one."""
    texts = iter(["", "x 1\n"])
    with serving(lambda: next(texts).encode() or bytes(1 // 0)) as server:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(server)
        assert ask(server)[0] == 200
    assert "ZeroDivisionError" in caplog.text


# --- starting and stopping


def test_an_occupied_address_is_one_sentence_that_names_it(server: HttpServer) -> None:
    """And not two services that share the port."""
    host, port = server.address
    with pytest.raises(FaultError) as caught:
        HttpServer((host, port), no_application).start()
    assert str(caught.value) == (
        f"127.0.0.1:{port}: the metrics cannot be served there: Address already in use;"
        " free the address or set another one in [exporters.http] listen"
    )


def test_a_host_that_nobody_knows_is_one_sentence_too() -> None:
    """The name does not resolve."""
    with pytest.raises(FaultError, match=r"^no-such-host\.invalid:9877: the metrics cannot be served there"):
        HttpServer(("no-such-host.invalid", 9877), no_application).start()


def test_after_stop_the_address_is_free_and_the_clients_are_gone() -> None:
    """A restart of the service has its port at once, also with connections of before."""
    with serving(lambda: b"x 1\n") as server:
        listen = server.address
        silent = say(server, b"")
        ask(server)
    with silent, suppress(ConnectionError):
        assert silent.recv(1) == b""
    with serving(lambda: b"x 2\n", listen) as server:
        assert ask(server)[2] == b"x 2\n"


def test_stop_may_be_called_twice_and_before_start() -> None:
    """Whoever cleans up need not know how far it came."""
    server = HttpServer(LOOPBACK, no_application)
    server.stop()
    server.start()
    server.stop()
    server.stop()
