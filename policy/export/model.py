"""What is asked of an export tree, and what comes of it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core.enums import Publish
from core.fs.fingerprint import Identity
from core.reasons import Reason


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """One dump to be released.

    ``link_id`` is its row of the ledger; it names the entry in the staging folder. ``path`` leads from the watch
    folder ``source`` to the dump, with ``/`` between its parts. ``export_name`` is one component. What is linked
    is exactly ``identity`` or nothing. ``may_replace``: what has the name is a link of ours that has ended.
    ``publish``: whether the dump itself is linked or a copy of it. A file with more hard links than ``most_names`` is
    not released.
    """

    link_id: int
    source: Path
    path: str
    export_name: str
    identity: Identity
    may_replace: bool
    publish: Publish = Publish.HARDLINK
    most_names: int | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """The link is there, and survives a power cut.

    A read after ``ctime_ns`` (nanoseconds since the epoch) is a read of the link: it is the newest change time of
    its files once linked, or their newest access time if that lies later still, in the future. ``copy`` is what
    is there where that is not the dump itself.
    """

    ctime_ns: int
    copy: Identity | None = None


@dataclass(frozen=True, slots=True)
class LinkFailure:
    """Why one request failed.

    ``reason`` is ``changed``, ``missing``, ``unsafe``, ``open``, ``running``, ``verify_failed`` or ``link_error``;
    the ``detail`` of the last begins with the errno's name (``EXDEV: …``). ``proven_absent``: nothing made of the
    dump's files has the name, so the charge may be given back.
    """

    reason: Reason
    detail: str
    proven_absent: bool


class Presence(StrEnum):
    """What has become of a link in the tree."""

    INTACT = "intact"  # exactly the files that were recorded
    CHANGED = "changed"  # their inodes, rewritten since
    ABSENT = "absent"
    FETCHED = "fetched"  # gone, and read before: where the puller removes what it has
    OTHER = "other"  # something else has the name, or only a part of a folder is left
