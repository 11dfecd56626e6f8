"""One push of all export trees: sealed, sent under the meter, compared, reported.

What arrived is what rsync found there: after a run that ended well its own log names it, after any other a comparison
(a dry run, metered too) asks the storage. What is not named by one of the two has not arrived.
"""

import logging
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from core import failpoints
from core.clock import Clock
from core.config.network_settings import Push
from core.config.settings import Config, WatchFolder
from core.enums import DayEnd
from core.errors import UsageError
from core.filenames import printable
from core.state import dumps, ledger, slices, syncs
from core.state.database import State
from core.state.ledger import DayRow, LinkRow
from core.state.slices import UnderWay
from policy.passes import slices as slicing
from policy.reconcile.mounts import unmounted
from policy.sync import quota, report
from policy.sync.quota import ByteBudget
from policy.sync.rsync import Job, Progress, Ran, run
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


# --- the runs of rsync for one tree


class PushSource(NamedTuple):
    """The export tree that is sent, and how."""

    push: Push
    watch: WatchFolder

    def exists(self) -> bool:
        """False before anything was ever released: then there is nothing to send."""
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
    """The runs of rsync for one tree: the transfer; where that does not show what arrived, a comparison; the slices.

    The slices come last. Whatever the others need for names and checksums beside what they were charged for, the
    slices do without.
    """

    def __init__(
        self, source: PushSource, byte_budget: ByteBudget, folder: Path, listen: Callable[[Progress], None]
    ) -> None:
        self.byte_budget = byte_budget
        self.received = 0
        self.under_way: dict[LinkRow, UnderWay] = {}
        self._source = source
        self._folder = folder
        self._listen = listen
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
        if not self._source.exists():
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
        ran = run(job, self.byte_budget, size, self._listen)
        self.received += ran.received
        self._crossed[link.export_name] += ran.sent
        self._cut_slices += ran.was_cut
        if ran.status == 0:
            self._there |= {item.path for item in ran.files}
        elif not ran.was_cut:
            log.warning("%s: rsync ended with %d: %s", printable(link.export_name), ran.status, ran.complaint)

    def _one(self, job: Job, at_most: int) -> Ran:
        ran = run(job, self.byte_budget, at_most, self._listen)
        self.received += ran.received
        left = ran.sent  # its log has what it was through with, also of what was still in its buffers
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
        """The whole links that were cut off on their way, by the day's end or a fault, and far enough to count."""
        if self.main.status in PASSED:
            return []
        waiting = (link for link in self._files if link not in self.under_way and not self.has_arrived(link))
        return [link for link in waiting if slicing.arrived_of(link.bytes, self._crossed[link.export_name])]

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


# --- one push


@dataclass(frozen=True, slots=True)
class Beginning:
    """A tree that is about to be sent: its links that the storage is not known to have, and the day's bytes left."""

    watch: str
    destination: str
    day: int
    links: Sequence[LinkRow]
    may_send: int


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of one export tree. ``status`` is rsync's own, None where it was not run; ``complaint``: why.

    ``is_used_up``: the day's bytes were gone before everything was; the rest is sent on the next day. ``outstanding``
    are the links that should have arrived and have not; those that leave in ``slices`` are none of them.
    """

    watch: str
    destination: str
    day: int
    status: int | None = None
    sent: int = 0
    received: int = 0
    left: int = 0
    is_used_up: bool = False
    confirmed: tuple[LinkRow, ...] = ()
    outstanding: tuple[LinkRow, ...] = ()
    slices: tuple[SliceSent, ...] = ()
    day_ended: bool = False
    complaint: str = ""

    @property
    def has_passed(self) -> bool:
        """True when it came to its end, or to the day's."""
        return self.is_used_up or (self.status in PASSED)

    @property
    def is_whole(self) -> bool:
        """True when all arrived that was to be sent today."""
        return self.is_used_up or (self.status == 0 and not self.outstanding)


class Listener:
    """Follows a sync. This one ignores it."""

    def begins(self, beginning: Beginning) -> None:
        """A tree is sealed and about to be sent."""

    def goes_on(self, progress: Progress) -> None:
        """Bytes have crossed, or another file has its turn."""

    def ends(self, pushed: Pushed) -> None:
        """A tree is through, and reported."""


def sync(config: Config, state: State, clock: Clock, listener: Listener, *, wait: float) -> list[Pushed]:
    """Sends every export tree to its destination, within what is left of the day.

    Raises UsageError without ``[sync]``, BusyError while another one pushes.
    """
    configured(config)
    with state.sync_lock(wait=wait):
        _end_used_up(config, state, clock, wait, None)
        with state.pass_lock(wait=wait), state.write() as connection:
            quota.set_slices(connection, config, clock.now())
        done = []
        for watch in config.watches:
            pushed = _Tree(config, state, clock, watch, wait=wait).send(listener)
            listener.ends(pushed)
            done.append(pushed)
        return done


def configured(config: Config) -> Push:
    """Where to. Raises UsageError where nothing is configured."""
    if config.push is None:
        raise UsageError(
            f'sync: {config.file} has no [sync]: set where to, like destination = "backup@storage:/srv/host1"'
        )
    return config.push


