"""Which folder of which filesystem is at a path: a disk may have gone, and another folder shows in its place.

The device number will not do: btrfs, device-mapper and USB give a filesystem another one at a mount. Its own id
(``f_fsid``) stays on ext4, btrfs and zfs; where it does not, the files in the folder decide (``any_stands``).
"""

import os
from collections.abc import Iterable
from pathlib import Path
from sqlite3 import Connection

from core.config.settings import WatchFolder
from core.fs.fingerprint import Member
from core.fs.io_timeout import ask
from core.fs.openat import open_folder
from core.state import counters, dumps, ledger
from core.state.ledger import LinkRow

#: Where the disk is mounted nearly all of them are there; where it is not, nobody should look for ten thousand.
_MOST_ASKED = 200

#: A disk that has not answered by then does not hold up the others.
_ANSWER_SECONDS = 10.0


def filesystem_id_of(folder: int) -> str:
    """Of the folder with this descriptor. Raises OSError."""
    return f"{os.fstatvfs(folder).f_fsid:x}:{os.fstat(folder).st_ino}"


def is_elsewhere(before: str, now: str) -> bool:
    """True when the two are of different filesystems.

    Another folder of the same one was put there by somebody: no disk has gone, and what is missing was removed.
    """
    return before.partition(":")[0] != now.partition(":")[0]


def filesystem_id_at(path: Path) -> str:
    """Of the folder at this path. Raises OSError."""
    with open_folder(path) as folder:
        return filesystem_id_of(folder)


def is_mounted(connection: Connection, watch: WatchFolder) -> bool:
    """Whether the watch folder is on the filesystem on which it was when it was last found up.

    Raises OSError where it is missing, cannot be opened, or does not answer in time.
    """
    status = counters.watch_statuses(connection).get(watch.name)
    now = ask(str(watch.path), _ANSWER_SECONDS, lambda: filesystem_id_at(watch.path))
    if status is None or status.filesystem_id is None or not is_elsewhere(status.filesystem_id, now):
        return True
    # A filesystem may get another id at a mount: then what was released must be on it.
    expected = expected_in_tree(connection, watch)
    return ask(str(watch.path), _ANSWER_SECONDS, lambda: any_stands(expected))


#: A file of a link that should be in the export tree.
Expected = tuple[Path, Member]


def expected_in_tree(connection: Connection, watch: WatchFolder) -> list[Expected]:
    """One file each of the newest links that should be in the export tree; whether they are whole does not matter."""
    files = []
    for link in ledger.newest_in_tree(connection, watch.name, _MOST_ASKED):
        if (member := _a_member(connection, link)) is not None:
            path = watch.export / link.export_name
            files.append((path / member.name if member.name else path, member))
    return files


def any_stands(files: Iterable[Expected]) -> bool:
    """True when one of them is there: then it is the filesystem that the links were made on."""
    return any(_stands(path, member) for path, member in files)


def _stands(path: Path, member: Member) -> bool:
    try:
        return member.is_unchanged(os.lstat(path))
    except OSError:
        return False


def _a_member(connection: Connection, link: LinkRow) -> Member | None:
    if link.dump_id is None:  # a foreign file; of a foreign folder nothing is known
        return dumps.file_identity(link.fingerprint).members[0] if link.fingerprint.count(":") == 2 else None
    row = dumps.by_ids(connection, [link.dump_id]).get(link.dump_id)
    return None if row is None else next(iter(link.identity(dumps.identity_of(connection, row)).members), None)
