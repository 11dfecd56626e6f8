"""The account as Markdown, for docs/RELIABILITY.md."""

import os
from collections.abc import Mapping, Sequence

from tools.torture.points import Found

HEADING = "## Torture"

#: What each kind does, as its row in the account.
TOLD = {
    "kill": "SIGKILL in place of a system call that changes something on the disk",
    "errors": "an error (EIO, ENOSPC, EMLINK, EXDEV, EPERM, EROFS …) in place of a system call that can fail",
    "power": "a power cut after a write to the disk: ext4, xfs and btrfs, state and tree both on it",
    "together": "two commands at once, the first standing still at a trace point",
    "clock": "three days around a change of local time, with a clock that is right or jumps back and ahead",
}

_WORDS = """\
`make torture` cuts single commands off, in the days of a host that mirrors and of one that collects: a pass (new \
files and folders, each in place of each, rewritten dumps taken back, markers removed), a recording, `mark`, `hold`, \
`sync-started`, `synced`.
For each point the disk is put back to the instant before the command, inodes and all.
Right after the point nothing half-made may be visible, what stands must be charged, what is recorded as linked must \
stand, what is confirmed the storage must have had, each dump must have its marker or its end, and a sync may find no \
more than one limit that it has not had.
The next pass must end well and leave ledger and tree the same, a further one must change nothing, and after a kill or \
a power cut all must come to what it comes to without one.
"""


def section(found: Mapping[str, Found], all_points: Mapping[str, int], caught: Sequence[tuple[str, str, Found]]) -> str:
    """``all_points``: how many there were to choose from.

    ``caught``: each defect, the kind of disturbance that looked for it, and what that has found.
    """
    lines = [HEADING, "", *_WORDS.splitlines(), ""]
    is_whole = all(one.tried == all_points[kind] for kind, one in found.items())
    share = "" if is_whole else ", here a share of the points, evenly chosen; `make torture` tries them all"
    lines += [f"On {os.cpu_count()} cores{share}:", ""]
    lines += ["| what is done | points | tried | violations | minutes |", "|---|--:|--:|--:|--:|"]
    for kind, one in found.items():
        row = (
            TOLD[kind],
            f"{all_points[kind]:,}",
            f"{one.tried:,}",
            f"**{len(one.faults)}**",
            f"{one.seconds / 60:.1f}",
        )
        lines.append(f"| {' | '.join(row)} |")
    if caught:
        lines += ["", "That it would see a defect is seen by giving the disturbed command one:", ""]
        lines += ["| deliberate defect | is given away by | points tried until it was |", "|---|---|--:|"]
        lines += [f"| {told} | {kind} | {one.tried if one.faults else '**never**'} |" for told, kind, one in caught]
    lines += [
        "",
        "A power cut leaves the writes up to an instant in the order in which they were made; "
        "a disk that exchanges writes between two flushes is not modelled.",
        "",
    ]
    return "\n".join(lines)
