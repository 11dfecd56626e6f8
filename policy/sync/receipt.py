"""A storage's receipt: what it has checked of the list EXPECTED that it found in the export tree.

::

    tidegate-receipt 1
    expected 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    Total bytes sent: 1043
    Total bytes received: 188790115
    arrived vm1
    arrived vm2.qcow2

It belongs to one list, named by its SHA-256: one that comes late, or twice, confirms no other dumps under the same
names. The two lines of rsync's ``--stats --no-h`` may be missing. Its writer is not trusted.
"""

import re
from dataclasses import dataclass

from core.errors import UsageError
from core.filenames import is_single_component, printable
from policy.sync import rsync_log
from policy.sync.rsync_log import Transfer

#: A name takes 263 bytes at most; a tree of a hundred thousand links takes less than half of it.
MOST_BYTES = 64 * 1024 * 1024

_HEADING = "tidegate-receipt 1"
_NO_RECEIPT = f"not a receipt: its first two lines must be {_HEADING!r} and 'expected SHA256'"
_DIGEST = re.compile(r"expected ([0-9a-f]{64})")
_TOTAL = re.compile(r"Total bytes (?:sent|received): [0-9]{1,18}")
_ARRIVED = "arrived "


@dataclass(frozen=True, slots=True)
class Receipt:
    """Names of the export tree that arrived whole, of those in the list with this sha256."""

    expected: str
    arrived: frozenset[str]
    transfer: Transfer | None


def read(given: bytes) -> Receipt:
    """Raises UsageError that names the first wrong line; nothing of it is used then."""
    if len(given) > MOST_BYTES:
        raise UsageError(f"the receipt is larger than {MOST_BYTES // 1024 // 1024} MiB")
    try:
        heading, answers, *lines = given.decode("utf-8").removesuffix("\n").split("\n")
    except ValueError:
        raise UsageError(_NO_RECEIPT) from None
    digest = _DIGEST.fullmatch(answers)
    if heading != _HEADING or digest is None:
        raise UsageError(_NO_RECEIPT)
    totals = [line for line in lines if _TOTAL.fullmatch(line)]
    arrived = [line.removeprefix(_ARRIVED) for line in lines if line.startswith(_ARRIVED)]
    for number, line in enumerate(lines, start=3):
        if not (_TOTAL.fullmatch(line) or _names_one(line)):
            raise UsageError(f"line {number} of the receipt is no line of a receipt: {_shown(line)}")
    return Receipt(digest[1], frozenset(arrived), _transfer(totals))


def _transfer(totals: list[str]) -> Transfer | None:
    try:
        return rsync_log.read("\n".join(totals)) if totals else None
    except rsync_log.NoTransfer as error:
        raise UsageError(f"the receipt has no transfer: {error}") from None


def _names_one(line: str) -> bool:
    return line.startswith(_ARRIVED) and is_single_component(line.removeprefix(_ARRIVED))


def _shown(line: str) -> str:
    return printable(line[:80]) + ("…" if len(line) > 80 else "")
