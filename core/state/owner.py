"""Files that root makes in a folder of somebody else's become that one's.

An admin runs commands as root beside a service that has a user of its own. A lock file that root made for himself
would lock the service out for good. SQLite does the same for the files that it puts beside the state.
"""

import os
from contextlib import suppress
from pathlib import Path


def make_for_the_folders_owner(path: Path) -> None:
    """As root, makes the missing file ``path``, empty and owned as its folder is. As anybody else: nothing.

    Only what was made here is given away: a name that stands already may lead to a file of root's.
    """
    if os.geteuid() != 0:
        return
    with suppress(OSError):  # whoever opens the file next says what is wrong
        folder = path.parent.stat()
        if folder.st_uid == 0:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o644)
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        finally:
            os.close(descriptor)
