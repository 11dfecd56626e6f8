"""One scan of all export trees: what is really there, set against the ledger. After a crash the tree decides."""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from sqlite3 import Connection

from core.config.settings import Config, WatchFolder
from core.filenames import printable
from core.state import ledger
from policy.export import ExportTree, TreeEntry
from policy.reconcile.confirm_modes import Entries, confirm_mode
from policy.reconcile.link_check import LinkCheck, check_links
from policy.reconcile.mounts import unmounted

log = logging.getLogger("tidegate.policy")


@dataclass(frozen=True, slots=True)
class UnmanagedEntry:
    """An entry of an export tree that no row of the ledger explains."""

    watch: WatchFolder
    name: str
    found: TreeEntry

    def __str__(self) -> str:
        return f"{self.watch.export}/{printable(self.name)}"


@dataclass(slots=True)
class TreeScan:
    """What one scan of all export trees has found.

    Nothing is known of the trees of watch folders that are ``unmounted``. ``emptied`` are names of folders that a
    puller has emptied, by watch folder.
    """

    checks: list[LinkCheck] = field(default_factory=list)
    unmanaged: list[UnmanagedEntry] = field(default_factory=list)
    unmounted: frozenset[str] = frozenset()
    emptied: dict[str, list[str]] = field(default_factory=dict)


def scan_trees(connection: Connection, config: Config) -> TreeScan:
    """Checks every link that may be in a tree, and finds entries that are no link of ours. Changes nothing."""
    scan = TreeScan(unmounted=unmounted(connection, config))
    links = ledger.in_tree(connection) + ledger.outstanding_out_of_tree(connection)
    for watch in config.watches:
        if watch.name in scan.unmounted:
            log.warning("%s: not mounted, or does not answer; its links stay as they were", watch.path)
            continue
        entries = ExportTree(watch.export).entries()
        checks = check_links(connection, config, watch, [link for link in links if link.watch == watch.name], entries)
        emptied = confirm_mode(config).emptied_folders(entries)
        explained = {one.link.export_name for one in checks if one.is_ours} | set(emptied)
        scan.checks += checks
        scan.emptied[watch.name] = emptied
        scan.unmanaged += _unmanaged(watch, entries, explained)
    return scan


def _unmanaged(watch: WatchFolder, entries: Entries, explained: Collection[str]) -> Iterator[UnmanagedEntry]:
    for name in sorted(entries.keys() - explained):
        found = entries[name]
        if found is None:
            log.warning("%s/%s: neither a file nor a folder of files; it is not counted", watch.export, printable(name))
        else:
            yield UnmanagedEntry(watch, name, found)


def remove_emptied(config: Config, scan: TreeScan) -> None:
    """Removes folders that a puller has emptied: a newer dump may want their names."""
    for watch in config.watches:
        if names := scan.emptied.get(watch.name):
            ExportTree(watch.export).remove_empty(names)
