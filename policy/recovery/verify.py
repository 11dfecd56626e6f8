"""The state compared with the markers, the dump folders, the export trees and their metadata. Changes nothing."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.enums import DumpState, LinkState
from core.errors import NOT_AS_TOLD, FaultError
from core.filenames import printable
from core.reasons import Reason
from core.state import dumps, ledger
from core.state.database import Connection, DryRunState
from core.state.dumps import DumpRow
from policy.export import ExportTree, Presence, check_all
from policy.reconcile import manifest
from policy.reconcile.link_check import LinkCheck
from policy.reconcile.tree_scan import scan_trees

#: What puts most things right.
_NEXT = "`tidegate pass`"


class Difference(NamedTuple):
    """Two things that disagree: where, what it means, and what to do."""

    where: str
    means: str
    advice: str


def verify(config: Config, copy: DryRunState, clock: Clock, rescan: Callable[[], Sequence[str]]) -> list[Difference]:
    """Every difference. ``rescan`` records the markers into the copy and returns which folders are down, and why."""
    with copy.read() as connection:
        found = [*_damages(connection)]
        recorded = {row.id: row for row in dumps.without_end(connection)}
    found += [Difference(sentence, "what is recorded of it stays as it was", "mount its disk") for sentence in rescan()]
    with copy.read() as connection:
        found += _news(recorded, dumps.without_end(connection))
        scan = scan_trees(connection, config)
        found += _of_dumps(connection, config, scan.unmounted)
        for check in scan.checks:
            found += _of_link(config, check)
        for entry in scan.unmanaged:
            found.append(
                Difference(str(entry), "is there and not in the ledger", f"{_NEXT} charges it; or `tidegate adopt`")
            )
        for watch in config.watches:
            if watch.name not in scan.unmounted:
                found += _of_metadata(connection, config, watch, clock.now().wall)
    return found


def _damages(connection: Connection) -> Iterator[Difference]:
    for (result,) in connection.execute("PRAGMA quick_check"):
        if result != "ok":
            yield Difference("the state file", f"it is damaged: {result}", "run `tidegate state rebuild --replace`")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        yield Difference(
            "the state file", "it refers to dumps or days that it lacks", "run `tidegate state rebuild --replace`"
        )


def _news(recorded: dict[int, DumpRow], now: Sequence[DumpRow]) -> Iterator[Difference]:
    """What is in the markers and dump folders and was not recorded yet."""
    for row in now:
        path = f"{row.watch}: {printable(row.path)}"
        before = recorded.get(row.id)
        if before is None:
            yield Difference(
                path, f"not recorded yet; it is {row.reason or row.state}", f"{_NEXT}, or start the service"
            )
        elif (before.state, before.reason) != (row.state, row.reason):
            means = (
                f"recorded as {before.reason or before.state}, and now it is {row.reason or row.state}: {row.detail}"
            )
            yield Difference(path, means.removesuffix(": "), f"{_NEXT} records it")
    for gone_id in recorded.keys() - {one.id for one in now}:
        gone = recorded[gone_id]
        yield Difference(f"{gone.watch}: {printable(gone.path)}", "its marker is gone", f"{_NEXT} records it")


def _of_dumps(connection: Connection, config: Config, unmounted: Collection[str]) -> Iterator[Difference]:
    """Dumps that wait and are not what their markers declare: a pass checks one only before it releases it."""
    there = {watch.name for watch in config.watches} - set(unmounted)
    waiting = [row for row in dumps.without_end(connection) if row.watch in there and row.state is DumpState.PENDING]
    waiting = [row for row in waiting if row.fingerprint and row.reason is None]
    identities = dumps.identities_of(connection, waiting)
    looks = check_all([(config.watch(row.watch).path, row.path, identities[row.id]) for row in waiting])
    for row, failure in zip(waiting, looks, strict=True):
        if failure is not None and failure.reason is not Reason.OPEN:
            where = f"{row.watch}: {printable(row.path)}"
            yield Difference(where, f"it waits, and is {failure.reason}", "dump it again, or remove its marker")


def _of_link(config: Config, check: LinkCheck) -> Iterator[Difference]:
    link = check.link
    path = f"{config.watch(link.watch).export}/{printable(link.export_name)}"
    match check.presence, link.state:
        case Presence.INTACT, LinkState.RELEASED:
            yield Difference(path, "is there, and a killed pass has not recorded it", _NEXT)
        case Presence.INTACT, LinkState.CHANGED | LinkState.REVOKED:
            yield Difference(path, "is revoked and still there", f"{_NEXT} removes it")
        case Presence.CHANGED, _:
            yield Difference(path, "was rewritten after it was released", f"{_NEXT} removes it; dump to new names")
        case Presence.ABSENT | Presence.OTHER, LinkState.RELEASED:
            yield Difference(path, "a killed pass has charged it and not made it", f"{_NEXT} gives the charge back")
        case Presence.ABSENT, _:
            yield Difference(
                path, "should be there by the ledger, and it is gone", f"after {_NEXT} its dump waits again"
            )
        case Presence.OTHER, _:
            yield Difference(path, "something else has its name", f"move it away, then {_NEXT}")
        case _:
            return


def _of_metadata(connection: Connection, config: Config, watch: WatchFolder, now: float) -> Iterator[Difference]:
    place = f"{watch.export}/.tidegate"
    try:
        tree = ExportTree(watch.export)
        if not tree.exists() or not tree.has_metadata():
            return
        if not manifest.has_state(tree):
            yield Difference(
                f"{place}/{manifest.STATE}", "no export of the state can be read there", f"{_NEXT} writes it"
            )
        packed = tree.read_metadata(manifest.MANIFEST)
    except FaultError as error:
        yield Difference(place, str(error), f"then {_NEXT}")
        return
    if manifest.is_announced(connection, config, watch, now):
        return  # until that sync is reported it lists what was announced
    try:
        names = {str(one["export_name"]): str(one["state"]) for one in json.loads(packed or b"")["links"]}
    except NOT_AS_TOLD:
        yield Difference(f"{place}/{manifest.MANIFEST}", "there is none that can be read", f"{_NEXT} writes it")
        return
    links = {link.export_name: str(link.state) for link in ledger.in_tree(connection, watch.name)}
    for name in sorted(names.keys() | links.keys()):
        if names.get(name) != links.get(name):
            means = f"it is {names.get(name, 'missing')} in the manifest, {links.get(name, 'missing')} in the ledger"
            yield Difference(f"{watch.export}/{printable(name)}", means, f"{_NEXT} writes it anew")
