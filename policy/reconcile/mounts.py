"""Watch folders that are unmounted: the disk is missing or does not answer, or another one is in its place.

What is known of them stays as it is, and nothing of them is released: an absent folder proves nothing.
"""

from collections.abc import Collection
from sqlite3 import Connection

from core.config.settings import Config, WatchFolder
from core.fs.io_timeout import ask
from core.state import counters, ledger
from core.state.mount_identity import is_mounted
from policy.export import ExportTree

_ANSWER_SECONDS = 10.0


def unmounted(connection: Connection, config: Config, asked: Collection[str] | None = None) -> frozenset[str]:
    """The names of the watch folders that are unmounted now; of those ``asked`` for, None for all."""
    watches = [watch for watch in config.watches if asked is None or watch.name in asked]
    return frozenset(watch.name for watch in watches if not _is_there(connection, watch))


def recorded_unmounted(connection: Connection, config: Config) -> frozenset[str]:
    """The same as it was last recorded, for those who look at no file."""
    statuses = counters.watch_statuses(connection)
    return frozenset(watch.name for watch in config.watches if watch.name in statuses and not statuses[watch.name].up)


def _is_there(connection: Connection, watch: WatchFolder) -> bool:
    """Where links should be in the export tree, the tree must be there too."""
    try:
        if not is_mounted(connection, watch):
            return False
        if not ledger.has_some_in_tree(connection, watch.name):
            return True
        return ask(str(watch.path), _ANSWER_SECONDS, ExportTree(watch.export).exists)
    except OSError:
        return False
