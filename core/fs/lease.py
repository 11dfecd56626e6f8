"""Whether somebody has a file open for writing: asked by a read lease, which the kernel grants only if nobody does.

There is no lease to be had on files of others (but with CAP_LEASE), and on some network filesystems: there it cannot
be known.
"""

import errno
import fcntl
import os
import signal

from core.fs.openat import open_to_read

#: A symbolic link, a file that we may not read, a socket: nothing that a lease could be had on.
_NO_FILE = frozenset({errno.ELOOP, errno.EACCES, errno.ENXIO})


def take_read_lease(file: int) -> None:
    """Keeps the file with this descriptor from being opened for writing: who tries waits until it is closed.

    Raises BlockingIOError while somebody has it open for writing. Where there is no lease to be had nothing happens.
    """
    try:
        # The kernel announces whoever waits by a signal: SIGIO, its default, would end us; SIGURG is ignored.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        raise
    except OSError:
        pass


def is_open_for_writing(folder: int, name: str) -> bool:
    """Whether somebody writes into this file of the folder with this descriptor; False where it cannot be known.

    Raises OSError where it cannot be looked at.
    """
    try:
        file = open_to_read(name, folder)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in _NO_FILE:
            return False
        raise
    try:
        take_read_lease(file)
    except BlockingIOError:
        return True
    finally:
        os.close(file)  # and with it the lease
    return False
