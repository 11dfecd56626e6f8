"""Pings over real sockets: what is said, and that nothing at the other end takes longer than the time-out."""

import os
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from core.config.network_settings import PingAddress
from tests.notify import receivers
from tests.notify.receivers import misbehaving, receiving
from tidegate.notify import ping
from tidegate.notify.ping import NoUrl, Target, send, target

RUN = "11111111-2222-3333-4444-555555555555"
TIMEOUT = 1.0
#: What the machine may need beside.
SLACK = 1.5


def test_start_success_and_failure_have_their_addresses_and_the_reason_is_the_body() -> None:
    """As healthchecks.io has it; the run's UUID tells overlapping runs apart."""
    with receiving() as receiver:
        to = Target(receiver.url, RUN)
        assert [send(to, word, "why", TIMEOUT).is_ok for word in ("start", "", "fail")] == [True] * 3
    assert receiver.heard == [
        ("/ping/secret-key/start", RUN, "why"),
        ("/ping/secret-key", RUN, "why"),
        ("/ping/secret-key/fail", RUN, "why"),
    ]
    assert [agent.partition("/")[0] for agent in receiver.agents] == ["tidegate"]


@pytest.mark.parametrize(
    ("url", "word", "asked"),
    [
        ("https://hc-ping.com/key/slug?create=1", "fail", f"https://hc-ping.com/key/slug/fail?create=1&rid={RUN}"),
        ("https://hc-ping.com/uuid/", "start", f"https://hc-ping.com/uuid/start?rid={RUN}"),
        ("http://[::1]:8000/uuid", "", f"http://[::1]:8000/uuid?rid={RUN}"),
    ],
)
def test_a_word_stands_behind_the_path_and_before_the_query(url: str, word: str, asked: str) -> None:
    assert Target(url, RUN).at(word) == asked


def test_what_failed_by_accident_is_tried_again() -> None:
    with receiving(503, 429, 200) as receiver:
        assert send(Target(receiver.url, RUN), "", "", 10.0).summary == "200 OK"
    assert len(receiver.heard) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404])
def test_what_is_refused_is_not_tried_again_and_no_redirect_is_followed(status: int) -> None:
    """A loop of redirects costs one request, and none leads to a file of ours."""
    with receiving(status) as receiver:
        answer = send(Target(receiver.url, RUN), "", "", 10.0)
    assert not answer.is_ok
    assert answer.summary.startswith(f"{status} ")
    assert ("redirect" in answer.summary) == (status < 400)
    assert len(receiver.heard) == 1


@pytest.mark.parametrize(
    ("behave", "scheme"),
    [
        (receivers.says_nothing, "http"),
        (receivers.says_nothing, "https"),
        (receivers.has_headers_without_end, "http"),
    ],
)
def test_a_server_that_does_not_answer_costs_no_more_than_the_time_out(behave: receivers.Behave, scheme: str) -> None:
    """Silent, half an answer without end, a handshake that hangs."""
    with misbehaving(behave) as place:
        began = time.monotonic()
        answer = send(Target(f"{scheme}://{place}/secret-key", RUN), "", "", TIMEOUT)
    assert time.monotonic() - began < TIMEOUT + SLACK
    assert (answer.is_ok, answer.summary) == (False, "no answer in 1 s")


@pytest.mark.parametrize(
    ("behave", "scheme", "said"),
    [
        (receivers.hangs_up, "http", "what answers speaks no HTTP (RemoteDisconnected)"),
        (receivers.speaks_otherwise, "http", "what answers speaks no HTTP (BadStatusLine)"),
        (None, "http", "Connection refused"),
        (None, "https", "Connection refused"),
    ],
)
def test_a_server_of_another_kind_is_a_sentence(behave: receivers.Behave | None, scheme: str, said: str) -> None:
    """Another service, and nobody."""
    server: AbstractContextManager[str] = (
        nullcontext(receivers.closed_port()) if behave is None else misbehaving(behave)
    )
    with server as place:
        answer = send(Target(f"{scheme}://{place}/secret-key", RUN), "", "", 30.0)
    assert (answer.is_ok, answer.summary) == (False, said)


def test_a_body_without_end_is_not_read() -> None:
    """The status is all that counts."""
    with misbehaving(receivers.has_a_body_without_end) as place:
        answer = send(Target(f"http://{place}/", RUN), "", "", 10.0)
    assert answer.is_ok
    assert answer.seconds < 10.0


def test_an_encrypted_port_that_speaks_no_tls_is_a_sentence() -> None:
    with misbehaving(receivers.speaks_otherwise) as place:
        answer = send(Target(f"https://{place}/", RUN), "", "", 30.0)
    assert not answer.is_ok
    assert "wrong version number" in answer.summary.lower()


def test_a_name_that_nobody_knows_is_a_sentence() -> None:
    answer = send(Target("http://nowhere.invalid/secret-key", RUN), "", "", TIMEOUT)
    assert not answer.is_ok
    assert "secret" not in answer.summary


def test_a_long_reason_is_cut_between_two_characters() -> None:
    with receiving() as receiver:
        send(Target(receiver.url, RUN), "fail", "ü" * ping.MOST_BYTES, TIMEOUT)
    assert receiver.heard[0].body == "ü" * (ping.MOST_BYTES // 2)


# --- the secret


def test_a_url_is_shown_by_its_host_alone() -> None:
    to = target(PingAddress(url="https://hc-ping.com:8443/secret-key"), RUN)
    assert f"{to} {to!r}" == "https://hc-ping.com:8443/… https://hc-ping.com:8443/…"
    assert "secret" not in repr(PingAddress(url="https://hc-ping.com/secret-key"))


def test_a_file_holds_the_url_in_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("https://hc-ping.com/key/{backup_set}\nnot this\n")
    assert (
        target(PingAddress(url_file=file), RUN, "tuesday night/1").url == "https://hc-ping.com/key/tuesday%20night%2F1"
    )


@pytest.mark.parametrize(
    "content", ["", "secret", "ftp://secret", "https://secret key", "https://hc-ping.com/\0secret"]
)
def test_a_file_that_holds_no_url_is_told_without_what_it_holds(tmp_path: Path, content: str) -> None:
    file = tmp_path / "url"
    file.write_text(content)
    with pytest.raises(NoUrl) as caught:
        target(PingAddress(url_file=file), RUN)
    assert str(caught.value).startswith(f"{file}: its first line ")
    assert "secret" not in str(caught.value)


def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "url")
    with pytest.raises(NoUrl, match="its first line is not a URL"):
        target(PingAddress(url_file=tmp_path / "url"), RUN)


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoUrl, match="cannot be read: No such file or directory"):
        target(PingAddress(url_file=tmp_path / "url"), RUN)
