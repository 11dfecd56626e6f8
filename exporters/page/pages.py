"""The pages of the service: addresses, and what is answered there. HTML of the state as it is now, and JSON.

They are made in the service, out of the rows that everything else shows too. What all pages need is read once for each
commit, and once a minute where nothing is committed, since ages grow; a page then reads only what it shows.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import cache
from http import HTTPStatus
from pathlib import Path
from sqlite3 import Connection
from typing import Any
from urllib.parse import quote, unquote

import jinja2

from core.clock import Clock
from core.config.settings import Config
from core.enums import Freshness
from core.errors import FaultError, TidegateError
from core.filenames import printable
from core.reasons import Severity, Verdict
from core.state.database import Generation, read_only
from core.units import format_size, format_time
from exporters import json_shapes
from exporters.page import drawing, words
from exporters.page.choice import Choice, leaf
from exporters.page.look import Look, marks, midnights, past_dumps
from exporters.server import HTML, JSON, Response, plain
from exporters.vm_story import story

log = logging.getLogger("tidegate.exporters")

_HERE = Path(__file__).parent
_API = "/api/v1/"
_SHAPES: Mapping[str, Callable[[Any], Any]] = {"status": json_shapes.status, "plan": json_shapes.plan}
#: Rows on a page; with the strip of a row a kilobyte each.
_VMS, _WAITING = 50, 100
#: Of the queue on the first page.
_FIRST_WAITING = 10

#: A look counts as new for so long while nothing is committed: ages grow.
FRESH_SECONDS = 60.0
#: After a look nobody looks for so many times what it took: a page that is always open takes a quarter of a core.
_REST = 3.0
#: Seconds for a look of another thread, and so many may wait: the other connections are for the scrapes.
WAIT_SECONDS = 10.0
_MAX_WAITING = 8
_TOO_MANY = plain(HTTPStatus.SERVICE_UNAVAILABLE, "Too many ask for pages at once; ask again in a moment.")
_STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Pages:
    """Answers whatever is asked for by its path. ``config`` gives the configuration in effect. Any thread may ask."""

    def __init__(self, config: Callable[[], Config], clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._places = threading.BoundedSemaphore(_MAX_WAITING)
        self._lock = threading.Lock()
        self._generation: Generation | None = None
        self._look: Look | None = None
        self._of: tuple[int, ...] = ()  # the generation of the state that was looked at
        self._made = self._due = float("-inf")

    def __call__(self, target: str) -> Response:
        """Of the path with its query. What cannot be known is answered with 503 and says why."""
        if target.startswith("/static/"):
            return static(target.partition("?")[0].removeprefix("/static/"))
        if not self._places.acquire(blocking=False):
            return _TOO_MANY
        try:
            return self._answer(target, self._config())
        finally:
            self._places.release()

    def close(self) -> None:
        """Closes what is kept open."""
        if self._generation is not None:
            self._generation.close()

    def _answer(self, target: str, config: Config) -> Response:
        try:
            look = self._newest(config)
            return _Page(look, lambda: read_only(config.state.path)).answer(target)
        except TidegateError as error:
            return unknown(target, str(error))

    def _newest(self, config: Config) -> Look:
        """Raises TidegateError where the state cannot be read, or not in time."""
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise FaultError(f"the state was not read within {WAIT_SECONDS:.0f} s; a disk may hang")
        try:
            began = time.monotonic()
            generation = self._generation_of(config)
            if self._look is None or self._look.config is not config or self._is_old(generation, began):
                with read_only(config.state.path) as connection:
                    self._look = Look(connection, config, self._clock.now())
                self._of, self._made = generation, began
                self._due = time.monotonic() + _REST * (time.monotonic() - began)
            return self._look
        finally:
            self._lock.release()

    def _is_old(self, generation: tuple[int, ...], now: float) -> bool:
        if now - self._made > FRESH_SECONDS:
            return True
        return generation != self._of and now >= self._due

    def _generation_of(self, config: Config) -> tuple[int, ...]:
        if self._generation is None:
            self._generation = Generation(config.state.path)
        return self._generation.now()


class _Page:
    """One page of one look; ``read`` opens the state for what only this page shows."""

    def __init__(self, look: Look, read: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._look = look
        self._read = read

    def answer(self, target: str) -> Response:
        path, _, query = target.partition("?")
        choice = Choice.of(query)
        if path == "/":
            return self._front(choice)
        if path == "/queue":
            return self._queue(choice)
        if path.startswith("/vm/"):
            return self._vm(unquote(path.removeprefix("/vm/"), errors="surrogateescape"))
        if path.startswith(_API):
            return self._api(path.removeprefix(_API))
        return self._lost("There is no such page.")

    def _front(self, choice: Choice) -> Response:
        look = self._look
        rows = leaf(look.report.vms, lambda one: choice.takes(one.name, one.row.backup_set), choice.page, _VMS)
        waiting = [one for one in look.queue if choice.takes(one.vm or "", one.backup_set)]
        return self._page(
            "front.html",
            choice=choice,
            leaf=rows,
            marks=self._marks([one.name for one in rows.rows]),
            waiting=waiting[:_FIRST_WAITING],
            waiting_in_all=len(waiting),
            urgent=look.findings(Severity.CRITICAL),
            later=look.findings(Severity.WARNING),
            notes=look.findings(Severity.OK),
        )

    def _queue(self, choice: Choice) -> Response:
        rows = leaf(self._look.queue, lambda one: choice.takes(one.vm or "", one.backup_set), choice.page, _WAITING)
        return self._page("queue.html", choice=choice, leaf=rows)

    def _vm(self, name: str) -> Response:
        vm = self._look.by_name.get(name)
        if vm is None:
            return self._lost("No VM of this name is known.")
        with self._read() as connection:
            told = story(connection, self._look.config, self._look.report, name)
            dumps = past_dumps(connection, name)
        return self._page("vm.html", vm=vm, story=told, dumps=dumps, marks=self._marks([name]))

    def _marks(self, names: Collection[str]) -> Mapping[str, bytes]:
        with self._read() as connection:
            return marks(connection, names, midnights(self._look.as_of, self._look.zone))

    def _api(self, name: str) -> Response:
        if name not in _SHAPES:
            return plain(HTTPStatus.NOT_FOUND, f"There is {' and '.join(_API + one for one in _SHAPES)}.")
        shape = _SHAPES[name](self._look.report)
        return Response(HTTPStatus.OK, JSON, f"{json.dumps(shape, ensure_ascii=False)}\n".encode())

    def _lost(self, what: str) -> Response:
        return self._page("lost.html", what=what)._replace(status=HTTPStatus.NOT_FOUND)

    def _page(self, template: str, **more: object) -> Response:
        return _rendered(HTTPStatus.OK, template, look=self._look, **more)


def unknown(target: str, why: str) -> Response:
    """What cannot be known is never shown as it was: the old answer may be wrong by now."""
    if target.startswith(_API):
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"UNKNOWN: {printable(why)}")
    return _rendered(HTTPStatus.SERVICE_UNAVAILABLE, "unknown.html", why=why)


@cache
def static(name: str) -> Response:
    """The file of this name that is the same for everybody; no other can be read by it."""
    if name not in _STATIC:
        return plain(HTTPStatus.NOT_FOUND, "There is no such file.")
    return Response(HTTPStatus.OK, _STATIC[name], (_HERE / "static" / name).read_bytes())


def _rendered(status: HTTPStatus, template: str, **shown: object) -> Response:
    text = _templates().get_template(template).render(**shown)
    return Response(status, HTML, text.encode("utf-8", "backslashreplace"))


@cache
def _templates() -> jinja2.Environment:
    """Whatever comes from outside is escaped twice: what is no text for people, and what means something in HTML."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    templates.filters |= {
        "size": format_size,
        "span": words.span,
        "moment": words.moment,
        "rfc3339": format_time,
        "quoted": lambda name: quote(name, safe="", errors="surrogateescape"),
    }
    templates.globals |= {"words": words, "drawing": drawing, "Freshness": Freshness, "Verdict": Verdict}
    return templates


def _shown(value: object) -> object:
    """Names and sentences without what would turn or hide them; a piece of a template stays as it is."""
    return printable(value) if type(value) is str else value
