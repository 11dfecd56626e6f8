"""Why a dump leaves or does not, as an object: a reason knows its verdict, severity, label and hint."""

from enum import IntEnum, StrEnum
from functools import partial
from typing import NamedTuple

from core.enums import DumpState


class Severity(IntEnum):
    """How badly something needs a person; the numbers are the exit codes that Nagios knows."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Verdict(StrEnum):
    """What a pass decided for one dump."""

    RELEASED = "released"  # by this pass
    WAITING = "waiting"  # by itself it will leave
    BLOCKED = "blocked"  # a person must act
    DONE = "done"  # nothing to do


_BLOCKING = frozenset({DumpState.CHANGED, DumpState.MISSING, DumpState.BAD, DumpState.FAILED})


class _Traits(NamedTuple):
    """What a reason knows besides its word."""

    verdict: Verdict
    label: str
    hint: str = ""
    severity: Severity = Severity.OK
    dump_state: DumpState = DumpState.PENDING
    unfinished: bool = False
    recorded: bool = False


_waiting = partial(_Traits, Verdict.WAITING)
_blocked = partial(_Traits, Verdict.BLOCKED, severity=Severity.WARNING)
_done = partial(_Traits, Verdict.DONE)


class Reason(StrEnum):
    """Why a dump leaves, or why it does not: one reason for every decision.

    Each is its word, and knows its ``verdict``, the ``severity`` of that, a ``label`` for a column that is read at a
    glance, and a ``hint``: what to do about it, "" where nothing is. A recorded dump with this reason is in
    ``dump_state``. ``unfinished``: the dump was never completed, so that an older one of its VM is what could leave.
    ``recorded``: it is recorded with the dump, where that was looked at, and holds as long as it is.
    """

    verdict: Verdict
    label: str
    hint: str
    severity: Severity
    dump_state: DumpState
    unfinished: bool
    recorded: bool

    def __new__(cls, word: str, *traits: _Traits) -> "Reason":  # noqa: D102 - Reason("oversize") looks one up
        reason = str.__new__(cls, word)
        reason._value_ = word
        for name, value in traits[0]._asdict().items():
            setattr(reason, name, value)
        return reason

    @classmethod
    def of_state(cls, state: DumpState) -> "Reason | None":
        """Why a dump in this state cannot leave, where none is recorded with it."""
        return next((one for one in cls if one.dump_state is state), None) if state in _BLOCKING else None

    RELEASED = "released", _Traits(Verdict.RELEASED, "leaves next")

    NEXT_PASS = "next_pass", _waiting("waits for the next pass")  # no pass has decided yet
    LIMIT_REACHED = "limit_reached", _waiting("waits for room")
    OUTSTANDING = "outstanding", _waiting("not fetched yet")
    RUNNING = "running", _waiting("being written", unfinished=True, recorded=True)
    OPEN = "open", _waiting("still open", unfinished=True, recorded=True)
    BACKING_OFF = "backing_off", _waiting("was not fetched", "Check that the storage fetches this VM's dumps.")

    OVERSIZE = (
        "oversize",
        _blocked(
            "larger than a day",
            'Raise [limit] daily, set [limit] oversize = "slices" or "spread", shrink the dump, force it with '
            "--over-limit, or copy it yourself and report it with mark-sent.",
        ),
    )
    CHANGED = (
        "changed",
        _blocked(
            "changed",
            "The dump was written to after its marker: mark it again once it is complete.",
            dump_state=DumpState.CHANGED,
            recorded=True,
        ),
    )
    MISSING = (
        "missing",
        _blocked("missing", "Put the dump back, or remove its marker.", dump_state=DumpState.MISSING, recorded=True),
    )
    UNSAFE = (
        "unsafe",
        _blocked(
            "unsafe", "A dump is plain files and folders on one filesystem, without symbolic links.", recorded=True
        ),
    )
    AMBIGUOUS = (
        "ambiguous",
        _blocked(
            "ambiguous name",
            'Give each VM a folder named after it and set [[watch]] vm = "folder", set vm_pattern or prefix, or name '
            "the VM in the marker.",
        ),
    )
    BAD_MARKER = (
        "bad_marker",
        _blocked("bad marker", "Write the marker again with `tidegate mark`.", dump_state=DumpState.BAD, recorded=True),
    )
    VERIFY_FAILED = (
        "verify_failed",
        _blocked(
            "failed its checks",
            "Make the dump again: it is not what its marker declares, or a check of its backup set failed.",
            recorded=True,
        ),
    )
    DUMP_FAILED = (
        "dump_failed",
        _blocked(
            "dump failed", "See the log of the dump job.", dump_state=DumpState.FAILED, unfinished=True, recorded=True
        ),
    )
    ON_HOLD = "on_hold", _blocked("on hold", severity=Severity.OK)
    LINK_ERROR = (
        "link_error",
        _blocked("cannot be linked", "The next pass tries again once the cause is gone.", recorded=True),
    )

    ALREADY_OFFSITE = "already_offsite", _done("off-site")
    SUPERSEDED = "superseded", _done("a newer one is there")
    TOO_OLD = "too_old", _done("too old")
    NO_GAIN = "no_gain", _done("no gain")
