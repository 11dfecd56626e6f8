"""The metadata files in an export tree: what is in it, and what one needs when this host is dead.

::

    .rsync/.tidegate/manifest.json   each link: its VM, dump time, files, and what is known of its arrival
    .rsync/.tidegate/SHA256SUMS      for `sha256sum -c` in the tree: the files whose marker declared a sum
    .rsync/.tidegate/FILES           every file, a line each, as it is named on the disk
    .rsync/.tidegate/EXPECTED        what the sync should bring: a heading, then of each file its size, modification
                                     time in whole seconds, sha256 or -, and its path
    .rsync/.tidegate/state.json.gz   the whole state (``core.state.backup``)
    .rsync/.tidegate/state.before.json.gz  the same of another state file, which was here before: was that one lost?

The folder is made with the first sync that is announced (`tidegate sync-started`), or by the admin. None of it is
rewritten while its content is the same: rsync would send it again. The first four stay as they were announced until
that sync is reported.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.clock import Instant
from core.config.settings import Config, WatchFolder
from core.enums import Evidence, LinkState
from core.errors import NOT_AS_TOLD, FaultError
from core.filenames import is_clean
from core.state import dumps, ledger, syncs
from core.state.backup import Export, Header, NotAnExport, export, read_header
from core.state.database import Connection, State
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from core.units import format_time, parse_time
from policy.export import ExportTree
from policy.reconcile.confirm_modes import SEAL_LASTS_SECONDS

log = logging.getLogger("tidegate.policy")

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
FILES = "FILES"
EXPECTED = "EXPECTED"
STATE = "state.json.gz"
BEFORE = "state.before.json.gz"

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class _File:
    """One file of a link. ``path`` leads to it from the tree; ``sha256`` None: no marker declared it.

    ``mtime`` is in whole seconds: so much of it any storage keeps.
    """

    path: str
    name: str
    size: int
    mtime: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Link:
    """A link in the tree, its dump and its files. A foreign file has no dump, and a foreign folder no known files."""

    row: LinkRow
    dump: DumpRow | None
    files: Sequence[_File]


def write(
    config: Config, state: State, now: Instant, *, unmounted: Collection[str], announcing: Collection[str] = ()
) -> None:
    """Writes the metadata files of all trees but those of ``unmounted`` watch folders. For the holder of the pass lock.

    A tree gets its first ones when a sync is announced; from then on they are kept up to date. In a tree that a sync
    may be reading since it was announced only the state is written, unless that is done just now: it is among
    ``announcing``. What cannot be written is logged and stops nobody.
    """
    trees = {one.name: ExportTree(one.export) for one in config.watches if one.name not in unmounted}
    wanted = [one for one in config.watches if one.name in trees]
    wanted = [one for one in wanted if one.name in announcing or trees[one.name].has_metadata()]
    if not wanted:
        return
    with state.read() as connection:
        exported = export(connection, now.wall)
        fixed = _announced(connection, config, now.wall) - set(announcing)
        contents = {one.name: {} if one.name in fixed else _contents(connection, one, now.wall) for one in wanted}
    for watch in wanted:
        try:
            _put(trees[watch.name], contents[watch.name], exported)
        except FaultError as error:
            log.warning("%s: the manifest cannot be written: %s", watch.export, error)


def _announced(connection: Connection, config: Config, now: float) -> frozenset[str]:
    """The watch folders whose trees a sync may be reading that was announced and is not reported."""
    seals = syncs.open_seals(connection, now - SEAL_LASTS_SECONDS)
    covered = {seal.watch for seal in seals}
    return frozenset(watch.name for watch in config.watches if None in covered or watch.name in covered)


def is_announced(connection: Connection, config: Config, watch: WatchFolder, now: float) -> bool:
    """Whether the manifest of this tree lists what was announced, and not what is in the tree by now."""
    return watch.name in _announced(connection, config, now)


def has_state(tree: ExportTree) -> bool:
    """Whether an export of the state is in this tree. Raises FaultError for a folder of others."""
    return _header(tree.read_metadata(STATE)) is not None


def _put(tree: ExportTree, contents: dict[str, bytes], exported: Export) -> None:
    changes: dict[str, bytes | None] = {}
    if MANIFEST in contents and is_same(tree.read_metadata(MANIFEST), contents[MANIFEST]):
        del contents[MANIFEST]
    before = tree.read_metadata(STATE)
    header = _header(before)
    aside = _header(tree.read_metadata(BEFORE))
    if header is not None and header.links and header.begun != exported.header.begun:
        log.warning("%s is of another state file; if that was lost, run `tidegate state rebuild --replace`", STATE)
        if aside is None or aside.links < header.links:
            changes[BEFORE] = before
    elif aside is not None and aside.begun == exported.header.begun:  # it was brought back
        changes[BEFORE] = None
    if header is None or header.digest != exported.header.digest:
        changes[STATE] = exported.pack()
    tree.write_metadata(changes | contents)


def _header(packed: bytes | None) -> Header | None:
    try:
        return None if packed is None else read_header(packed)
    except NotAnExport:
        return None


def is_same(present: bytes | None, new: bytes) -> bool:
    """But for when it was written."""
    if present is None:
        return False
    try:
        before, now = json.loads(present), json.loads(new)
        return bool({**before, "written": None} == {**now, "written": None})
    except NOT_AS_TOLD:
        return False


def _contents(connection: Connection, watch: WatchFolder, now: float) -> dict[str, bytes]:
    """The manifest last: when it is there, the others are."""
    links = _links(connection, watch)
    host = os.uname().nodename
    shape = {
        "format": FORMAT,
        "host": host,
        "watch": watch.name,
        "written": format_time(now),
        "links": [_shape(one) for one in links],
    }
    return {
        SUMS: b"".join(_sum_line(file) for file in _whole(links) if file.sha256 is not None),
        FILES: b"".join(os.fsencode(file.path) + b"\n" for one in links for file in one.files),
        EXPECTED: _expected(host, watch, links),
        MANIFEST: json.dumps(shape, indent=1).encode("ascii") + b"\n",
    }


def _whole(links: Sequence[_Link]) -> Iterator[_File]:
    """The files of links that still are what was released: a rewritten one is about to go."""
    for one in links:
        if one.row.state is not LinkState.CHANGED:
            yield from one.files


def _links(connection: Connection, watch: WatchFolder) -> list[_Link]:
    rows = sorted(ledger.in_tree(connection, watch.name), key=lambda row: row.export_name)
    known = dumps.by_ids(connection, [row.dump_id for row in rows if row.dump_id is not None])
    identities = dumps.identities_of(connection, known.values())
    bodies = dumps.bodies(connection, [row.id for row in known.values() if row.is_folder])
    found = []
    for row in rows:
        dump = known.get(row.dump_id or 0)
        if dump is None:
            found.append(_Link(row, None, _files_of_foreign(row)))
            continue
        sums = _sums(bodies.get(dump.id)) if dump.is_folder else {"": dump.sha256}
        files = [
            _File(
                "/".join(filter(None, (row.export_name, one.name))),
                one.name,
                one.size,
                one.mtime_ns // 1_000_000_000,
                sums.get(one.name),
            )
            for one in identities[dump.id].members
        ]
        found.append(_Link(row, dump, files))
    return found


def _files_of_foreign(row: LinkRow) -> Sequence[_File]:
    if row.fingerprint.count(":") != 2:
        return []
    [one] = dumps.file_identity(row.fingerprint).members
    return [_File(row.export_name, "", row.bytes, one.mtime_ns // 1_000_000_000, None)]


def _sums(body: str | None) -> dict[str, str | None]:
    """File of a folder dump -> the sum that its marker declared."""
    declared = json.loads(body).get("files") if body else None
    files = declared.items() if isinstance(declared, dict) else ()
    sums = {name: one.get("sha256") for name, one in files if isinstance(one, dict)}
    return {name: one for name, one in sums.items() if isinstance(one, str) and _SHA256.fullmatch(one)}


def _shape(one: _Link) -> dict[str, Any]:
    row, dump = one.row, one.dump
    shape = {
        "export_name": row.export_name,
        "vm": row.vm,
        "backup_set": None if dump is None else dump.backup_set,
        "dump": None if dump is None else dump.path,
        "dump_time": None if dump is None else format_time(dump.dump_time),
        "size": row.bytes,
        "fingerprint": row.fingerprint,
        "state": row.state,
        "evidence": row.confirmed_by,
        "confirmed": None if row.confirmed_at is None else format_time(row.confirmed_at),
    }
    if dump is not None and dump.is_folder:
        return {**shape, "files": [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in one.files]}
    return {**shape, "sha256": one.files[0].sha256 if one.files else None}


def _expected(host: str, watch: WatchFolder, links: Sequence[_Link]) -> bytes:
    """For a storage with a shell and nothing else, which reads a line up to its end and a name as it is written."""
    lines = [f"tidegate-expected 1 {host} {watch.name}".encode()]
    lines += [_expected_line(one, file) for one in links if one.row.ended_at is None for file in one.files]
    return b"\n".join(lines) + b"\n"


def _expected_line(link: _Link, file: _File) -> bytes:
    """Of a name that a shell cannot read a line that no file is like: its dump is never found to have arrived."""
    if any(sign in file.path for sign in "\n\r\\"):
        return b"? ? - " + os.fsencode(link.row.export_name)
    return f"{file.size} {file.mtime} {(file.sha256 or '-').lower()} ".encode() + os.fsencode(file.path)


def watch_expecting(config: Config, digest: str) -> WatchFolder | None:
    """The watch folder whose export tree holds the list EXPECTED with this sha256; None: none does."""
    for watch in config.watches:
        content = ExportTree(watch.export).read_metadata(EXPECTED)
        if content is not None and hashlib.sha256(content).hexdigest() == digest:
            return watch
    return None


def _sum_line(file: _File) -> bytes:
    """As `sha256sum` writes it: a name with a line break or a backslash is escaped and its line marked."""
    path = os.fsencode(file.path)
    escaped = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != path else b""
    return mark + (file.sha256 or "").lower().encode() + b"  " + escaped + b"\n"


# --- read again, when the state is lost


@dataclass(frozen=True, slots=True)
class ManifestLink:
    """What a manifest has of one link; ``evidence`` and ``confirmed_at`` if the storage had it, else None and 0."""

    vm: str
    dump_time: float
    evidence: Evidence | None
    confirmed_at: float


#: Watch folder, name in its tree, fingerprint -> that link.
ManifestLinks = Mapping[tuple[str, str, str], ManifestLink]


class UnreadableManifest(Exception):
    """The file is no manifest."""


def read_manifest(packed: bytes, watch: str) -> ManifestLinks:
    """The links of dumps in a manifest of this watch folder. Raises UnreadableManifest; its writer is not trusted."""
    found = {}
    try:
        shape = json.loads(packed)
        if shape["format"] != FORMAT:
            raise ValueError(shape["format"])
        for link in shape["links"]:
            if link["vm"] is not None and link["dump_time"] is not None:
                found[watch, str(link["export_name"]), str(link["fingerprint"])] = _manifest_link(link)
    except NOT_AS_TOLD:
        raise UnreadableManifest from None
    return found


def _manifest_link(link: dict[str, Any]) -> ManifestLink:
    vm = str(link["vm"])
    if not is_clean(vm):
        raise ValueError(vm)
    evidence = None if link["evidence"] is None else Evidence(link["evidence"])
    confirmed = 0.0 if link["confirmed"] is None else parse_time(link["confirmed"])
    return ManifestLink(vm, parse_time(link["dump_time"]), evidence, confirmed)
