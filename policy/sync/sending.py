"""The runs of rsync that one export tree takes, and what they tell has arrived."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from core.config.network_settings import Push
from core.config.settings import WatchFolder
from core.filenames import printable
from core.state.ledger import LinkRow
from core.state.slices import UnderWay
from policy.passes import slices
from policy.sync.command import Job
from policy.sync.quota import ByteBudget
from policy.sync.rsync import Progress, Ran, run
from policy.sync.rsync_log import Transfer

log = logging.getLogger("tidegate.policy")

#: Of a sync's bytes one part in so many is kept for the comparison, or what the names need if that is more.
_FOR_COMPARING = 1000
_BYTES_A_NAME = 100
_BYTES_A_LIST = 4096

#: With less than this rsync does not come to the first byte of a file.
_LEAST_SLICE = 4096

#: What a run comes to that has nothing to do.
_NOTHING = Ran(0, 0, 0, was_cut=False, complaint="", name="", files=[])

#: rsync's own statuses: some files could not be sent, some vanished, some were not deleted.
PASSED = frozenset({0, 23, 24, 25})


class Source(NamedTuple):
    """The export tree that is sent, and how."""

    push: Push
    watch: WatchFolder

    def stands(self) -> bool:
        """False before anything was ever let out: then there is nothing to send."""
        return self.watch.export.is_dir()

    def job(self, log_file: Path, *options: str, only: LinkRow | None = None) -> Job:
        """One run of rsync for the whole tree, or for one link of it."""
        source = f"{self.watch.export}/{'' if only is None else only.export_name}"
        return Job(self.push, self.watch, source, log_file, options)


class SliceSent(NamedTuple):
    """Of a dump that leaves in slices: bytes that have crossed for it in all, its size, and whether it is there."""

    link: LinkRow
    sent: int
    has_arrived: bool


class Sending:
    """The runs of rsync for one tree: the transfer; where that does not tell what arrived, a comparison; the slices.

    The slices come last. Whatever the others need for names and checksums beside what they were charged for, the
    slices do without.
    """

    def __init__(self, source: Source, byte_budget: ByteBudget, folder: Path, tell: Callable[[Progress], None]) -> None:
        self.byte_budget = byte_budget
        self.received = 0
        self.under_way: dict[LinkRow, UnderWay] = {}
        self._source = source
        self._folder = folder
        self._tell = tell
        self._files: dict[LinkRow, frozenset[str]] = {}
        self._there: set[str] = set()
        self._crossed: Counter[str] = Counter()
        self._cut_slices = 0

    @property
    def was_cut(self) -> bool:
        """Whether the day's bytes, or those of a slice, were gone before everything was."""
        return self.main.was_cut or self._cut_slices > 0

    def run(self, files: dict[LinkRow, frozenset[str]], under_way: dict[LinkRow, UnderWay]) -> None:
        """Sends the tree; ``files`` are the paths of each link's. Of links ``under_way`` their slices of today go."""
        self._files = files
        self.under_way = under_way
        if not self._source.stands():
            self.main = _NOTHING
            return
        kept = min(self.byte_budget.left // 2, self._for_comparing())
        without = [f"--exclude=/{_literally(link.export_name)}" for link in under_way]
        self.main = self._one(self._source.job(self._folder / "sent", *without), self.byte_budget.left - kept)
        self._there |= {item.path for item in self.main.files if self.main.status == 0 or not item.is_sent}
        if self.main.status != 0 and any(item.is_sent for item in self.main.files):
            self._compare(without)
        if self.main.status in PASSED:
            for link, slice_ in under_way.items():
                self._send_slice(link, slice_.today - slice_.sent_today)

    def _for_comparing(self) -> int:
        names = sum(len(path) + _BYTES_A_NAME for paths in self._files.values() for path in paths)
        return max(_BYTES_A_LIST + names, self.byte_budget.size // _FOR_COMPARING)

    def _compare(self, without: Sequence[str]) -> None:
        """What would not be sent again, has arrived."""
        compared = self._one(self._source.job(self._folder / "compared", "--dry-run", *without), self.byte_budget.left)
        self._there |= {item.path for item in compared.files if not item.is_sent}

    def _send_slice(self, link: LinkRow, size: int) -> None:
        """Goes on with one link where it was cut last; its words count as its own."""
        if min(size, self.byte_budget.left) < _LEAST_SLICE:
            return
        job = self._source.job(self._folder / f"slice-{link.id}", only=link)
        ran = run(job, self.byte_budget, size, self._tell)
        self.received += ran.received
        self._crossed[link.export_name] += ran.sent
        self._cut_slices += ran.was_cut
        if ran.status == 0:
            self._there |= {item.path for item in ran.files}
        elif not ran.was_cut:
            log.warning("%s: rsync ended with %d: %s", printable(link.export_name), ran.status, ran.complaint)

    def _one(self, job: Job, at_most: int) -> Ran:
        ran = run(job, self.byte_budget, at_most, self._tell)
        self.received += ran.received
        left = ran.sent  # its log tells what it was through with, also of what was still in its buffers
        for item in ran.files:
            self._crossed[_top(item.path)] += min(item.bytes, left)
            left -= min(item.bytes, left)
        if ran.status not in PASSED:
            self._crossed[_top(ran.name)] += left
        return ran

    def has_arrived(self, link: LinkRow) -> bool:
        """Whether each of its files is known to be there."""
        return self._files[link] <= self._there

    def cut_short(self) -> list[LinkRow]:
        """The whole links that were on their way when the day's bytes were gone, or the line, far enough to tell."""
        if self.main.status in PASSED:
            return []
        waiting = (link for link in self._files if link not in self.under_way and not self.has_arrived(link))
        return [link for link in waiting if slices.arrived_of(link.bytes, self._crossed[link.export_name])]

    def slices_sent(self) -> Iterable[SliceSent]:
        """How far the links under way are by now."""
        for link, before in self.under_way.items():
            yield SliceSent(link, before.sent + self._crossed[link.export_name], self.has_arrived(link))

    def transfer(self) -> Transfer:
        """What crossed, for the records."""
        return Transfer(self.byte_budget.spent, self.received, dict(+self._crossed))


def _top(path: str) -> str:
    return path.partition("/")[0]


def _literally(name: str) -> str:
    """A name as a pattern of rsync: with a wildcard in it a backslash has its meaning, without it has none."""
    return re.sub(r"[\\*?\[]", r"\\\g<0>", name) if re.search(r"[*?\[]", name) else name
