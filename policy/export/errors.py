"""What went wrong, as a sentence with the cause and what to do, one for each errno that a link can meet."""

import errno
import os
from collections.abc import Mapping

from core.fs.fingerprint import DumpRejected
from core.reasons import Reason
from policy.export.model import LinkFailure

_SENTENCES = {
    errno.EACCES: (
        "permission denied: this user may not read the dump's folder, or may not write in the export tree or the "
        "staging folder beside it; give it that right, or run as the user who owns them"
    ),
    errno.EDQUOT: "the disk quota of the user who owns the export tree is used up; raise it or free some of it",
    errno.EEXIST: (
        "something that Tidegate did not link has this name in the export tree; it is never overwritten: "
        "move it away, or make it known with `tidegate adopt`"
    ),
    errno.EIO: "the disk or its filesystem reports an error; look at the kernel's log",
    errno.EINVAL: "the filesystem does not know what was asked of it; hard links need a filesystem of Linux's own",
    errno.EMFILE: "this process has too many open files; raise its limit (LimitNOFILE= in a service unit)",
    errno.EMLINK: (
        "the file has as many hard links as its filesystem allows (65,000 on ext4); remove some of them, or write "
        "the dump to a new file"
    ),
    errno.ENAMETOOLONG: "the name is too long for the filesystem (255 bytes on most); shorten the VM's or dump's name",
    errno.ENFILE: "the machine has too many open files; raise fs.file-max",
    errno.ENOENT: "the export tree or its staging folder went away while links were made",
    errno.ENOMEM: "the machine is out of memory",
    errno.ENOSPC: "no space, or no free inode, is left for a folder entry; free some on the dumps' filesystem",
    errno.ENOSYS: "the kernel or filesystem has no hard links; the export tree needs one that has",
    errno.EOPNOTSUPP: "the filesystem has no hard links; keep dumps and export tree on one that has (ext4, xfs, btrfs)",
    errno.EPERM: (
        "the kernel refuses this link: with fs.protected_hardlinks = 1 one must own the file, or be able to read and "
        "write it, or have CAP_FOWNER; and an immutable or append-only file or folder (chattr +i, +a) takes no link"
    ),
    errno.EROFS: "the filesystem is mounted read-only here; a ReadWritePaths= that lacks this folder does that too",
    errno.ESTALE: "the network filesystem lost hold of the file; mount it again",
    errno.EXDEV: (
        "for the kernel the dump and the export tree are not in one place: they lie on different filesystems, in two "
        "btrfs subvolumes, or below two mounts of one filesystem (bind mounts; two ReadWritePaths= of a service "
        "unit make them as well); put both below one mount, as `.rsync` inside the dump folder is"
    ),
}

_NO_COPY = (
    "the filesystem makes no reflinks here; they need dumps and export tree on one xfs (made with reflink=1) or btrfs: "
    'leave publish = "reflink" out, or move both'
)
_COPY_SENTENCES = {
    errno.EACCES: "permission denied: a reflink reads the dump, and this user may not; a hard link needs no read",
    **dict.fromkeys((errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EINVAL, errno.EXDEV), _NO_COPY),
}


def failure(error: DumpRejected | OSError, *, proven_absent: bool) -> LinkFailure:
    """The failure that ``error`` makes of one request."""
    if isinstance(error, DumpRejected):
        return LinkFailure(error.reason, error.detail, proven_absent)
    return LinkFailure(Reason.LINK_ERROR, explain(error), proven_absent)


def explain_copy(error: OSError) -> str:
    """As ``explain``, for a reflink."""
    return _told(error, _SENTENCES | _COPY_SENTENCES)


def explain(error: OSError) -> str:
    """``EXDEV: sentence``. An errno without a sentence of its own gets the system's."""
    return _told(error, _SENTENCES)


def _told(error: OSError, sentences: Mapping[int, str]) -> str:
    number = error.errno or 0
    return f"{errno.errorcode.get(number, 'EUNKNOWN')}: {sentences.get(number) or os.strerror(number)}"
