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
    "together": "two commands at once, the first stopped at a trace point",
    "clock": "three days around a change of local time, with a clock that is right or jumps back and ahead",
}

_WORDS = """\
`make torture` interrupts single commands, on a host whose storage mirrors and on one whose storage collects: a pass \
(new files and folders, each in place of each, rewritten dumps revoked, markers removed), a recording, `mark`, `hold`, \
`sync-started`, `synced`.
For each point the disk is put back to the instant before the command, inodes and all.
Right after the point no incomplete entry may be visible, each link must be charged, each link recorded as linked must \
exist, the storage must have had each confirmed dump, each dump must have its marker or have ended, and a sync may \
find no more than one limit that it has not had.
The next pass must succeed and leave ledger and tree equal, a further one must change nothing, and after a kill or a \
power cut the final result must be the same as without one.
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
        lines += ["", "To check that it finds defects, the disturbed command was given one:", ""]
        lines += ["| deliberate defect | found by | points tried until found |", "|---|---|--:|"]
        lines += [f"| {told} | {kind} | {one.tried if one.faults else '**never**'} |" for told, kind, one in caught]
    lines += [
        "",
        "A power cut leaves the writes up to an instant in the order in which they were made; "
        "a disk that exchanges writes between two flushes is not modelled.",
        "",
    ]
    return "\n".join(lines)
