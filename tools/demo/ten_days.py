"""Ten days in a minute: real dumps, the real watcher and passes, a real rsync, one limit, nothing faked.

Two scripts dump twelve VMs at the same time. Together the dumps weigh ten days of the limit; one fails, one is
heavier than a whole day. Three small VMs are dumped every third day. Each day a pass lets out what may leave
and a storage pulls it; what has come there is measured there. Whatever differs from what must be ends this with 1.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tools.demo import proof, reported
from tools.demo.demo_host import HERE, IO_TIMEOUT, Broken, World, start, wait_until
from tools.demo.proof import Cast, DayTold, Differs

DAYS = 10
LIMIT = 10_000_000
VMS = tuple(f"vm{number:02}" for number in range(1, 13))
#: The days before which the small VMs are dumped again.
DUMPED_AGAIN = (4, 7, 10)
_BAR = 40

_SHOWN_METRICS = (
    "tidegate_watch_up",
    "tidegate_markers_total",
    "tidegate_passes_total",
    "tidegate_day_limit_bytes",
    "tidegate_released_bytes_total",
    "tidegate_confirmed_bytes_total",
    "tidegate_confirmed_dumps_total",
    "tidegate_outstanding_bytes",
    "tidegate_dumps_waiting{",
    "tidegate_link_failures_total",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays the demo and returns its exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description="Ten days of Tidegate in a minute.")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="play in DIR, new or empty, and leave it there")
    keep: Path | None = parser.parse_args(arguments).keep
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        with _scratch(keep) as folder:
            _Play(console, World(folder, VMS)).run()
    except (Broken, Differs) as problem:
        loud = Console(stderr=True, highlight=False)
        loud.print(Text(f"demo: {problem}", style="bold red"), soft_wrap=True)
        if keep is None:
            loud.print("demo: to look into it: .venv/bin/python tools/demo/demo.py --keep DIR", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)


@contextmanager
def _scratch(keep: Path | None) -> Iterator[Path]:
    if shutil.which("rsync") is None:
        raise Broken("rsync is not installed here; install it (Debian: `apt-get install rsync`) and try again")
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tidegate-demo-") as name:
            yield Path(name).resolve()
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise Broken(f"{keep} is not empty; name a folder that is, or one that is not there yet")
    except OSError as error:
        raise Broken(f"{keep} cannot be used: {error.strerror}") from None
    yield keep.resolve()


class _Play:
    def __init__(self, console: Console, world: World) -> None:
        self._console = console
        self._world = world
        self._days: list[DayTold] = []
        self._begun = time.monotonic()

    def run(self) -> None:
        """Raises Broken and Differs."""
        self._say(f"[bold]Tidegate: ten days in a minute[/]   [dim]{self._world.folder}[/]")
        with ExitStack() as stack:
            stack.enter_context(self._world.watcher())
            cast = self._dump_all()
            stack.enter_context(self._world.rsync_daemon())
            self._say(f"\n[bold]{DAYS} days, each: tidegate pass, sync-started, rsync, synced[/]")
            for number in range(1, DAYS + 1):
                if number in DUMPED_AGAIN:
                    self._dump_again()
                self._live(number)
            self._close(cast)

    # --- the dumps

    def _dump_all(self) -> Cast:
        self._say("\n[bold]the night before: two dump scripts at the same time, the watcher beside them[/]")
        with self._console.status("dumping"):
            statuses = _run_scripts(self._world, "weekly.sh", "every-third-day.sh")
        for script, status in statuses.items():
            self._say(f"  {script} ended with {status}" + (", since one of its dumps failed" if status else ""))
        if list(statuses.values()) != [1, 0]:
            raise Differs(f"weekly.sh must end with 1 and every-third-day.sh with 0, not {statuses}")
        cast = proof.cast_of(self._world.dumps, LIMIT)
        if cast.vms != set(VMS):
            raise Differs(f"the scripts dump {sorted(cast.vms)} and should dump {list(VMS)}")
        self._await_markers(recorded=len(cast.can_leave | cast.oversize), failed=len(cast.failed))
        self._say(f"  {self._cast_told(cast)}; the watcher has recorded all of it")
        return cast

    def _cast_told(self, cast: Cast) -> str:
        dumps = self._world.dumps
        total = sum((dumps / name).stat().st_size for name in proof.dump_names(dumps))
        return (
            f"{len(cast.vms)} VMs, {_mb(total)} of dumps, {_mb(LIMIT)} a day may leave; "
            f"{' '.join(sorted(cast.failed))} failed, {' '.join(sorted(cast.oversize))} is heavier than a day"
        )

    def _dump_again(self) -> None:
        before = reported.sample(self._world.metrics(), 'tidegate_markers_total{state="recorded"}')
        _run_scripts(self._world, "every-third-day.sh")
        self._await_markers(recorded=int(before) + 3, failed=1)
        self._say("  [dim]in the night every-third-day.sh has dumped vm10 vm11 vm12 again[/]")

    def _await_markers(self, *, recorded: int, failed: int) -> None:
        """Until the running watcher tells so over HTTP."""

        def are_recorded() -> bool:
            metrics = self._world.metrics()
            series = [f'tidegate_markers_total{{state="{one}"}}' for one in ("recorded", "failed")]
            return [reported.sample(metrics, one) for one in series] == [recorded, failed]

        wait_until(f"the watcher recording {recorded} dumps and {failed} failure", are_recorded)

    # --- a day

    def _live(self, number: int) -> None:
        world = self._world
        with self._console.status(f"day {number}"):
            before = proof.copies(world.storage)
            plan = world.tidegate("pass")
            world.tidegate("sync-started")
            stats = world.pull()
            report = world.tidegate("synced")
        arrived = proof.arrived(before, proof.copies(world.storage))
        day = reported.day_of(number, plan, arrived, proof.transferred(stats))
        self._show_day(day, sum(one["reason"] == "limit_reached" for one in plan["decisions"]))
        proof.check_day(day, LIMIT)
        reported.check_day(day, plan, report)
        self._days.append(day)

    def _show_day(self, day: DayTold, waiting: int) -> None:
        filled = int(_BAR * min(1.0, day.arrived / LIMIT))
        full, free = ("█", "░") if self._console.encoding.startswith("utf") else ("#", ".")
        bar = f"[cyan]{full * filled}[/][dim]{free * (_BAR - filled)}[/]"
        left = f"{' '.join(day.vms):<16}[dim]{f'{waiting} wait' if waiting else ''}[/]"
        self._say(f"  day {day.number:>2}  {_mb(day.arrived):>7} of {_mb(LIMIT)}  {bar}  {left}")

    # --- the end

    def _close(self, cast: Cast) -> None:
        status = self._world.tidegate("status")
        metrics = self._world.metrics()
        self._show_status()
        self._show_metrics(metrics)
        self._compare(cast)
        reported.check_metrics(metrics, cast, sum(day.arrived for day in self._days))
        line, problems = reported.verdict(self._days, status, cast, LIMIT)
        took = time.monotonic() - self._begun
        self._say(f"\n[bold {'red' if problems else 'green'}]{line}[/]   [dim]{took:.0f} s[/]")
        if problems:
            raise Differs("; ".join(problems))

    def _show_status(self) -> None:
        self._say("\n[bold]$ tidegate status[/]")
        self._console.file.flush()
        if start(self._world.command("status")).wait(IO_TIMEOUT):
            raise Broken("tidegate status failed")

    def _show_metrics(self, metrics: str) -> None:
        self._say("\n[bold]$ curl /metrics[/]   [dim]of the running watcher, what matters here[/]")
        for line in metrics.splitlines():
            if line.startswith(_SHOWN_METRICS) and not line.endswith("} 0.0"):
                self._console.print(Text(f"  {line}"))

    def _compare(self, cast: Cast) -> None:
        same = proof.compare(self._world.dumps, self._world.storage, cast.can_leave)
        pulled = sum(day.arrived for day in self._days)
        self._say(
            f"\n{len(cast.can_leave)} files in the storage equal their dumps, byte for byte: {_mb(same)}; "
            f"pulled in {len(self._days)} days: {_mb(pulled)}"
        )

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


def _run_scripts(world: World, *names: str) -> dict[str, int]:
    """Runs dump scripts at the same time, each to its end."""
    log = (world.folder / "dump.log").open("ab")
    with log, ExitStack() as stack:
        running = {}
        for name in names:
            running[name] = start(["sh", str(HERE / name), str(world.dumps)], stdout=log, stderr=log)
            stack.callback(running[name].kill)
        try:
            return {name: process.wait(IO_TIMEOUT) for name, process in running.items()}
        except subprocess.TimeoutExpired as late:
            raise Broken(f"a dump script has not ended after {late.timeout:.0f} seconds") from None


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
