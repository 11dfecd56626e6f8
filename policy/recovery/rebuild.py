"""A state that was lost, brought back from what the export trees and the markers tell.

What cannot be known is held against the line and never for it: where something may have left since the export was
made, the rest of the open day counts as let out.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.clock import Clock, Instant
from core.config.settings import Config, WatchFolder
from core.enums import Evidence, LinkState
from core.errors import NOT_AS_TOLD, FaultError
from core.filenames import is_clean, printable
from core.state import dumps, ledger, vms
from core.state.backup import Header, NotAnExport, read_header, restore
from core.state.database import Connection, State
from core.state.ledger import LinkRow
from core.units import format_size, format_time, parse_time
from policy.export import ExportTree, Presence
from policy.operations import adopt
from policy.operations.adopt import Tales, Told
from policy.passes import budget
from policy.reconcile.confirm import confirm
from policy.reconcile.settle import settle
from policy.reconcile.tree_scan import TreeScan, scan_trees
from policy.recovery import manifest


class Found(NamedTuple):
    """An export of the state and where it was."""

    place: str
    packed: bytes
    header: Header


@dataclass(slots=True)
class Rebuilt:
    """What came back, and what did not: sentences for the admin, the important ones first."""

    known: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def find_exports(config: Config) -> list[Found]:
    """The exports that stand in the trees: first the one that knows most."""
    found = []
    for watch in config.watches:
        for name in (manifest.STATE, manifest.BEFORE):
            packed = _paper(watch, name)
            header = None if packed is None else _header(packed)
            if packed is not None and header is not None:
                found.append(Found(f"{watch.export}/.tidegate/{name}", packed, header))
    return sorted(found, key=lambda one: (one.header.links, one.header.passes), reverse=True)


def rebuild(
    config: Config, draft: State, clock: Clock, source: Found | None, rescan: Callable[[], Sequence[str]]
) -> Rebuilt:
    """Fills the empty state ``draft``. ``rescan`` records the markers into it and returns what is down, and why.

    Looks at the trees and moves nothing in them. For who is alone with them. Raises NotAnExport.
    """
    result = Rebuilt()
    latest = [one.header for one in find_exports(config)]
    now = clock.now()
    if source is not None:
        with draft.write() as connection:
            restore(connection, source.packed)
            result.known.append(_what_came_back(connection, source))
    result.unknown += rescan()
    with draft.read() as connection:
        scan = scan_trees(connection, config)
    with draft.write() as connection:
        day = budget.current(connection, config, now)
        settle(connection, config, day.number, scan, now=now)
        result.known += _standing(scan)
        if source is None:
            _by_the_manifests(connection, config, scan, now, result)
        if _may_have_left(config, scan, source, latest):
            result.unknown.insert(0, _charge_the_rest(connection, config, now))
        budget.tell(connection, config, now)
    result.unknown += _not_told(source)
    return result


def _what_came_back(connection: Connection, source: Found) -> str:
    counts = (len(vms.all_vms(connection)), source.header.links)
    return f"{source.place}, written {format_time(source.header.written)}: {counts[0]} VMs, {counts[1]} links came back"


def _standing(scan: TreeScan) -> Iterator[str]:
    """What was seen in the trees that the export does not tell."""
    for check in scan.checks:
        name = printable(check.link.export_name)
        if check.link.ended_at is None and check.presence in (Presence.ABSENT, Presence.OTHER):
            yield f"{name}: let out on day {check.link.day}, and stands no more; its dump waits again if it is there"
        elif check.presence is Presence.CHANGED:
            yield f"{name}: rewritten since it was let out; the next pass takes it back"
    for entry in scan.unmanaged:
        size = format_size(entry.found.identity.bytes)
        yield f"{entry}: is in the tree without a record; its {size} count as released"


def _not_told(source: Found | None) -> Iterator[str]:
    if source is None:
        yield "no export of the state: holds, forces, retired VMs, learned periods and what left before are not known"
    else:
        when = format_time(source.header.written)
        yield f"what was said after {when} (hold, release, force, retire, mark-sent) is not known: say it again"


# --- the limit


def _may_have_left(config: Config, scan: TreeScan, source: Found | None, latest: Sequence[Header]) -> bool:
    """Whether something may have been let out that nothing tells any more.

    Where no tree stands there is nothing that a sync could find.
    """
    standing = [watch for watch in config.watches if _stands(watch)]
    if source is None or scan.unmounted:
        return bool(standing or scan.unmounted)
    if scan.unmanaged or any(not source.header.is_as_late_as(one) for one in latest):
        return True
    return any(_paper(watch, manifest.STATE) is None for watch in standing)


def _charge_the_rest(connection: Connection, config: Config, now: Instant) -> str:
    """The open day begins now, and nothing more leaves in it."""
    day = budget.current(connection, config, now)
    stamp = {"opened_at": now.wall, "opened_boot": now.boot_id, "opened_uptime": now.uptime}
    ledger.change_day(connection, day.number, **stamp)
    left = budget.account(connection, config, day, now).left
    if left:
        row = {"day": day.number, "watch": config.watches[0].name, "export_name": "unknown", "fingerprint": ""}
        ids = ledger.charge(connection, [{**row, "dump_id": None, "vm": None, "bytes": left}], now)
        detail = "the state was lost: it may have been let out"
        ledger.change_links(connection, ids, state=LinkState.MISSING, ended_at=now.wall, detail=detail)
    return (
        f"what has left of late is not known: the {format_size(left)} that were left of day {day.number} count as "
        "let out, and it begins now"
    )


# --- without an export


def _by_the_manifests(connection: Connection, config: Config, scan: TreeScan, now: Instant, result: Rebuilt) -> None:
    told: Tales = {}
    for watch in config.watches:
        if watch.name not in scan.unmounted:
            told = {**told, **_told(watch, result)}
    foreign = [link for link in ledger.in_tree(connection) if link.dump_id is None and link.watch not in scan.unmounted]
    for one in adopt.take_over(connection, config, foreign, now, told):
        if one.vm is None:
            result.unknown.append(f"{one.name}: not known whose it is: {one.note}")
    for link in ledger.outstanding(connection):
        known = told.get((link.watch, link.export_name, link.fingerprint))
        if known is not None:
            _as_told(connection, link, known)
            result.known.append(f"{printable(link.export_name)}: {known.vm}'s, {known.evidence or 'not confirmed'}")
    for name, vm in vms.all_vms(connection).items():
        if vm.offsite_time is None:
            sentence = f"no copy at the storage is known; if it has one: tidegate mark-sent {name} --time TIME"
            result.unknown.append(f"{name}: {sentence}")


def _as_told(connection: Connection, link: LinkRow, told: Told) -> None:
    if link.dump_id is not None:
        dumps.change(connection, link.dump_id, dump_time=told.dump_time)
    if told.evidence is not None:
        confirm(connection, [link], told.evidence, told.confirmed)


def _told(watch: WatchFolder, result: Rebuilt) -> Tales:
    """What the manifest of one tree tells of its links, by watch folder, name and fingerprint."""
    packed = _paper(watch, manifest.MANIFEST)
    if packed is None:
        result.unknown.append(f"{watch.export}: holds no manifest")
        return {}
    try:
        return told_by(packed, watch.name)
    except NoManifest:
        result.unknown.append(f"{watch.export}: its manifest cannot be read")
        return {}


class NoManifest(Exception):
    """What stands as the manifest is none."""


def told_by(packed: bytes, watch: str) -> Tales:
    """What a manifest tells of the links of this watch folder. Raises NoManifest; whoever wrote it is not trusted."""
    found = {}
    try:
        shape = json.loads(packed)
        if shape["format"] != manifest.FORMAT:
            raise ValueError(shape["format"])
        for link in shape["links"]:
            if link["vm"] is not None and link["dump_time"] is not None:
                found[watch, str(link["export_name"]), str(link["fingerprint"])] = _told_link(link)
    except NOT_AS_TOLD:
        raise NoManifest from None
    return found


def _told_link(link: dict[str, Any]) -> Told:
    vm = str(link["vm"])
    if not is_clean(vm):
        raise ValueError(vm)
    evidence = None if link["evidence"] is None else Evidence(link["evidence"])
    confirmed = 0.0 if link["confirmed"] is None else parse_time(link["confirmed"])
    return Told(vm, parse_time(link["dump_time"]), evidence, confirmed)


# --- papers


def _stands(watch: WatchFolder) -> bool:
    try:
        return ExportTree(watch.export).exists()
    except FaultError:
        return True


def _paper(watch: WatchFolder, name: str) -> bytes | None:
    try:
        return ExportTree(watch.export).read_metadata(name)
    except FaultError:
        return None


def _header(packed: bytes) -> Header | None:
    try:
        return read_header(packed)
    except NotAnExport:
        return None
