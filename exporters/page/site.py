"""The addresses of the page, and what stands there: HTML of what is shown, and JSON."""

import json
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, unquote

import jinja2

from core.enums import Freshness, Reason, Verdict
from core.filenames import printable
from core.units import format_size, format_time
from exporters.page import drawing, words
from exporters.page.choice import Choice, leaf
from exporters.page.shown import Level, Shown, Turn
from exporters.server import HTML, JSON, Response, plain

_HERE = Path(__file__).parent
_API = "/api/v1/"
#: Rows on a page; with the strip of a row a kilobyte each.
_VMS, _TURNS = 50, 100
#: Of the queue on the first page.
_FIRST_TURNS = 10


def answer(target: str, shown: Shown | None, trouble: str | None) -> Response:
    """``shown`` None: nothing could be looked at yet. ``trouble``: why nothing newer is shown."""
    path, _, query = target.partition("?")
    if shown is None:
        return _nothing_yet(path, trouble)
    if path.startswith(_API):
        return _api(path.removeprefix(_API), shown, trouble)
    choice = Choice.of(query)
    if path == "/":
        return _page("front.html", shown, trouble, choice=choice, **_front(shown, choice))
    if path == "/queue":
        return _page("queue.html", shown, trouble, choice=choice, leaf=_turns(shown, choice))
    if path.startswith("/vm/"):
        return _vm(unquote(path.removeprefix("/vm/"), errors="surrogateescape"), shown, trouble)
    return _lost(shown, trouble, "There is no such page.")


def _front(shown: Shown, choice: Choice) -> dict[str, object]:
    queue = [one for one in shown.queue if _is_in_queue(one) and choice.takes(one.vm, one.backup_set)]
    return {
        "turns": queue[:_FIRST_TURNS],
        "turns_in_all": len(queue),
        "leaf": leaf(shown.vms, lambda one: choice.takes(one.name, one.backup_set), choice.page, _VMS),
        "sets": sorted({one.backup_set for one in shown.vms if one.backup_set}),
        "counts": {word.value: len(shown.with_verdict(word)) for word in Freshness},
        "urgent": [one for one in shown.troubles if one.level is Level.NOW],
        "later": [one for one in shown.troubles if one.level is Level.LATER],
    }


def _turns(shown: Shown, choice: Choice) -> object:
    return leaf(
        shown.queue, lambda one: _is_in_queue(one) and choice.takes(one.vm, one.backup_set), choice.page, _TURNS
    )


def _is_in_queue(one: Turn) -> bool:
    """Not what needs no decision of anybody: the row of its VM has it."""
    return one.verdict is not Verdict.DONE and one.reason is not Reason.OUTSTANDING


def _vm(name: str, shown: Shown, trouble: str | None) -> Response:
    vm = shown.by_name.get(name)
    if vm is None:
        return _lost(shown, trouble, "No VM of this name is known.")
    return _page("vm.html", shown, trouble, vm=vm, story=shown.story(name))


def _lost(shown: Shown, trouble: str | None, what: str) -> Response:
    return _page("lost.html", shown, trouble, what=what)._replace(status=HTTPStatus.NOT_FOUND)


def _page(template: str, shown: Shown, trouble: str | None, **more: object) -> Response:
    text = _templates().get_template(template).render(shown=shown, trouble=trouble, **more)
    return Response(HTTPStatus.OK, HTML, text.encode("utf-8", "backslashreplace"))


def _api(name: str, shown: Shown, trouble: str | None) -> Response:
    """The shapes of the commands. What is old is not handed to a machine as if it were new."""
    if name not in shown.json:
        return plain(HTTPStatus.NOT_FOUND, f"There is {' and '.join(_API + one for one in shown.json)}.")
    if trouble is not None:
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"What is known is old: {printable(trouble)}")
    return Response(HTTPStatus.OK, JSON, f"{json.dumps(shown.json[name](), ensure_ascii=False)}\n".encode())


def _nothing_yet(path: str, trouble: str | None) -> Response:
    if path.startswith(_API):
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"Nothing is known yet: {printable(trouble or 'it is made')}")
    text = _templates().get_template("nothing.html").render(trouble=trouble)
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, HTML, text.encode("utf-8", "backslashreplace"))


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
        "date": words.date,
        "clock": words.clock,
        "moment": words.moment,
        "rfc3339": format_time,
        "quoted": lambda name: quote(name, safe="", errors="surrogateescape"),
    }
    templates.globals |= {"words": words, "drawing": drawing, "Freshness": Freshness, "Verdict": Verdict}
    return templates


def _shown(value: object) -> object:
    """Names and sentences without what would turn or hide them; a piece of a template stays as it is."""
    return printable(value) if type(value) is str else value
