"""A lost state made again from the export trees and the markers.

What cannot be known may cost bytes of the day and never gives any: where something may have left since the export was
made, the rest of the open day counts as released.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.clock import Clock, Instant
from core.config.settings import Config, WatchFolder
from core.enums import LinkState
from core.errors import FaultError
from core.filenames import printable
from core.state import dumps, ledger, vms
from core.state.backup import Header, NotAnExport, read_header, restore
from core.state.database import Connection, State
from core.state.ledger import LinkRow
from core.units import format_size, format_time
from policy.export import ExportTree, Presence
from policy.operations.adopt import take_over
from policy.passes import budget
from policy.reconcile import manifest
from policy.reconcile.confirm import confirm
from policy.reconcile.manifest import ManifestLink, ManifestLinks, UnreadableManifest, read_manifest
from policy.reconcile.settle import settle
from policy.reconcile.tree_scan import TreeScan, scan_trees


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
    """The exports in the trees: first the one that knows most."""
    found = []
    for watch in config.watches:
        for name in (manifest.STATE, manifest.BEFORE):
            packed = _read(watch, name)
            header = None if packed is None else _header(packed)
            if packed is not None and header is not None:
                found.append(Found(f"{watch.export}/.tidegate/{name}", packed, header))
    return sorted(found, key=lambda one: (one.header.links, one.header.passes), reverse=True)


def rebuild(
    config: Config, draft: State, clock: Clock, source: Found | None, rescan: Callable[[], Sequence[str]]
) -> Rebuilt:
    """Fills the empty state ``draft``. ``rescan`` records the markers into it and returns what is down, and why.

    Reads the trees and moves nothing in them. For the holder of the pass lock. Raises NotAnExport.
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
        result.known += _differences(scan)
        if source is None:
            _by_the_manifests(connection, config, scan, now, result)
        if _may_have_left(config, scan, source, latest):
            result.unknown.insert(0, _charge_the_rest(connection, config, now))
        budget.store(connection, config, now)
    result.unknown += _not_known(source)
    return result


def _what_came_back(connection: Connection, source: Found) -> str:
    counts = (len(vms.all_vms(connection)), source.header.links)
    return f"{source.place}, written {format_time(source.header.written)}: {counts[0]} VMs, {counts[1]} links came back"


def _differences(scan: TreeScan) -> Iterator[str]:
    """What was found in the trees that the export does not have."""
    for check in scan.checks:
        name = printable(check.link.export_name)
        if check.link.ended_at is None and check.presence in (Presence.ABSENT, Presence.OTHER):
            day = check.link.day
            yield f"{name}: released on day {day}, and not in the tree any more; its dump waits again if it is there"
        elif check.presence is Presence.CHANGED:
            yield f"{name}: rewritten since it was released; the next pass removes its link"
    for entry in scan.unmanaged:
        size = format_size(entry.found.identity.bytes)
        yield f"{entry}: is in the tree without a record; its {size} count as released"


def _not_known(source: Found | None) -> Iterator[str]:
    if source is None:
        yield "no export of the state: holds, forces, retired VMs, learned periods and what left before are not known"
    else:
        when = format_time(source.header.written)
        yield f"what was ordered after {when} (hold, unhold, force, retire, mark-sent) is not known: run it again"


# --- the limit


def _may_have_left(config: Config, scan: TreeScan, source: Found | None, latest: Sequence[Header]) -> bool:
    """Whether something may have been released of which no record is left.

    Where there is no tree, there is nothing that a sync could find.
    """
    with_tree = [watch for watch in config.watches if _has_tree(watch)]
    if source is None or scan.unmounted:
        return bool(with_tree or scan.unmounted)
    if scan.unmanaged or any(not source.header.is_as_late_as(one) for one in latest):
        return True
    return any(_read(watch, manifest.STATE) is None for watch in with_tree)


def _charge_the_rest(connection: Connection, config: Config, now: Instant) -> str:
    """The open day begins now, and nothing more leaves in it."""
    day = budget.current(connection, config, now)
    stamp = {"opened_at": now.wall, "opened_boot": now.boot_id, "opened_uptime": now.uptime}
    ledger.change_day(connection, day.number, **stamp)
    left = budget.account(connection, config, day, now).left
    if left:
        row = {"day": day.number, "watch": config.watches[0].name, "export_name": "unknown", "fingerprint": ""}
        ids = ledger.charge(connection, [{**row, "dump_id": None, "vm": None, "bytes": left}], now)
        detail = "the state was lost: it may have been released"
        ledger.change_links(connection, ids, state=LinkState.MISSING, ended_at=now.wall, detail=detail)
    return (
        f"what has left of late is not known: the {format_size(left)} left of day {day.number} count as released, "
        "and the day begins now"
    )


# --- without an export


def _by_the_manifests(connection: Connection, config: Config, scan: TreeScan, now: Instant, result: Rebuilt) -> None:
    known: ManifestLinks = {}
    for watch in config.watches:
        if watch.name not in scan.unmounted:
            known = {**known, **_manifest_of(watch, result)}
    foreign = [link for link in ledger.in_tree(connection) if link.dump_id is None and link.watch not in scan.unmounted]
    for one in take_over(connection, config, foreign, now, known):
        if one.vm is None:
            result.unknown.append(f"{one.name}: it is not known whose it is: {one.note}")
    for link in ledger.outstanding(connection):
        listed = known.get((link.watch, link.export_name, link.fingerprint))
        if listed is not None:
            _record_as_listed(connection, link, listed)
            how = listed.evidence.label if listed.evidence is not None else "not confirmed"
            result.known.append(f"{printable(link.export_name)}: {listed.vm}'s, {how}")
    for name, vm in vms.all_vms(connection).items():
        if vm.offsite_time is None:
            advice = f"if the storage has a copy, run `tidegate mark-sent {name} --time TIME`"
            result.unknown.append(f"{name}: no copy off-site is known; {advice}")


def _record_as_listed(connection: Connection, link: LinkRow, listed: ManifestLink) -> None:
    if link.dump_id is not None:
        dumps.change(connection, link.dump_id, dump_time=listed.dump_time)
    if listed.evidence is not None:
        confirm(connection, [link], listed.evidence, listed.confirmed_at)


def _manifest_of(watch: WatchFolder, result: Rebuilt) -> ManifestLinks:
    """The links in the manifest of one tree."""
    packed = _read(watch, manifest.MANIFEST)
    if packed is None:
        result.unknown.append(f"{watch.export}: has no manifest")
        return {}
    try:
        return read_manifest(packed, watch.name)
    except UnreadableManifest:
        result.unknown.append(f"{watch.export}: its manifest cannot be read")
        return {}


# --- what is in a tree's .tidegate


def _has_tree(watch: WatchFolder) -> bool:
    """Also where something is there that is no usable tree."""
    try:
        return ExportTree(watch.export).exists()
    except FaultError:
        return True


def _read(watch: WatchFolder, name: str) -> bytes | None:
    try:
        return ExportTree(watch.export).read_metadata(name)
    except FaultError:
        return None


def _header(packed: bytes) -> Header | None:
    try:
        return read_header(packed)
    except NotAnExport:
        return None
