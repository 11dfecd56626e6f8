"""Things to show, made up: so many VMs of every kind. What is looked at in a browser needs no host behind it."""

import datetime
import random

from core.enums import Evidence, Freshness, Reason
from exporters.page.shown import (
    COMING_DAYS,
    PAST_DAYS,
    Health,
    Level,
    Mark,
    NewestDump,
    PastDump,
    Release,
    Shown,
    Story,
    Today,
    Trouble,
    Turn,
    VmShown,
    WatchShown,
)

NOW = 1_795_430_000.0
HOUR, DAY = 3600.0, 86_400.0
GB = 10**9

#: Each is the name of a VM: what means something to a browser, what turns or hides text, what is too long.
HOSTILE = (
    "<script>hacked=1</script>",
    '"><img src=x onerror=hacked=1>',
    "' onmouseover='hacked=1",
    "{{ 7 * 7 }}<!--notice-->",
    "right\N{RIGHT-TO-LEFT OVERRIDE}to left",
    "zero\N{ZERO WIDTH SPACE}width",
    "עברית",
    "two\nlines",
    "not utf-8 \udcff",
    "a/b?c=d&e#f%20g",
    "x" * 255,
)


def shown(count: int, *, now: float = NOW) -> Shown:
    """``count`` VMs; from 100 on the hostile ones are among them."""
    dice = random.Random(count)
    names = [f"vm{number:04}" for number in range(count)]
    if count >= 100:
        names[: len(HOSTILE)] = HOSTILE
    vms = tuple(sorted((_vm(dice, name, now) for name in names), key=lambda one: -one.lateness))
    return Shown(
        as_of=now,
        took=0.25,
        host="host1.example",
        version="1.2.3",
        zone=datetime.UTC,
        troubles=_troubles(vms),
        advice=("the limit cannot keep the targets: say `tidegate force <b>`, or `--over-limit`",),
        today=_today(dice, names, now),
        queue=tuple(_turns(dice, names, now)),
        vms=vms,
        health=_health(now),
        story=lambda vm: _story(dice, vm, now),
        json={"status": dict, "plan": dict},
    )


def _vm(dice: random.Random, name: str, now: float) -> VmShown:
    lateness = dice.choice((0.1, 0.3, 0.7, 0.9, 1.3, 3.0))
    is_never = dice.random() < 0.1
    verdict = Freshness.NEVER if is_never else Freshness.STALE if lateness > 1 else Freshness.FRESH
    target = dice.choice((3, 8, 15)) * DAY
    age = None if is_never else lateness * target
    return VmShown(
        name=name,
        backup_set=dice.choice((None, "daily", "weekly", "<b>")),
        verdict=verdict,
        age=age,
        target=target,
        offsite_time=None if age is None else now - age,
        offsite_by=None if age is None else Evidence.READ,
        lateness=lateness,
        last_dump_failed=dice.random() < 0.1,
        on_hold=dice.random() < 0.05,
        forced=dice.random() < 0.05,
        dump=_dump(dice, name, now) if dice.random() < 0.95 else None,
        past=bytes(
            dice.choice((0, 0, Mark.DUMPED, Mark.RELEASED_BYTES, Mark.CONFIRMED, Mark.FAILED)) for _ in range(PAST_DAYS)
        ),
        coming=tuple(range(dice.randrange(7), COMING_DAYS, 7)),
    )


def _dump(dice: random.Random, name: str, now: float) -> NewestDump:
    reason = dice.choice((None, *Reason))
    return NewestDump(f"{name}.img", dice.randrange(1, 99) * GB, now - dice.random() * 9 * DAY, "pending", reason)


def _troubles(vms: tuple[VmShown, ...]) -> tuple[Trouble, ...]:
    late = tuple(one.name for one in vms if one.verdict is Freshness.STALE)
    now = [Trouble(Level.NOW, f"{len(late)} VMs stale", late)] if late else []
    return (*now, Trouble(Level.LATER, "1 VM with a failed dump", (vms[0].name,)))


def _today(dice: random.Random, names: list[str], now: float) -> Today:
    took = tuple(
        Release(name, f"{name}.img", 2 * GB, dice.choice(("linked", "confirmed")), now - HOUR) for name in names[:24]
    )
    used = sum(one.bytes for one in took if one.state == "confirmed") + GB
    outstanding = sum(one.bytes for one in took if one.state == "linked")
    return Today(70, now - 9 * HOUR, 90 * GB, GB, used, outstanding, 89 * GB - used - outstanding, 0, took, len(names))


def _turns(dice: random.Random, names: list[str], now: float) -> list[Turn]:
    turns = []
    for rank, name in enumerate(names, 1):
        reason = Reason.RELEASED if rank == 1 else dice.choice(list(Reason))
        leaves = dice.choice((None, now, now + 3 * DAY))
        copy = f"the off-site copy of {name} is 3d 4h old, its target is 7d"
        detail = f"{copy}; 6.1 GB does not fit into the 1.93 GB left today"
        turns.append(
            Turn(rank, name, None, f"{name}.img", rank * GB, now - DAY, reason.verdict, reason, detail, leaves)
        )
    return turns


def _health(now: float) -> Health:
    down = WatchShown("<i>second</i>", False, "it cannot be opened: No such file", now - DAY, 1.0, None, None, None)
    up = WatchShown("dumps", True, "", now - 60, 0.2, False, 9 * GB, GB)
    return Health((up, down), now - 3 * HOUR, 12, now + 21 * HOUR, now - HOUR)


def _story(dice: random.Random, vm: str, now: float) -> Story:
    dumps = [
        PastDump(
            f"{vm}-{days}.img", dice.randrange(1, 99) * GB, at, "confirmed", 70 - days, at + HOUR, at + DAY, "read", 5
        )
        for days in range(1, 40)
        for at in [now - days * DAY]
    ]
    waiting = PastDump(f"{vm}.img", GB, now - HOUR, "pending", None, None, None, None, None)
    return Story((f"{vm} has no copy off-site that Tidegate knows of.", "Its last dump failed."), (waiting, *dumps))
