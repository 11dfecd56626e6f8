"""The files of the page that are the same for everybody: style, script, icon."""

from functools import cache
from http import HTTPStatus
from pathlib import Path

from exporters.server import Response, plain

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def file(name: str) -> Response:
    """The file of this name; no other can be read by it."""
    if name not in _TYPES:
        return plain(HTTPStatus.NOT_FOUND, "There is no such file.")
    return Response(HTTPStatus.OK, _TYPES[name], (_FOLDER / name).read_bytes())
