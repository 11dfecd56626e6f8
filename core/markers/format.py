"""Completion markers, format 1: reading and writing the sidecar files beside a dump.

``X.done``, ``X.failed`` and ``X.running`` are beside the dump ``X``. A marker is empty or holds one JSON object,
all of whose keys are optional. Nothing heavy is imported here: ``tidegate mark`` starts with it.
"""

import codecs
import errno
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from core.filenames import is_single_component
from core.fs.openat import open_to_read, write_new
from core.units import parse_time

FORMAT = 1
MAX_BYTES = 1 << 20
_MOST_LEVELS = 64
_LONGEST_NAME_BYTES = 255


class MarkerKind(StrEnum):
    """What has become of the marker's dump."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"


_KINDS = {kind.value: kind for kind in MarkerKind}
#: How the names of markers end.
SUFFIXES = tuple(f".{kind}" for kind in MarkerKind)
SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
#: The marker's own doing; any other error of opening it is a fault that passes.
_BAD_TO_OPEN = frozenset({errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV})

#: Of several markers with the same ctime the first of these counts (DESIGN 4).
PRECEDENCE = (MarkerKind.FAILED, MarkerKind.RUNNING, MarkerKind.DONE)

#: The second: of a dump with a long name, whose marker of another kind would be too long.
_NO_SUCH_NAME = frozenset({errno.ENOENT, errno.ENAMETOOLONG})


class BadMarker(ValueError):
    """A marker whose name or body is not of the format. The text has the reason."""


class MarkerBody(NamedTuple):
    """The content of a marker. Times are seconds since the epoch; ``extra`` keeps the keys this version ignores."""

    vm: str | None = None
    backup_set: str | None = None
    started: float | None = None
    finished: float | None = None
    size: int | None = None
    sha256: str | None = None
    kind: str | None = None
    error: str | None = None
    exit_status: int | None = None
    files: dict[str, Any] | None = None
    extra: Mapping[str, Any] = MappingProxyType({})


#: Of a sentence in a marker so much is kept.
_LONGEST_SENTENCE = 500
_EMPTY_BODY = MarkerBody()


class MarkerFile(NamedTuple):
    """One marker on the disk, before its body is read. ``is_empty``: a plain file without a body.

    ``is_foreign``: it is no marker but what another program leaves (``core.markers.foreign``).
    """

    kind: MarkerKind
    ctime_ns: int
    mtime_ns: int
    inode: int
    is_empty: bool
    is_foreign: bool = False

    @property
    def signature(self) -> str:
        """Differs whenever this marker was written, touched or replaced."""
        return f"{self.kind}:{self.ctime_ns}:{self.inode}"


def signature_of_one(kind: str, status: os.stat_result) -> str:
    """The signature of a dump with one marker: what ``signature`` makes of it, for scans of very many."""
    return f"{kind}:{status.st_ctime_ns}:{status.st_ino}"


def split_name(name: str) -> tuple[str, MarkerKind] | None:
    """The dump's name and the kind, when ``name`` is a marker's; else None. Dot names are no markers."""
    stem, _, suffix = name.rpartition(".")
    kind = _KINDS.get(suffix)
    return (stem, kind) if kind and stem and stem[0] != "." else None


def marker_name(dump: str, kind: MarkerKind) -> str:
    """The file name of the marker of this kind for the dump ``dump``."""
    return f"{dump}.{kind}"


def aside_name(marker: str) -> str:
    """Where a marker that has had its use is held while it is removed; whoever is killed at that leaves it there."""
    aside = f".{marker}.ended"
    if len(os.fsencode(aside)) <= _LONGEST_NAME_BYTES:
        return aside
    import hashlib  # loads OpenSSL, and hardly a name is so long

    return f".{hashlib.blake2b(os.fsencode(marker), digest_size=16).hexdigest()}.ended"


def is_aside(folder: int, dump: str) -> bool:
    """True while a marker of ``dump`` is being removed, or since somebody was killed at that. Raises OSError."""
    return any(_stands(folder, aside_name(marker_name(dump, kind))) for kind in MarkerKind)


def _stands(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_SUCH_NAME:
            return False
        raise
    return True


def is_news(status: os.stat_result, signature: str) -> bool:
    """Whether a marker was written after those were read that have this signature.

    Of one that was held aside only the mtime shows that: renaming it there has changed its ctime.
    """
    return status.st_mtime_ns > max((int(one.split(":")[1]) for one in signature.split()), default=0)


def look(folder: int, dump: str, kind: MarkerKind) -> MarkerFile | None:
    """The marker of this kind beside ``dump``, or None when there is none (a folder of that name is none).

    Raises OSError when that cannot be known.
    """
    try:
        status = os.stat(marker_name(dump, kind), dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_SUCH_NAME:
            return None
        raise
    if stat.S_ISDIR(status.st_mode):
        return None
    is_empty = stat.S_ISREG(status.st_mode) and status.st_size == 0
    return MarkerFile(kind, status.st_ctime_ns, status.st_mtime_ns, status.st_ino, is_empty)


def look_at_all(folder: int, dump: str) -> tuple[MarkerFile, ...]:
    """Every marker beside ``dump``, the one that counts first. Raises OSError as ``look`` does."""
    found = [marker for kind in PRECEDENCE if (marker := look(folder, dump, kind)) is not None]
    return in_order(found) if len(found) > 1 else tuple(found)


def in_order(found: Iterable[MarkerFile]) -> tuple[MarkerFile, ...]:
    """Markers of one dump, the one that counts first: latest ctime, then failed, running, done."""
    return tuple(sorted(found, key=lambda marker: (-marker.ctime_ns, PRECEDENCE.index(marker.kind))))


def signature(markers: tuple[MarkerFile, ...]) -> str:
    """One text for all the markers of one dump: equal means that none was made anew."""
    return " ".join(marker.signature for marker in markers)


def read_body(folder: int, dump: str, kind: MarkerKind) -> MarkerBody:
    """Reads the body of a marker. Raises BadMarker, and OSError as ``read_text`` does."""
    return parse_body(read_text(folder, dump, kind))


def read_text(folder: int, dump: str, kind: MarkerKind) -> bytes:
    """The bytes of a marker, at most 1 MiB, through no symbolic link and without waiting for anybody.

    Raises BadMarker, FileNotFoundError when the marker is gone, and OSError for a fault that passes.
    """
    try:
        descriptor = open_to_read(marker_name(dump, kind), folder)
    except OSError as error:
        if error.errno in _BAD_TO_OPEN:
            raise BadMarker(f"the marker cannot be opened: {error.strerror}") from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadMarker("the marker is not a plain file")
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise BadMarker("the marker is larger than 1 MiB")
    return text


def parse_body(text: bytes) -> MarkerBody:
    """The body in ``text``. Raises BadMarker where it is JSON with mistakes.

    Whatever does not begin as JSON is a sentence, as `date > X.done` writes: it is kept as ``error``, which only a
    marker of a failure shows.
    """
    content = _decoded(text).strip()
    if not content.startswith(("{", "[")):
        return MarkerBody(error=content[:_LONGEST_SENTENCE]) if content else _EMPTY_BODY
    try:
        body = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadMarker("the marker's JSON is nested too deep") from None
    except ValueError as error:
        raise BadMarker(f"the marker is broken JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadMarker("the marker's JSON is not an object")
    if _is_deep(body):
        raise BadMarker("the marker's JSON is nested too deep")
    return _body_of(body)


def json_of(text: bytes) -> str | None:
    """The JSON of a marker as it is stored, unknown keys too; None where it is empty or a sentence."""
    content = _decoded(text).strip()
    return content if content.startswith("{") else None


def _decoded(text: bytes) -> str:
    """As Windows writes it too: with a mark of its encoding in front. Raises BadMarker for broken UTF-8 in JSON."""
    if text[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return text.decode("utf-16", "replace")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        if text.lstrip()[:1] in (b"{", b"["):
            raise BadMarker("the marker is not UTF-8") from None
        return text.decode("utf-8", "replace")


def _is_deep(body: object) -> bool:
    """Deeper than anybody nests: how deep Python goes depends on who asks, and what it read it must write and read."""
    level: list[object] = [body]
    for _ in range(_MOST_LEVELS):
        level = [each for one in level if isinstance(one, dict | list) for each in _inside(one)]
        if not level:
            return False
    return True


def _inside(one: dict[str, object] | list[object]) -> Iterable[object]:
    return one.values() if isinstance(one, dict) else one


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _body_of(body: dict[str, Any]) -> MarkerBody:
    version = body.pop("format", FORMAT)
    if version != FORMAT or isinstance(version, bool):
        raise BadMarker(f"marker format {str(version)[:40]!r} is not known here; 1 is")
    return MarkerBody(
        vm=_name(body, "vm"),
        backup_set=_name(body, "backup_set"),
        started=_time(body, "started"),
        finished=_time(body, "finished"),
        size=_count(body, "size"),
        sha256=_sha256(body),
        kind=_text(body, "kind"),
        error=_text(body, "error"),
        exit_status=_integer(body, "exit_status"),
        files=_object(body, "files"),
        extra=body,  # what no line above has taken out
    )


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.pop(key, None)
    if value is not None and not isinstance(value, str):
        raise BadMarker(f"the marker's {key!r} is not a text")
    return value


def _name(body: dict[str, Any], key: str) -> str | None:
    value = _text(body, key)
    if value is not None and not is_single_component(value):
        raise BadMarker(f"the marker's {key!r} is not a usable name")
    return value


def _sha256(body: dict[str, Any]) -> str | None:
    value = _text(body, "sha256")
    if value is not None and not SHA256.fullmatch(value):
        raise BadMarker("the marker's 'sha256' is not 64 hexadecimal digits")
    return value


def _time(body: dict[str, Any], key: str) -> float | None:
    value = _text(body, key)
    try:
        return None if value is None else parse_time(value)
    except (ValueError, OverflowError):
        raise BadMarker(f"the marker's {key!r} is not an RFC 3339 time with an offset") from None


def _integer(body: dict[str, Any], key: str) -> int | None:
    value = body.pop(key, None)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise BadMarker(f"the marker's {key!r} is not a whole number")
    return value


def _count(body: dict[str, Any], key: str) -> int | None:
    value = _integer(body, key)
    if value is not None and not 0 <= value < 1 << 63:
        raise BadMarker(f"the marker's {key!r} is not a number of bytes")
    return value


def _object(body: dict[str, Any], key: str) -> dict[str, Any] | None:
    value = body.pop(key, None)
    if value is not None and not isinstance(value, dict):
        raise BadMarker(f"the marker's {key!r} is not an object")
    return value


def write(folder: int, dump: str, kind: MarkerKind, body: dict[str, Any]) -> None:
    """Writes a marker aside, renames it into place and removes its opposites. Durable when it returns.

    ``body`` is written as JSON with ``format`` 1. Killed on the way, both markers may be there: the newer one counts.
    Raises OSError.
    """
    aside = _write_aside(folder, body)
    try:
        os.rename(aside, marker_name(dump, kind), src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(aside, dir_fd=folder)
        raise
    for opposite in MarkerKind:
        if opposite is not kind:
            _unlink_if_there(folder, marker_name(dump, opposite))
    os.fsync(folder)


def claim(folder: int, dump: str, body: dict[str, Any]) -> bool:
    """Writes ``X.running`` for a dump that is yet to be made; False when there is one.

    Of two that claim one name at once only one gets it. A power cut may take it whole. Raises OSError.
    """
    from core.fs.rename import rename_new  # ctypes, which `mark` starts without

    aside = _write_aside(folder, body)
    try:
        rename_new(folder, aside, folder, marker_name(dump, MarkerKind.RUNNING))
    except OSError as error:
        os.unlink(aside, dir_fd=folder)
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def remove(folder: int, dump: str, kind: MarkerKind) -> None:
    """Takes a marker away; there may be none. Durable when it returns. Raises OSError."""
    _unlink_if_there(folder, marker_name(dump, kind))
    os.fsync(folder)


def _write_aside(folder: int, body: dict[str, Any]) -> str:
    """The whole body under a name that is in nobody's way, also when its writer is killed."""
    aside = f".tidegate-mark.{os.urandom(8).hex()}"
    text = json.dumps({"format": FORMAT, **body}, ensure_ascii=False) + "\n"
    write_new(folder, aside, text.encode(), mode=0o644)
    return aside


def _unlink_if_there(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_SUCH_NAME:
            raise
