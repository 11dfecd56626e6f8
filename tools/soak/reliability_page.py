"""The account as Markdown, and its place in docs/RELIABILITY.md."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from core.filenames import printable
from tests.host import ROOT
from tools.soak.account import Account, Latency
from tools.soak.run import Play
from tools.soak.watch_process import Service

PAPER = ROOT / "docs" / "RELIABILITY.md"
HEADING = "## Soak"
_MOST_SHOWN = 20


def section(found: Account, play: Play, minutes: float) -> str:
    """All that is to be said of one soak."""
    services, doings = play.services, play.doings()
    lines = [
        HEADING,
        "",
        f"`make soak MINUTES={minutes:g}` (seed {play.seed}) on {os.cpu_count()} cores: {len(services)} real services, "
        "each with its own state, and scripts that mark dumps in every known way, while the services are killed, "
        "terminated, stopped and made to overflow, and a disk is unmounted and mounted.",
        "",
        *_table(("", ""), _totals(found, doings, services)),
        "",
        "From the marker to its row in the state, as seen from outside:",
        "",
        *_table(("", "markers", "p50", "p99", "longest"), _latencies(found)),
        "",
        *_table(("how it was marked", "markers", "p50", "p99", "longest"), _ways(found)),
        "",
        "A copied marker may exist before its dump: such a dump is checked again after 1, 2, 4 … s, and by "
        f"each scan, here every {play.scan_seconds} s.",
        "",
    ]
    return "\n".join(lines)


def faults(found: Account, play: Play) -> list[str]:
    """What makes the soak fail, a line each; empty when all is well."""
    lost = [f"missing: {one.way}: {one.service}/{one.watch}/{printable(one.path)}" for one in found.missing]
    lines = lost[:_MOST_SHOWN] + [f"recorded twice: {printable(one)}" for one in found.twice[:_MOST_SHOWN]]
    lines += [] if found.written else ["nothing was written"]
    lines += [f"failed itself: {name}" for name in play.failed]
    for service in play.services:
        lines += [f"{service.name}: ended by itself with {code}" for code in service.unasked]
        lines += [f"{service.name}: {service.traces()} traces in its log"] if service.traces() else []
        lines += [f"{service.name}: ended with {code}" for code in service.endings if code not in (0, -9)]
    return lines


def put_into(paper: Path, text: str) -> None:
    """Replaces the section of this heading, its first line, in the paper, or adds it."""
    before = paper.read_text() if paper.exists() else "# Reliability\n"
    heading = re.escape(text.partition("\n")[0])
    section = re.compile(rf"^{heading}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if section.search(before):
        paper.write_text(section.sub(lambda _: f"{text}\n", before).rstrip("\n") + "\n")
    else:
        paper.write_text(f"{before.rstrip()}\n\n{text}")


def _totals(found: Account, doings: Counter[str], services: Sequence[Service]) -> list[tuple[str, ...]]:
    endings = sum((service.endings for service in services), Counter[int]())
    return [
        ("markers written", f"{found.written:,}"),
        ("recorded", f"{found.written - len(found.missing):,}"),
        ("**missing**", f"**{len(found.missing)}**"),
        ("**recorded twice**", f"**{len(found.twice)}**"),
        ("restarts", f"{sum(endings.values()) - len(services)}"),
        *[(f"… {what.removeprefix('end: ')}", f"{count}") for what, count in sorted(doings.items()) if "end: " in what],
        *_sums(doings, "overflow"),
        ("… counted by the services", f"{sum(service.counter('watch_overflows') for service in services)}"),
        *_sums(doings, "remount"),
        *[
            (f"`tidegate {what[:-3]}`, exit code {what[-1]}", f"{doings[what]}")
            for what in sorted(doings)
            if _is_pass(what)
        ],
        (
            "markers that a scan found and no event had announced: after an overflow or a remount",
            f"{sum(service.counter('missed_events') for service in services):,}",
        ),
        ("dumps released", f"{sum(service.released() for service in services):,}"),
        ("… that ended", f"{sum(service.ended() for service in services):,}"),
    ]


def _is_pass(what: str) -> bool:
    return what.startswith(("pass: ", "sync"))


def _sums(doings: Counter[str], kind: str) -> list[tuple[str, ...]]:
    parts = [(f"… {what.partition(': ')[2]}", f"{count}") for what, count in sorted(doings.items()) if kind in what]
    return [(f"{kind}s", f"{sum(int(count) for _, count in parts)}"), *parts]


def _latencies(found: Account) -> list[tuple[str, ...]]:
    rows = [
        ("while nothing disturbed the service", found.alone),
        ("all, also those written while it was down", found.everything),
    ]
    return [_row(name, latency.count, latency) for name, latency in rows if latency is not None]


def _ways(found: Account) -> list[tuple[str, ...]]:
    return [_row(way, count, latency) for way, (count, latency) in found.by_way.items()]


def _row(name: str, count: int, latency: Latency) -> tuple[str, ...]:
    return (name, f"{count:,}", *(_seconds(one) for one in (latency.p50, latency.p99, latency.most)))


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    aligned = "|---|" + "--:|" * (len(heading) - 1)
    return [f"| {' | '.join(heading)} |", aligned, *(f"| {' | '.join(row)} |" for row in rows)]
