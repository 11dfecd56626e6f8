"""Watch folders that are away: their disk is not mounted, does not answer, or something else stands in its place.

What is known of them stays as it is, and nothing of them leaves: an absent folder proves nothing.
"""

import logging
from collections.abc import Callable, Collection
from typing import TypeVar

from core.config.settings import Config, WatchFolder
from core.fs.io_timeout import ask
from core.state import counters, ledger
from core.state.database import Connection
from core.state.mount_identity import any_stands, expected_in_tree, filesystem_id_at, is_elsewhere
from policy.export import ExportTree

log = logging.getLogger("tidegate.policy")

_T = TypeVar("_T")

#: A disk that has not answered by then does not hold up the others.
_ANSWER_SECONDS = 10.0


def unmounted(connection: Connection, config: Config, asked: Collection[str] | None = None) -> frozenset[str]:
    """The names of the watch folders that are away now; of those ``asked`` for, None for all."""
    statuses = counters.watch_statuses(connection)
    found = set()
    for watch in config.watches:
        if asked is not None and watch.name not in asked:
            continue
        status = statuses.get(watch.name)
        if not _is_there(connection, watch, None if status is None else status.filesystem_id):
            found.add(watch.name)
            log.warning("%s: the watch folder is away; its links stay as they were", watch.path)
    return frozenset(found)


def recorded_unmounted(connection: Connection, config: Config) -> frozenset[str]:
    """The same by what was seen last, for those who look at no file."""
    statuses = counters.watch_statuses(connection)
    return frozenset(watch.name for watch in config.watches if watch.name in statuses and not statuses[watch.name].up)


def _is_there(connection: Connection, watch: WatchFolder, filesystem_id: str | None) -> bool:
    has_links = ledger.has_some_in_tree(connection, watch.name)
    try:
        standing = _ask(watch, lambda: _footing(watch, has_links=has_links))
        if standing is None or filesystem_id is None or not is_elsewhere(filesystem_id, standing):
            return standing is not None
        # A filesystem may get another number at a mount: then what was let out must stand on it.
        expected = expected_in_tree(connection, watch)
        return _ask(watch, lambda: any_stands(expected))
    except OSError:
        return False


def _footing(watch: WatchFolder, *, has_links: bool) -> str | None:
    """None where the export tree is missing."""
    return None if has_links and not ExportTree(watch.export).exists() else filesystem_id_at(watch.path)


def _ask(watch: WatchFolder, question: Callable[[], _T]) -> _T:
    return ask(str(watch.path), _ANSWER_SECONDS, question)
