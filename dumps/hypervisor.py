"""Which VMs the hypervisor of this host has: asked by its own commands."""

import re
import shutil
from collections.abc import Callable, Sequence

from core import process
from core.errors import FaultError
from core.filenames import printable
from core.units import format_size

#: A daemon that hangs is reported as one.
_ANSWER_SECONDS = 30.0
_MOST_BYTES = 16 * 1024 * 1024


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip()}


def _numbers(text: str) -> set[str]:
    """Of tables that begin with the number of each VM, by which Proxmox calls its dumps."""
    return set(re.findall(r"^\s*(\d+)\s", text, re.MULTILINE))


#: Each command that may be there, and how its answer is read.
_KNOWN: dict[tuple[str, ...], Callable[[str], set[str]]] = {
    ("virsh", "list", "--all", "--name"): _lines,
    ("qm", "list"): _numbers,
    ("pct", "list"): _numbers,
}


def machines(command: Sequence[str]) -> set[str]:
    """The names of all VMs, running or not. ``command`` (): whatever of virsh, qm and pct is there is asked.

    Raises FaultError where nobody answers.
    """
    if command:
        return _KNOWN.get(tuple(command), _lines)(_ask(command))
    there = {words: read for words, read in _KNOWN.items() if shutil.which(words[0])}
    if not there:
        raise FaultError(
            "[hypervisor]: there is none of virsh, qm and pct here; set `list` to a command that prints the VMs"
        )
    return {name for words, read in there.items() for name in read(_ask(words))}


def _ask(command: Sequence[str]) -> str:
    asked = f"[hypervisor]: {printable(' '.join(command))}"
    try:
        answer = process.run(command, _ANSWER_SECONDS, most_bytes=_MOST_BYTES)
    except OSError as error:
        raise FaultError(f"{asked}: cannot be run: {error.strerror}") from None
    if answer.status is None:
        raise FaultError(f"{asked}: no answer in {_ANSWER_SECONDS:.0f} s")
    if answer.status:
        raise FaultError(f"{asked}: {process.last_line(answer.errors) or process.how_it_ended(answer.status)}")
    if not answer.is_whole:  # VMs that were cut off would not be missed
        raise FaultError(f"{asked}: printed more than {format_size(_MOST_BYTES)}")
    return answer.output.decode(errors="replace")
