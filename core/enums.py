"""The closed sets of words that the state, the plan, the command line and the metrics share.

A word that is stored, printed or exported stands here once and is spelt the same everywhere.
"""

from enum import StrEnum
from typing import NamedTuple


class DumpState(StrEnum):
    """Where one dump is in its life (ARCHITECTURE.md draws it as a table)."""

    PENDING = "pending"
    RELEASED = "released"
    LINKED = "linked"
    CONFIRMED = "confirmed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    CHANGED = "changed"
    MISSING = "missing"
    BAD = "bad"
    FAILED = "failed"
    REVOKED = "revoked"


#: States from which a dump does not come back: it needs no decision any more.
ENDED_STATES = frozenset({DumpState.CONFIRMED, DumpState.SUPERSEDED, DumpState.EXPIRED, DumpState.REVOKED})


class LinkState(StrEnum):
    """Where one row of the ledger is in its life."""

    RELEASED = "released"  # it is charged, the link may not stand yet
    LINKED = "linked"  # it stands in the export tree and nobody is known to have it
    CONFIRMED = "confirmed"  # the storage is held to have it
    CHANGED = "changed"  # taken back: its dump was rewritten
    MISSING = "missing"  # it vanished from the export tree
    REVOKED = "revoked"  # taken back by the admin or because nobody fetched it
    VOID = "void"  # its charge was given back: it never stood, or a newer dump took its place before anybody read it


class MarkerResult(StrEnum):
    """What came of looking at the markers of one dump, where something new was said."""

    RECORDED = "recorded"  # a dump that may leave
    REPEATED = "repeated"  # a new marker over a dump that is recorded already
    FAILED = "failed"
    RUNNING = "running"
    BAD = "bad"
    REJECTED = "rejected"  # the dump is not what its marker spoke of
    WITHDRAWN = "withdrawn"  # the marker of a dump not yet let out was removed


class ReleaseRule(StrEnum):
    """By which rule a dump leaves today: the first of these that asks for it."""

    UNREAD_LINK = "unread_link"  # it supersedes its VM's link, which nobody has read
    OVERSIZE = "oversize"  # larger than any day, it has this day for itself, or the first of its slices
    FORCED = "forced"  # by the admin
    DEADLINE = "deadline"  # else a target would be missed
    UTILITY = "utility"  # it belongs to those that make the copies newest
    FITS = "fits"  # there was room left for it


class Freshness(StrEnum):
    """How the age of a VM's off-site copy is against its target."""

    FRESH = "fresh"
    STALE = "stale"
    NEVER = "never"  # there is no copy
    NEW = "new"  # nor is the first one due: the VM is known for less than its target


class ExcludedSetting(NamedTuple):
    """A setting that a confirm mode cannot work with: ``section``, ``key`` and its ``word``, and what to say of it.

    Section ``watch``: of any watch folder. ``is_default``: the word that holds where none is written.
    """

    section: str
    key: str
    word: str
    sentence: str
    is_default: bool = False


class _EvidenceTraits(NamedTuple):
    """What evidence knows besides its word."""

    label: str
    is_fetched: bool = True
    by_access_time: bool = False
    is_confirm_mode: bool = True
    excludes: tuple[ExcludedSetting, ...] = ()


class Evidence(StrEnum):
    """By what the storage is held to have a dump.

    Each is its word, and knows a ``label``, as people say it. ``is_fetched``: somebody was seen to have fetched it;
    ``by_access_time``: that is seen in the access times of the files, which the mount must keep. An
    ``is_confirm_mode`` may be the value of [offsite] confirm; it ``excludes`` these settings.
    """

    label: str
    is_fetched: bool
    by_access_time: bool
    is_confirm_mode: bool
    excludes: tuple[ExcludedSetting, ...]

    def __new__(cls, word: str, *traits: _EvidenceTraits) -> "Evidence":  # noqa: D102 - Evidence("read") looks one up
        evidence = str.__new__(cls, word)
        evidence._value_ = word
        for name, value in traits[0]._asdict().items():
            setattr(evidence, name, value)
        return evidence

    READ = "read", _EvidenceTraits("read by the storage", by_access_time=True)
    REPORT = "report", _EvidenceTraits("reported by the sync")
    REMOVAL = (
        "removal",
        _EvidenceTraits(
            "fetched and removed by the storage",
            by_access_time=True,
            excludes=(
                ExcludedSetting(
                    "offsite",
                    "storage",
                    "mirror",
                    '"removal" is for a puller that removes what it has, and a mirror would then lose it; '
                    'set storage = "collect", or confirm = "read" or "report"',
                ),
                ExcludedSetting(
                    "watch",
                    "publish",
                    "reflink",
                    '"reflink" makes a copy that is no file of the dump, so that nobody can tell whether it was read '
                    'once it is removed; set confirm = "report" or "read" in [offsite], or publish = "hardlink"',
                ),
            ),
        ),
    )
    PRESUMED = (
        "presumed",
        _EvidenceTraits(
            "presumed",
            is_fetched=False,
            excludes=(
                ExcludedSetting(
                    "day",
                    "ends",
                    "sync",
                    '"presumed" needs a day that ends by itself; set `ends = "at"` in [day], or confirm = "read" or '
                    '"report"',
                    is_default=True,
                ),
                ExcludedSetting(
                    "offsite",
                    "storage",
                    "collect",
                    '"presumed" with storage = "collect" would drop links that nobody may have fetched; '
                    'set storage = "mirror", or confirm = "read" or "report"',
                ),
            ),
        ),
    )
    MARK_SENT = "mark-sent", _EvidenceTraits("reported with mark-sent", is_fetched=False, is_confirm_mode=False)


