"""Markers that come faster than anybody can look: how many each contestant never hears of."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from tools.bench.contestants import Contestant, Tidegate, listening, send, wait_for_all
from tools.bench.markers import Ground, ground
from tools.bench.peer_programs import Peers, peers
from tools.bench.results_page import Aim, Section

SIZES = (10_000, 100_000)
LAYOUTS = (1, 1000)
STOPPED = 30_000
FOLDERS = 20_000
LATER = 100
#: Who hears nothing new for so long has heard all that he will. watchman waits until a burst has settled.
_QUIET_SECONDS = 10.0

#: What happens: given the contestant and the dumps, it marks them, and returns when the clock was started.
Deed = Callable[[Contestant, Ground], float]


def measure(scratch: Path) -> Section:
    """Bursts while everybody listens."""
    here = peers()
    everybody: tuple[Contestant, ...] = (Tidegate(), *here.found)
    columns: dict[str, dict[str, str]] = {}
    ours: list[int] = []
    for folders in LAYOUTS:
        for count in SIZES:
            with ground(count, folders) as dumps:
                cells = {one.name: _cell(one, dumps, scratch, _mark_all) for one in everybody}
            ours.append(cells["Tidegate"][0])
            columns[f"{count:,} in {_folders(folders)}"] = {name: text for name, (_, text) in cells.items()}
    return Section(
        "A burst of markers: how many are lost",
        "Each marker is written beside its dump and renamed there, which is the hardest case for a listener. The dumps "
        "lie in memory, so that nothing slows the writer down; Tidegate's state lies on the disk, and a marker "
        "counts as reported when its dump is recorded there. Lost markers, and behind them the seconds from the "
        "first marker to the last that was reported.",
        "",
        (),
        (Aim("0 lost in every run", f"{max(ours)}", max(ours) == 0),),
        after=table(columns, here),
    )


def measure_stopped(scratch: Path) -> Section:
    """A burst while nobody can listen, and 20,000 folders after that."""
    here = peers()
    everybody: tuple[Contestant, ...] = (Tidegate(), *here.found)
    columns: dict[str, dict[str, str]] = {}
    ours: list[int] = []
    for title, count, folders in (
        (f"{STOPPED:,} in one folder", STOPPED, 1),
        (f"one in each of {FOLDERS:,} folders", FOLDERS + LATER, FOLDERS),
    ):
        with ground(count, folders) as dumps:
            cells = {one.name: _cell(one, dumps, scratch, _mark_stopped) for one in everybody}
        ours.append(cells["Tidegate"][0])
        columns[title] = {name: text for name, (_, text) in cells.items()}
    return Section(
        "A burst while the listener is stopped: how many are lost",
        f"SIGSTOP, the burst, SIGCONT: the kernel's queue overflows. A second later come {LATER} more, which are lost "
        "by who is deaf then. Lost markers, and the seconds from SIGCONT to the last marker that was told. Tidegate's "
        "next scan by the clock is five minutes away.",
        "",
        (),
        (Aim("0 lost after at most one scan for each overflow", f"{max(ours)}", max(ours) == 0),),
        after=table(columns, here),
    )


def table(columns: dict[str, dict[str, str]], here: Peers) -> str:
    """A row for each contestant, and a sentence for those that are not here."""
    names = dict.fromkeys(name for cells in columns.values() for name in cells)
    lines = [
        f"| | {' | '.join(columns)} |",
        f"|---|{'---:|' * len(columns)}",
        *[f"| {name} | {' | '.join(cells[name] for cells in columns.values())} |" for name in names],
    ]
    if here.missing:
        lines += ["", f"Not measured here: {', '.join(here.missing)}."]
    return "\n".join(lines)


def _cell(one: Contestant, dumps: Ground, scratch: Path, deed: Deed) -> tuple[int, str]:
    with listening(one, dumps.all_folders(), scratch / "contestant"):
        begun = deed(one, dumps)
        told = wait_for_all(one, dumps.count, _QUIET_SECONDS)
        took = time.perf_counter() - begun - (_QUIET_SECONDS if told < dumps.count else 0)
    dumps.clear()
    return dumps.count - told, f"{dumps.count - told:,} ({took:.1f} s)"


def _mark_all(_one: Contestant, dumps: Ground) -> float:
    begun = time.perf_counter()
    dumps.mark(dumps.count)
    return begun


def _mark_stopped(one: Contestant, dumps: Ground) -> float:
    send(one, signal.SIGSTOP)
    dumps.mark(dumps.count - LATER)
    send(one, signal.SIGCONT)
    begun = time.perf_counter()
    time.sleep(1)
    dumps.mark(LATER)
    return begun


def _folders(count: int) -> str:
    return "one folder" if count == 1 else f"{count:,} folders"
