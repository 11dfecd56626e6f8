"""What stands in an export tree, told in the tree itself: what one needs when this host is dead (DESIGN 7).

::

    .rsync/.tidegate/manifest.json   each link: its VM, dump time, files, and what is known of its arrival
    .rsync/.tidegate/SHA256SUMS      for `sha256sum -c` in the tree: the files whose sum a marker told
    .rsync/.tidegate/FILES           every file, a line each, as it is named on the disk
    .rsync/.tidegate/EXPECTED        what the sync is to bring: a heading, then of each file its size, time of change
                                     in whole seconds, sha256 or -, and its path
    .rsync/.tidegate/state.json.gz   the whole state (``core.state.backup``)
    .rsync/.tidegate/state.before.json.gz  what another state file told here before: was that one lost?

The folder comes with the first sync that is sealed (`tidegate sync-started`); whoever never seals one makes it himself.
None of it is rewritten while it tells the same: rsync would send it again. The first four stay as they were sealed
until the sync that they were sealed for is reported.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.clock import Instant
from core.config.settings import Config, WatchFolder
from core.enums import LinkState
from core.errors import NOT_AS_TOLD, FaultError
from core.state import dumps, ledger, syncs
from core.state.backup import Export, Header, NotAnExport, export, read_header
from core.state.database import Connection, State
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from core.units import format_time
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
    """One file of a link. ``path`` leads to it from the tree; ``sha256`` None: no marker told it.

    ``mtime`` is in whole seconds: so much of it any storage keeps.
    """

    path: str
    name: str
    size: int
    mtime: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Link:
    """A link that stands, its dump and its files. A foreign file has no dump, and a foreign folder no known files."""

    row: LinkRow
    dump: DumpRow | None
    files: Sequence[_File]


def write(config: Config, state: State, now: Instant, *, down: Collection[str], sealing: Collection[str] = ()) -> None:
    """Writes the papers of all trees but those of the watch folders that are ``down``. For the holder of the pass lock.

    A tree gets its first ones when a sync is sealed; from then on they are kept true. Of a tree that a sync may be
    reading by its seal only the state is told anew, unless it was sealed just now: it is among ``sealing``. What
    cannot be written is logged and stops nobody.
    """
    trees = {one.name: ExportTree(one.export) for one in config.watches if one.name not in down}
    wanted = [one for one in config.watches if one.name in trees]
    wanted = [one for one in wanted if one.name in sealing or trees[one.name].has_metadata()]
    if not wanted:
        return
    with state.read() as connection:
        exported = export(connection, now.wall)
        sealed = _sealed(connection, config, now.wall) - set(sealing)
        told = {one.name: {} if one.name in sealed else _papers(connection, one, now.wall) for one in wanted}
    for watch in wanted:
        try:
            _put(trees[watch.name], told[watch.name], exported)
        except FaultError as error:
            log.warning("%s: the manifest cannot be written: %s", watch.export, error)


def _sealed(connection: Connection, config: Config, now: float) -> frozenset[str]:
    """The watch folders whose trees a sync may be reading that was sealed and is not reported."""
    seals = syncs.open_seals(connection, now - SEAL_LASTS_SECONDS)
    covered = {seal.watch for seal in seals}
    return frozenset(watch.name for watch in config.watches if None in covered or watch.name in covered)


def is_sealed(connection: Connection, config: Config, watch: WatchFolder, now: float) -> bool:
    """Whether the manifest of this tree tells what was sealed, and not what stands by now."""
    return watch.name in _sealed(connection, config, now)


def has_state(tree: ExportTree) -> bool:
    """Whether an export of the state stands in this tree. Raises FaultError for a folder of others."""
    return _header(tree.read_metadata(STATE)) is not None


def _put(tree: ExportTree, papers: dict[str, bytes], exported: Export) -> None:
    contents: dict[str, bytes | None] = {}
    if MANIFEST in papers and tells_the_same(tree.read_metadata(MANIFEST), papers[MANIFEST]):
        del papers[MANIFEST]
    before = tree.read_metadata(STATE)
    header = _header(before)
    aside = _header(tree.read_metadata(BEFORE))
    if header is not None and header.links and header.begun != exported.header.begun:
        log.warning("%s tells of another state file: if that was lost, `tidegate state rebuild --replace`", STATE)
        if aside is None or aside.links < header.links:
            contents[BEFORE] = before
    elif aside is not None and aside.begun == exported.header.begun:  # it was brought back
        contents[BEFORE] = None
    if header is None or header.digest != exported.header.digest:
        contents[STATE] = exported.pack()
    tree.write_metadata(contents | papers)


def _header(packed: bytes | None) -> Header | None:
    try:
        return None if packed is None else read_header(packed)
    except NotAnExport:
        return None


def tells_the_same(standing: bytes | None, new: bytes) -> bool:
    """But for when it was written."""
    if standing is None:
        return False
    try:
        told, telling = json.loads(standing), json.loads(new)
        return bool({**told, "written": None} == {**telling, "written": None})
    except NOT_AS_TOLD:
        return False


def _papers(connection: Connection, watch: WatchFolder, now: float) -> dict[str, bytes]:
    """The manifest last: when it stands, its company does."""
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
    """The files of links that still are what was let out: a rewritten one is about to go."""
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
    """File of a folder dump -> the sum that its marker told."""
    told = json.loads(body).get("files") if body else None
    files = told.items() if isinstance(told, dict) else ()
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
    """For a storage with a shell and nothing else, which reads a line up to its end and a name as it stands there."""
    lines = [f"tidegate-expected 1 {host} {watch.name}".encode()]
    lines += [_expected_line(one, file) for one in links if one.row.ended_at is None for file in one.files]
    return b"\n".join(lines) + b"\n"


def _expected_line(link: _Link, file: _File) -> bytes:
    """Of a name that a shell cannot read a line that no file is like: its dump is never found to have arrived."""
    if any(sign in file.path for sign in "\n\r\\"):
        return b"? ? - " + os.fsencode(link.row.export_name)
    return f"{file.size} {file.mtime} {(file.sha256 or '-').lower()} ".encode() + os.fsencode(file.path)


def expecting(config: Config, digest: str) -> WatchFolder | None:
    """The watch folder whose export tree holds the list EXPECTED with this sha256; None: none does."""
    for watch in config.watches:
        paper = ExportTree(watch.export).read_metadata(EXPECTED)
        if paper is not None and hashlib.sha256(paper).hexdigest() == digest:
            return watch
    return None


def _sum_line(file: _File) -> bytes:
    """As `sha256sum` writes it: a name with a line break or a backslash is escaped and its line says so."""
    path = os.fsencode(file.path)
    escaped = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != path else b""
    return mark + (file.sha256 or "").lower().encode() + b"  " + escaped + b"\n"
