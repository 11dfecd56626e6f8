"""What commands and the service take beside a long history: VMs that have each been dumped ten times."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tools.bench.bench_host import BenchHost
from tools.bench.latency import watched
from tools.bench.paired import Cost, run
from tools.bench.results_page import Section, seconds

VMS = (1_000, 10_000, 100_000)
#: Of each VM: nine that were off-site once, of which only the records are left, and a newer one that waits.
DUMPS = 10
DAY = 86_400.0


def measure(scratch: Path) -> Section:
    """One host for each number of VMs."""
    columns = [_column(scratch / str(count), count) for count in VMS]
    names = list(columns[0])
    heading = ["", *(f"{count:,} VMs" for count in VMS), "growth of the last step"]
    rows = [[name, *(_shown(column[name]) for column in columns), _growth(columns, name)] for name in names]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (heading, ["---", *["---:"] * (len(heading) - 1)], *rows))
    return Section(
        "A long history",
        f"Each VM was dumped {DUMPS} times: {DUMPS - 1} of its dumps have been off-site, the last of these stands in "
        "the export tree, and a newer one waits. A tenth of them fits the limit. Seconds and the most memory of the "
        "whole command; of the service until it listens and has scanned. Ten times as many VMs may take ten times "
        "as much.",
        "",
        (),
        after=table,
    )


def _column(folder: Path, count: int) -> dict[str, Cost]:
    host = BenchHost(folder)
    live(host, count)
    some_vm = f"vm{count // 2:06}"
    used = {
        "start of `watch`": _start(host),
        "`status`": run(host.command("status")),
        "`explain` of one VM": run(host.command("explain", some_vm)),
        "`plan`": run(host.command("plan")),
        "`pass`": run(host.command("pass")),
        "`pass` once more": run(host.command("pass")),
    }
    host.remove()
    return used


def live(host: BenchHost, count: int) -> None:
    """Lets one dump of each VM out for real, tells of the eight before it, and has a newer one recorded."""
    names = host.dump(count)
    host.mark(names)
    run(host.command("pass"))
    host.limit(count * 2048 // 10)
    run(host.command("synced", "--all"))
    _tell_of_older(host.folder / "state.db")
    newer = host.dump(count, suffix="-2026-11-23")
    host.mark(newer)
    host.record()


def _tell_of_older(state: Path) -> None:
    """Copies the day with its dumps and links to as many days before."""
    with closing(sqlite3.connect(state)) as connection, connection:
        for age in range(1, DUMPS - 1):
            moved = f"+ {age} * 10000000"
            older = {"path": f"path || cast('-{age}' as blob)", "id": f"id {moved}", "has_marker": "0"}
            _copy(connection, "day", {"number": f"number - {age}"}, age, "number = 1")
            _copy(connection, "dump", older, age)
            links = {"id": f"id {moved}", "dump_id": f"dump_id {moved}", "day": f"day - {age}", "in_tree": "0"}
            _copy(connection, "link", links, age)


def _copy(
    connection: sqlite3.Connection, table: str, changed: dict[str, str], age: int, which: str = "id < 10000000"
) -> None:
    columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
    times = {name: f"{name} - {age * DAY}" for name in columns if name.endswith("_at") or name == "dump_time"}
    values = [{**times, **changed}.get(name, name) for name in columns]
    named = ", ".join(f'"{name}"' for name in columns)
    connection.execute(f"insert into {table} ({named}) select {', '.join(values)} from {table} where {which}")


def _start(host: BenchHost) -> Cost:
    """Until it listens and has looked at every marker."""
    with watched(host) as (_, pid, seconds_to_listen):
        return Cost(seconds_to_listen, 0.0, _most_held(pid))


def _most_held(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _shown(use: Cost) -> str:
    return f"{seconds(use.wall)}, {use.memory / 1e6:.0f} MB"


def _growth(columns: Sequence[dict[str, Cost]], name: str) -> str:
    before, last = (column[name] for column in columns[-2:])
    return f"{last.wall / before.wall:.1f} ×, memory {last.memory / before.memory:.1f} ×"