def preview(config: Config, state: State, clock: Clock) -> list[Beginning]:
    """What a sync would have to send now. Writes nothing into a state that is a copy, and asks no storage."""
    push = configured(config)
    with state.write() as connection:
        day, left = quota.open_day(connection, config, clock.now())
        outstanding = [link for link in ledger.outstanding(connection) if link.in_tree]
    return [
        Beginning(
            watch=watch.name,
            destination=push.destination_of(watch.name),
            day=day.number,
            links=[link for link in outstanding if link.watch == watch.name],
            may_send=left,
        )
        for watch in config.watches
    ]


def _end_used_up(config: Config, state: State, clock: Clock, wait: float, watch: str | None) -> None:
    """Tells that a day without bytes has had its sync: it would wait for ever, if those went into syncs that broke off.

    So with several trees: of a day that the first of them uses up, the others need no sync. It ends when it is old
    enough.
    """
    with state.write() as connection:
        _, left = quota.open_day(connection, config, clock.now())
    if not left and config.day.ends is DayEnd.SYNC:
        report.report(config, state, clock, report.Report(arrived=frozenset()), wait=wait, watch=watch)


class _Tree:
    """The export tree of one watch folder on its way."""

    def __init__(self, config: Config, state: State, clock: Clock, watch: WatchFolder, *, wait: float) -> None:
        self._config = config
        self._state = state
        self._clock = clock
        self._push = configured(config)
        self._watch = watch
        self._wait = wait
        self._destination = self._push.destination_of(watch.name)

    def send(self, listener: Listener) -> Pushed:
        day, left = self._left()
        if why := self._why_not(left):
            _end_used_up(self._config, self._state, self._clock, self._wait, self._watch.name)
            return Pushed(self._watch.name, self._destination, day.number, is_used_up=not left, complaint=why)
        seal = report.announce(self._config, self._state, self._clock, wait=self._wait, watch=self._watch.name)
        failpoints.point("sealed")
        try:
            with self._state.write() as connection:
                syncs.begin_push(connection, seal.sync_id, self._clock.now())
            day, left = self._left()
            links = list(seal.links)
            listener.begins(Beginning(self._watch.name, self._destination, day.number, links, left))
            with tempfile.TemporaryDirectory(prefix="tidegate-sync-") as folder:
                sending = Sending(
                    PushSource(self._push, self._watch),
                    ByteBudget(self._state, seal.sync_id, left),
                    Path(folder),
                    listener.goes_on,
                )
                sending.run(self._files(links), self._under_way(day.number, links))
            return self._report(links, sending, day.number)
        finally:
            with self._state.write() as connection:
                syncs.end_push(connection, seal.sync_id, self._clock.now().wall)

    def _left(self) -> tuple[DayRow, int]:
        with self._state.write() as connection:
            return quota.open_day(connection, self._config, self._clock.now())

    def _why_not(self, left: int) -> str:
        if not left:
            return "nothing more may be sent today"
        with self._state.read() as connection:
            if self._watch.name in unmounted(connection, self._config):
                return "its watch folder is down"
        return ""

    def _under_way(self, day: int, links: Iterable[LinkRow]) -> dict[LinkRow, UnderWay]:
        with self._state.read() as connection:
            found = {one.link_id: one for one in slices.under_way(connection, day)}
        return {link: found[link.id] for link in links if link.id in found}

    def _files(self, links: Iterable[LinkRow]) -> dict[LinkRow, frozenset[str]]:
        """The paths in the tree of the files of each link."""
        found: dict[LinkRow, frozenset[str]] = {}
        with self._state.read() as connection:
            rows = dumps.by_ids(connection, [link.dump_id for link in links if link.dump_id is not None])
            identities = dumps.identities_of(connection, rows.values())
        for link in links:
            if link.dump_id in rows:
                members = [member.name for member in identities[link.dump_id].members]
            else:  # a foreign file or folder
                top = self._watch.export / link.export_name
                members = [str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()] or [""]
            found[link] = frozenset("/".join(filter(None, (link.export_name, name))) for name in members)
        return found

    def _report(self, links: Collection[LinkRow], sending: Sending, day: int) -> Pushed:
        failpoints.point("sent")
        main = sending.main
        used_up = sending.was_cut
        arrived = frozenset(link.export_name for link in links if sending.has_arrived(link))
        received = report.Report(
            arrived=arrived,
            transfer=sending.transfer(),
            broke_off=not (used_up or main.status in PASSED),
        )
        outcome = report.report(
            self._config, self._state, self._clock, received, wait=self._wait, watch=self._watch.name
        )
        with self._state.write() as connection:
            slicing.cut_short(connection, sending.cut_short(), day, self._clock.now())
        return Pushed(
            watch=self._watch.name,
            destination=self._destination,
            day=day,
            status=main.status,
            sent=sending.byte_budget.spent,
            received=sending.received,
            left=sending.byte_budget.left,
            is_used_up=used_up,
            confirmed=outcome.confirmed,
            outstanding=tuple(
                link for link in links if link.export_name not in arrived and link not in sending.under_way
            ),
            slices=tuple(sending.slices_sent()),
            day_ended=outcome.day_ended,
            complaint="" if used_up or main.status == 0 else main.complaint,
        )
