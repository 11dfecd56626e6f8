"""Links alone, with all their checks and lasting at the end, beside ``cp -al`` and others that check nothing."""

import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.fs.fingerprint import allowed_owners, identify
from core.fs.openat import open_folder
from policy.export import ExportTree, LinkRequest, Published
from tools.bench.paired import Cost, median, ratios, rounds, run, timed, walls
from tools.bench.report import Aim, Line, Section, each_second, times

AIM = 1.5
ROUNDS = 3
#: An `ln` for each file takes a millisecond: a rate is known from few.
_LOOPED = 1_000
#: Of more files the slow ones say nothing else.
_ALL_COMPARED = 10_000
_DISKS = {"ext4": ("mkfs.ext4", "-q", "-N", "500000"), "xfs": ("mkfs.xfs", "-q")}
_CASES = {"10,000 dumps": (10_000, False), "100,000 dumps": (100_000, False), "one of 100,000 files": (100_000, True)}


def measure(dry_run: Path) -> Section:
    """Each filesystem on a disk of its own, in a file below ``scratch``; needs root."""
    lines, found = [], []
    for kind in _DISKS:
        with _disk(kind, dry_run) as disk:
            for name, (count, is_folder) in _CASES.items():
                costs = _costs(disk / name.replace(" ", "-"), count, is_folder=is_folder)
                copied = _rates(costs["cp -al"], count)
                found.append(median(ratios(walls(costs["Tidegate"]), walls(costs["cp -al"]))))
                lines += [
                    Line(f"{kind}, {name}: {who}", _rates(cost, _LOOPED if who == "ln" else count), each_second, copied)
                    for who, cost in costs.items()
                ]
    return Section(
        "Links, lasting at the end",
        "Files of one byte. Tidegate opens each by descriptor, compares it with its record, takes a lease on it, links "
        "the descriptor, compares what was made, and makes all of it lasting. `cp -al` links by name and compares "
        f"nothing; behind it, `rsync -a --link-dest` and a loop of `ln` over {_LOOPED:,} files comes `sync -f`. "
        f"{ROUNDS} rounds; links a second.",
        "`cp -al`",
        tuple(lines),
        (
            Aim(
                f"within {AIM} × the time of `cp -al`", f"{times(min(found))} to {times(max(found))}", max(found) <= AIM
            ),
        ),
        "The link itself is two thirds of what Tidegate takes in the kernel and nearly all of what `cp` does; the rest "
        "is the two opens, the lease and the second look at each file, none of which `cp` makes.",
    )


def _rates(costs: list[Cost], count: int) -> list[float]:
    return [count / cost.wall for cost in costs]


def _costs(folder: Path, count: int, *, is_folder: bool) -> dict[str, list[Cost]]:
    source = folder / "dumps" / "vm" if is_folder else folder / "dumps"
    source.mkdir(parents=True)
    for number in range(count):
        (source / f"{number:06}").write_bytes(b"x")
    os.sync()
    contestants: dict[str, Callable[[int], Cost]] = {
        "Tidegate": lambda _: _published(folder, is_folder=is_folder),
        "cp -al": lambda _: _script(folder, source, 'cp -al "$1" "$2"'),
    }
    if count == _ALL_COMPARED:
        contestants["rsync --link-dest"] = lambda _: _script(folder, source, 'rsync -a --link-dest="$1" "$1/" "$2"')
        contestants["ln"] = lambda _: _script(folder, source, _LN_LOOP)
    return rounds(ROUNDS, contestants)


_LN_LOOP = f'mkdir "$2"; ls "$1" | head -{_LOOPED} | while read -r x; do ln "$1/$x" "$2/$x"; done'


def _published(folder: Path, *, is_folder: bool) -> Cost:
    with open_folder(folder / "dumps") as opened:
        owners = allowed_owners(opened)
        names = ["vm"] if is_folder else os.listdir(opened)
        found = [identify(opened, name, owners) for name in names]
    wanted = [
        LinkRequest(number, folder / "dumps", name, name, identity, may_replace=False)
        for number, (name, identity) in enumerate(zip(names, found, strict=True))
    ]
    (folder / "export").mkdir()
    outcomes: dict[int, object] = {}
    gc.disable()  # as a command does
    cost = timed(lambda: outcomes.update(ExportTree(folder / "export" / ".rsync").publish(wanted)))
    gc.enable()
    if not all(isinstance(outcome, Published) for outcome in outcomes.values()):
        raise RuntimeError("some links could not be made")
    shutil.rmtree(folder / "export")
    return cost


def _script(folder: Path, source: Path, script: str) -> Cost:
    target = folder / "copy"
    cost = run(["sh", "-c", f'{script} && sync -f "$2"', "sh", str(source), str(target)])
    shutil.rmtree(target)
    return cost


@contextmanager
def _disk(kind: str, dry_run: Path) -> Iterator[Path]:
    image, point = dry_run / f"{kind}.image", dry_run / kind
    with image.open("wb") as file:
        file.truncate(4 << 30)
    point.mkdir()
    subprocess.run([*_DISKS[kind], image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)
        image.unlink()
