"""Pings to whoever speaks up when one stays away: healthchecks.io, and all that took over its three addresses.

A POST to the URL reports that a run has succeeded, to ``URL/start`` that it began, to ``URL/fail`` that it failed; the
body is the reason. ``rid`` keeps runs apart that overlap. Nothing that the other side does takes longer than the
time-out: a name server that hangs cannot be interrupted, so that a thread asks (``core.fs.io_timeout``) and may be left
behind.
"""

import http.client
import os
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import NamedTuple

from core.config.network_settings import BACKUP_SET, PingAddress, url_of_sets
from core.filenames import printable
from core.fs.io_timeout import ask
from core.version import __version__

#: What healthchecks.io keeps of a body. Nobody reads more of it.
MOST_BYTES = 10_000
#: Seconds between the tries of one ping.
_PAUSES = (0.5, 2.0)
_SUCCESS = range(200, 300)
#: It may be well when it is asked again.
_LATER = frozenset({408, 425, 429, *range(500, 600)})
#: A file of more than that holds no URL.
_LONGEST_URL = 4096


class NoUrl(Exception):
    """The file holds no URL: why, without what it holds."""


class Answer(NamedTuple):
    """What came back, in words, and how long it took in seconds."""

    is_ok: bool
    summary: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """One check; ``run`` is the UUID of the run. Its URL is shown nowhere but for its host."""

    url: str
    run: str

    def __str__(self) -> str:
        parts = urllib.parse.urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/…"

    __repr__ = __str__

    def at(self, word: str) -> str:
        """The address for ``start`` or ``fail``; '' for success."""
        parts = urllib.parse.urlsplit(self.url)
        path = parts.path.rstrip("/") + f"/{word}" if word else parts.path
        query = f"{parts.query}&rid={self.run}" if parts.query else f"rid={self.run}"
        return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def target(pinged: PingAddress, run: str, backup_set: str = "") -> Target:
    """Whom to ping of this run. Raises NoUrl."""
    url = _read(pinged) if pinged.url is None else pinged.url
    return Target(url.replace(BACKUP_SET, urllib.parse.quote(backup_set, safe="")), run)


def _read(pinged: PingAddress) -> str:
    """The first line of the file."""
    assert pinged.url_file is not None  # noqa: S101 - the configuration sees to it that there is one of the two
    try:
        with open(pinged.url_file, "rb", opener=_without_waiting) as file:
            return url_of_sets(file.read(_LONGEST_URL).partition(b"\n")[0].decode(errors="replace").strip())
    except OSError as error:
        raise NoUrl(f"{pinged.url_file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise NoUrl(f"{pinged.url_file}: its first line {error}") from None


def _without_waiting(file: str, flags: int) -> int:
    """A pipe would wait for somebody to write into it."""
    return os.open(file, flags | os.O_NONBLOCK)


def send(to: Target, word: str, body: str, seconds: float) -> Answer:
    """Pings, tries again what may have been an accident, and gives up after so many seconds. Never raises."""
    began = time.monotonic()
    place = f"whom to ping at {to}"
    try:
        is_ok, summary = ask(place, seconds, lambda: _try(to.at(word), body, began + seconds))
    except TimeoutError:  # of the socket, or of our own
        is_ok, summary = False, f"no answer in {seconds:g} s"
    return Answer(is_ok, summary, time.monotonic() - began)


def _try(url: str, body: str, until: float) -> tuple[bool, str]:
    status, summary = _post(url, body, until)
    for pause in _PAUSES:
        if status not in _LATER or time.monotonic() + pause >= until:
            break
        time.sleep(pause)
        status, summary = _post(url, body, until)
    return status in _SUCCESS, summary


def _post(url: str, body: str, until: float) -> tuple[int, str]:
    """The status, or one of _LATER for no answer, and words. What follows the headers is not read.

    Raises TimeoutError.
    """
    headers = {"User-Agent": f"tidegate/{__version__}", "Content-Type": "text/plain; charset=utf-8"}
    request = urllib.request.Request(url, _cut(body), headers, method="POST")  # noqa: S310 - http or https: checked
    try:
        with _opener().open(request, timeout=max(0.1, until - time.monotonic())) as answer:
            summary = f"{answer.status} {printable(answer.reason or '')}".rstrip()
            if answer.status in range(300, 400):
                summary += ": a redirect, which is not followed; write the address that it leads to"
            return answer.status, summary
    except http.client.HTTPException as error:
        return 503, f"what answers speaks no HTTP ({type(error).__name__})"
    except OSError as error:
        reason = getattr(error, "reason", error)  # what urllib met on the way to an answer, it has wrapped
        if isinstance(reason, TimeoutError):
            raise reason from None
        return 503, printable(str(getattr(reason, "strerror", None) or reason))


def _opener() -> urllib.request.OpenerDirector:
    """Knows http, https and their proxies; follows no redirect, which could lead anywhere, a file of ours included."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
        opener.add_handler(handler())
    return opener


def _cut(body: str) -> bytes:
    """Whole characters of it."""
    return body.encode(errors="replace")[:MOST_BYTES].decode(errors="ignore").encode()
