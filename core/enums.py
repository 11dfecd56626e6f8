"""The closed sets of words that the state, the plan, the command line and the metrics share.

A word that is stored, printed or exported stands here once and is spelt the same everywhere.
"""

from enum import StrEnum


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

    RELEASED = "released"  # the allowance is taken, the link may not stand yet
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


class Reason(StrEnum):
    """Why a dump leaves, or why it does not. DESIGN's closed set: one reason for every decision."""

    RELEASED = "released"
    OUTSTANDING = "outstanding"
    LIMIT_REACHED = "limit_reached"
    OVERSIZE = "oversize"
    TOO_OLD = "too_old"
    SUPERSEDED = "superseded"
    ALREADY_OFFSITE = "already_offsite"
    NO_GAIN = "no_gain"
    RUNNING = "running"
    OPEN = "open"
    CHANGED = "changed"
    MISSING = "missing"
    UNSAFE = "unsafe"
    AMBIGUOUS = "ambiguous"
    BAD_MARKER = "bad_marker"
    VERIFY_FAILED = "verify_failed"
    DUMP_FAILED = "dump_failed"
    ON_HOLD = "on_hold"
    BACKING_OFF = "backing_off"
    LINK_ERROR = "link_error"


class Verdict(StrEnum):
    """What a pass decided for one dump: ``granted`` means by this pass."""

    RELEASED = "released"
    HELD = "held"


class Choice(StrEnum):
    """By which rule a dump leaves today: the first of these that asks for it."""

    DEADLINE = "deadline"  # else a target would be missed
    WORTH = "worth"  # it belongs to those that make the copies newest
    FITS = "fits"  # there was room left for it


class Freshness(StrEnum):
    """How a VM's off-site copy stands against its target."""

    FRESH = "fresh"
    STALE = "stale"
    NEVER = "never"


class Evidence(StrEnum):
    """By what the storage is held to have a dump."""

    REPORT = "report"
    READ = "read"
    REMOVAL = "removal"
    PRESUMED = "presumed"
    MARK_SENT = "mark-sent"


#: Evidence of somebody who fetches.
FETCHED = frozenset({Evidence.REPORT, Evidence.READ, Evidence.REMOVAL})


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
    HELD = "held"  # a VM's dump cannot leave until somebody acts
    NOT_FETCHED = "not_fetched"  # the storage fetches nothing
    WATCH_DOWN = "watch_down"  # a watch folder
    DISK_SHORT = "disk_short"  # a watch folder has less room than min_free
    OVER_LIMIT = "over_limit"  # a VM's dump was let out above the limit, by the admin's word


class News(StrEnum):
    """How a trouble stands against what was told before."""

    NEW = "new"
    STILL = "still"
    OVER = "over"