#: The values of [offsite] confirm.
CONFIRM_MODES = tuple(one for one in Evidence if one.is_confirm_mode)

#: Evidence of somebody who fetches.
FETCHED = frozenset(one for one in Evidence if one.is_fetched)


class DayEnd(StrEnum):
    """What ends a day: a sync that has passed, or a local time."""

    SYNC = "sync"
    AT = "at"


class Storage(StrEnum):
    """What the storage does with the export tree: mirror it, or collect what it finds."""

    MIRROR = "mirror"
    COLLECT = "collect"


class Publish(StrEnum):
    """What of a dump stands in the export tree: its own inode, or a copy that shares its blocks (xfs, btrfs)."""

    HARDLINK = "hardlink"
    REFLINK = "reflink"


class Links(StrEnum):
    """Whether a dump's files may have other names, as people rotate by hard link."""

    ANY = "any"
    STRICT = "strict"  # a name that somebody planted could be of any file of root's


class WatchMode(StrEnum):
    """How a watch folder is followed: kernel events and scans, or scans alone."""

    EVENTS = "events"
    POLL = "poll"


class VmFrom(StrEnum):
    """Which part of a dump's path names its VM."""

    AUTO = "auto"  # the name, or its folder where the name says nothing
    NAME = "name"
    FOLDER = "folder"


class Signals(StrEnum):
    """By what a program that writes no markers says that a dump is complete."""

    VZDUMP = "vzdump"  # the archive's final name, and its log beside it
    STATUS_OK = "status-ok"  # the file STATUS.ok in the dump's folder
    SUCCESS = "success"  # the file success in it


class Oversize(StrEnum):
    """What happens to a dump heavier than the whole daily limit."""

    HOLD = "hold"
    SPREAD = "spread"  # it leaves alone, and the days after it pay
    SLICES = "slices"  # a part each day, where this host pushes


class Force(StrEnum):
    """The admin's word that a VM's next dump comes first."""

    WITHIN_LIMIT = "within-limit"
    OVER_LIMIT = "over-limit"


class AdapterName(StrEnum):
    """What makes the dumps of a VM."""

    COMMAND = "command"  # any command of the admin's
    LIBVIRT = "libvirt"  # the VMs of libvirt, running or not


class DumpResult(StrEnum):
    """What became of one VM in a run of its backup set."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"  # the run was stopped before its turn


class Occasion(StrEnum):
    """A run of which somebody may be told when it begins and how it ended."""

    PASS = "pass"  # noqa: S105 - no password
    DUMP = "dump"
    SYNC = "sync"


class Trouble(StrEnum):
    """What a run finds that somebody should be told of."""

    FAILED = "failed"  # the run itself, or a part of it
    DUMP_FAILED = "dump_failed"  # a VM's last dump
    SHRUNK = "shrunk"  # a VM's last dump is far below its usual size
    STALE = "stale"  # a VM's off-site copy is past its target, or missing for so long
    BLOCKED = "blocked"  # a VM's dump cannot leave until somebody acts
    NOT_FETCHED = "not_fetched"  # the storage fetches nothing
    WATCH_DOWN = "watch_down"  # a watch folder
    DISK_SHORT = "disk_short"  # a watch folder has less room than min_free
    OVER_LIMIT = "over_limit"  # a VM's dump was let out above the limit, by the admin's word


class News(StrEnum):
    """How a trouble stands against what was told before."""

    NEW = "new"
    STILL = "still"
    OVER = "over"
