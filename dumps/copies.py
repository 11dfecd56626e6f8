"""A copy of a dump, as it lies at the storage or anywhere else, and what is known of what it should be.

That is known from the first of these that names it:

* ``.tidegate/manifest.json`` in the copy of an export tree, in ``PATH`` or in a folder above it,
* ``.tidegate/SHA256SUMS`` there, where the manifest is lost,
* ``X.done`` beside the dump ``X``, as in a dump folder.

No configuration and no state is needed. Names in these files lead nowhere but into the copy.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import NOT_AS_TOLD, FaultError, UsageError
from core.filenames import printable
from core.fs.openat import open_folder
from core.markers import format as markers
from core.markers.format import BadMarker, MarkerBody, MarkerKind
from core.markers.vm_name import Naming, parse
from core.units import format_time, parse_time

_METADATA, _MANIFEST, _SUMS = ".tidegate", "manifest.json", "SHA256SUMS"
#: For people: where checksums would be.
PLACES = "in `.tidegate` above it nor in a marker beside it"
_SUM_LINE = re.compile(rb"(\\?)([0-9a-fA-F]{64}) [ *](.+)")
_ESCAPES = {b"\\n": b"\n", b"\\r": b"\r", b"\\\\": b"\\"}


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """What one file should be. None: not known."""

    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Copy:
    """``files``: name in the dump -> what it should be; "" for a dump that is one file. ``known_from``: the file."""

    path: Path
    files: Mapping[str, ExpectedFile]
    known_from: Path | None = None
    dump_time: str | None = None

    @property
    def is_summed(self) -> bool:
        """Whether a checksum of every file is known."""
        return all(one.sha256 is not None for one in self.files.values())


def find(vm: str, path: Path) -> Copy:
    """The copy of the VM's dump at ``path``: the dump itself, or a tree in which its newest one is looked for.

    Raises UsageError where there is none, and FaultError for metadata that cannot be read.
    """
    try:
        path = path.resolve(strict=True)
        tree = next((folder for folder in (path, *path.parents) if (folder / _METADATA).is_dir()), None)
        if tree == path:
            return _in_tree(vm, path)
        copy = (tree and _known_from_tree(vm, path, tree)) or _known_from_marker(vm, path) or _unknown(vm, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not copy.files:
        raise UsageError(f"{path}: there is no file in it")
    return copy


# --- the metadata of an export tree


def _in_tree(vm: str, tree: Path) -> Copy:
    links = [link for link in _links(tree) if link.get("vm") == vm]
    found = [copy for copy in (_of_link(link, tree) for link in links) if copy.path.exists()]
    if not found:
        known = sorted({str(link.get("vm")) for link in _links(tree)})
        right = f"it names: {', '.join(known) or 'none'}" if not links else "the manifest names it, it is not there"
        raise UsageError(f"{tree}: no dump of {vm!r} is there; {right}. Or name the dump itself with --from")
    return max(found, key=lambda copy: copy.dump_time or "")


def _known_from_tree(vm: str, path: Path, tree: Path) -> Copy | None:
    name = str(path.relative_to(tree))
    link = next((link for link in _links(tree) if link.get("export_name") == name), None)
    if link is not None:
        _see_that_it_is_of(vm, link.get("vm"), path)
        return _of_link(link, tree)
    sums = _sums(tree)
    own = {file[len(name) + 1 :]: one for file, one in sums.items() if file == name or file.startswith(f"{name}/")}
    return Copy(path, own, tree / _METADATA / _SUMS) if own else None


def _links(tree: Path) -> list[dict[str, Any]]:
    file = tree / _METADATA / _MANIFEST
    try:
        links = json.loads(file.read_bytes())["links"]
        return [link for link in links if isinstance(link["export_name"], str) and link["vm"] is not None]
    except FileNotFoundError:
        return []
    except NOT_AS_TOLD as error:
        raise FaultError(f"{file}: is not a manifest of Tidegate's; name the dump itself with --from") from error


def _of_link(link: Mapping[str, Any], tree: Path) -> Copy:
    file = tree / _METADATA / _MANIFEST
    try:
        if "files" in link:
            files = {one["name"]: ExpectedFile(one["size"], one["sha256"]) for one in link["files"]}
        else:
            files = {"": ExpectedFile(link["size"], link["sha256"])}
        when = None if link["dump_time"] is None else format_time(parse_time(link["dump_time"]))
    except NOT_AS_TOLD as error:
        raise FaultError(f"{file}: its entry of {printable(str(link['export_name']))} is damaged") from error
    return Copy(_within(tree, link["export_name"]), _checked(files, file), file, when)


def _sums(tree: Path) -> dict[str, ExpectedFile]:
    try:
        lines = (tree / _METADATA / _SUMS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    matches = (match for line in lines if (match := _SUM_LINE.fullmatch(line)))
    return {os.fsdecode(_unescape(match)): ExpectedFile(None, match[2].decode()) for match in matches}


def _unescape(match: re.Match[bytes]) -> bytes:
    return re.sub(rb"\\[nr\\]", lambda one: _ESCAPES[one[0]], match[3]) if match[1] else match[3]


# --- a marker beside the dump


def _known_from_marker(vm: str, path: Path) -> Copy | None:
    with open_folder(path.parent) as folder:
        try:
            body = markers.read_body(folder, path.name, MarkerKind.DONE)
        except (FileNotFoundError, BadMarker):
            return None
    _see_that_it_is_of(vm, body.vm, path)
    file = path.with_name(markers.marker_name(path.name, MarkerKind.DONE))
    when = None if body.started is None else format_time(body.started)
    return Copy(path, _checked(_members(body, path), file), file, when)


def _members(body: MarkerBody, path: Path) -> Mapping[str, ExpectedFile]:
    if not path.is_dir():
        return {"": ExpectedFile(body.size, body.sha256)}
    known = body.files or {}
    return {name: _expected(known.get(name)) for name in {*known, *_names(path)}}


def _expected(entry: object) -> ExpectedFile:
    if not isinstance(entry, Mapping):
        return ExpectedFile(None, None)
    size, sha256 = entry.get("size"), entry.get("sha256")
    return ExpectedFile(size if isinstance(size, int) else None, sha256 if isinstance(sha256, str) else None)


# --- nothing is known of it


def _unknown(vm: str, path: Path) -> Copy:
    if path.is_dir():
        _see_that_it_is_one_dump(vm, path)
    return Copy(path, {name: ExpectedFile(None, None) for name in (_names(path) if path.is_dir() else [""])})


def _names(path: Path) -> Iterator[str]:
    for folder, _, files in os.walk(path):
        for file in files:
            yield os.path.relpath(os.path.join(folder, file), path)


# --- what may be believed


def _see_that_it_is_one_dump(vm: str, folder: Path) -> None:
    """By the names: without metadata nothing else distinguishes a dump from a folder of dumps."""
    own = [] if _is_named_after(vm, folder) else [one for one in folder.iterdir() if _is_named_after(vm, one)]
    dumps = [one for one in own if markers.split_name(one.name) is None]
    if dumps:
        newest = max(dumps, key=lambda one: one.lstat().st_mtime)
        raise UsageError(f"{folder}: has no `.tidegate`, and more in it than one dump; name the dump: --from {newest}")


def _is_named_after(vm: str, path: Path) -> bool:
    try:
        return parse(path.name, Naming()).vm == vm
    except BadMarker:
        return False


def _see_that_it_is_of(vm: str, named: object, path: Path) -> None:
    if named is not None and named != vm:
        raise UsageError(f"{path}: is a dump of {str(named)!r}, not of {vm!r}")


def _checked(files: Mapping[str, ExpectedFile], file: Path) -> Mapping[str, ExpectedFile]:
    for name in files:
        if name and not _leads_inside(name):
            raise FaultError(f"{file}: it names a file {printable(str(name))!r}, which leads out of the dump")
    return files


def _within(tree: Path, name: str) -> Path:
    if not _leads_inside(name):
        raise FaultError(
            f"{tree / _METADATA / _MANIFEST}: it names a dump {printable(name)!r}, which leads out of the tree"
        )
    return tree / name


def _leads_inside(name: str) -> bool:
    return "\0" not in name and all(part not in {"", ".", ".."} for part in name.split("/"))
