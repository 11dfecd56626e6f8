"""Taking over from a script that links into the export tree by itself."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from core.clock import Clock, Instant
from core.config.settings import Config, WatchFolder
from core.enums import DumpState, Evidence, LinkState
from core.filenames import printable
from core.fs.fingerprint import Identity
from core.markers.format import BadMarker
from core.markers.vm_name import parse
from core.state import dumps, ledger, vms
from core.state.database import Connection, State
from core.state.ledger import LinkRow
from policy.export import ExportTree, TreeEntry
from policy.passes.trees import remove_unneeded, settle_trees
from policy.reconcile import manifest
from policy.reconcile.confirm import confirm, freshen
from policy.reconcile.manifest import ManifestLink, ManifestLinks


@dataclass(frozen=True, slots=True)
class Adopted:
    """One entry of an export tree. ``vm`` None: it could not be adopted, and ``note`` says why."""

    name: str
    vm: str | None
    bytes: int
    dump_time: float | None
    note: str = ""


def adopt(config: Config, state: State, clock: Clock, *, sent: bool, wait: float) -> list[Adopted]:
    """Makes every entry of the export trees that no row of the ledger explains an outstanding link of its VM.

    With ``sent`` the storage has them already: they are confirmed at once. Charges what was not charged yet.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        unmounted = settle_trees(config, state, now)
        with state.write() as connection:
            foreign = [link for link in ledger.in_tree(connection) if link.dump_id is None]
            adopted = take_over(connection, config, [one for one in foreign if one.watch not in unmounted], now)
            if sent:
                names = {one.name for one in adopted if one.vm is not None}
                links = [one for one in ledger.outstanding(connection) if printable(one.export_name) in names]
                confirm(connection, links, Evidence.MARK_SENT, now.wall)
        remove_unneeded(config, state, now)
        manifest.write(config, state, now, unmounted=unmounted)
        return adopted


class _Found(NamedTuple):
    """What is in one watch folder: the entries of its export tree, and inode -> path of the files beside it."""

    watch: WatchFolder
    entries: Mapping[str, TreeEntry | None]
    paths: Mapping[int, str]


def take_over(
    connection: Connection,
    config: Config,
    foreign: Sequence[LinkRow],
    now: Instant,
    known: ManifestLinks = MappingProxyType({}),
) -> list[Adopted]:
    """Makes these foreign files links of dumps, with the VM and dump time of a manifest, else by their names."""
    watches = [config.watch(name) for name in sorted({link.watch for link in foreign})]
    found = {one.name: _Found(one, ExportTree(one.export).entries(), _paths_by_inode(one)) for one in watches}
    listed = [known.get((link.watch, link.export_name, link.fingerprint)) for link in foreign]
    return [
        _adopt(connection, config, link, found[link.watch], now=now, known=one)
        for link, one in zip(foreign, listed, strict=True)
    ]


def _adopt(
    connection: Connection, config: Config, link: LinkRow, found: _Found, *, now: Instant, known: ManifestLink | None
) -> Adopted:
    entry = found.entries.get(link.export_name)
    if entry is None:
        return Adopted(printable(link.export_name), None, link.bytes, None, "it cannot be read")
    identity = entry.identity
    path = _path_of(identity, found.paths) or f"{found.watch.export.name}/{link.export_name}"
    try:
        vm = parse(path, found.watch.naming, _dump_time(identity)).vm if known is None else known.vm
    except BadMarker as error:
        return Adopted(printable(link.export_name), None, link.bytes, None, str(error))
    when = _dump_time(identity) if known is None else known.dump_time
    _record_vm(connection, config, vm, identity, when=when, now=now)
    dump_id = _recorded(connection, link, path) or _record(connection, link, identity, path, now)
    waits = link.state is LinkState.LINKED
    state = {"state": DumpState.LINKED, "ended_at": None} if waits else {"state": DumpState.CONFIRMED}
    dumps.change(connection, dump_id, vm=vm, dump_time=when, **state)
    ledger.change_link(connection, link.id, dump_id=dump_id, vm=vm)
    if link.confirmed_by is not None:  # it left, and was confirmed, before it was known whose it is
        freshen(connection, [dump_id], link.confirmed_by, now.wall)
    return Adopted(printable(link.export_name), vm, identity.bytes, when)


def _dump_time(identity: Identity) -> float:
    """When it was started is not known: the last write into it is the nearest."""
    return identity.newest_mtime_ns / 1e9


def _record_vm(
    connection: Connection, config: Config, vm: str, identity: Identity, *, when: float, now: Instant
) -> None:
    """Makes the VM known, with this dump as its newest if it is."""
    row = vms.one(connection, vm) or vms.new(vm, config.backup_set_of(vm), now.wall)
    if row.last_dump_time is None or row.last_dump_time < when:
        row = row._replace(last_dump_time=when, last_dump_bytes=identity.bytes, last_result_at=when)
    vms.save(connection, [row._replace(retired_at=None)])


def _recorded(connection: Connection, link: LinkRow, path: str) -> int | None:
    rows = dumps.by_paths(connection, link.watch, [path])
    return next((row.id for row in rows if row.fingerprint == link.fingerprint), None)


def _record(connection: Connection, link: LinkRow, identity: Identity, path: str, now: Instant) -> int:
    values = {
        "watch": link.watch,
        "path": path,
        "fingerprint": identity.fingerprint,
        "is_folder": identity.is_folder,
        "bytes": identity.bytes,
        "state": DumpState.LINKED,
        "dump_time": _dump_time(identity),
        "recorded_at": now.wall,
        "ended_at": None if link.state is LinkState.LINKED else now.wall,
        "signature": "",
        "has_marker": False,
    }
    dump_id = dumps.add(connection, values)
    dumps.set_members(connection, dump_id, identity)
    return dump_id


def _path_of(identity: Identity, paths: Mapping[int, str]) -> str | None:
    """Where the dump is under its own name: found by the inode of any of its files."""
    for member in identity.members:
        path = paths.get(member.inode)
        if path is not None and path.endswith(member.name):
            return path.removesuffix(member.name).rstrip("/") if identity.is_folder else path
    return None


def _paths_by_inode(watch: WatchFolder) -> dict[int, str]:
    """Inode -> path relative to the watch folder, of every plain file outside dot folders."""
    found: dict[int, str] = {}
    for parent, folders, names in os.walk(watch.path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(parent, name)  # noqa: PTH118 - names may be no text, and there may be very many
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                found.setdefault(status.st_ino, os.path.relpath(path, watch.path))
    return found
