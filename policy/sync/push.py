"""One push of all export trees: sealed, sent under the meter, compared, reported.

What arrived is what rsync found there: after a run that ended well its own log tells, after any other a comparison
(a dry run, metered too) asks the storage. What is not named by one of the two has not arrived.
"""

import logging
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import failpoints
from core.clock import Clock
from core.config.network_settings import Push
from core.config.settings import Config, WatchFolder
from core.enums import DayEnd
from core.errors import UsageError
from core.state import dumps, ledger, slices, syncs
from core.state.database import State
from core.state.ledger import DayRow, LinkRow
from core.state.slices import UnderWay
from policy.passes import slices as slicing
from policy.reconcile.mounts import unmounted
from policy.sync import going_on, quota, report
from policy.sync.quota import ByteBudget
from policy.sync.rsync import Progress
from policy.sync.sending import PASSED, Sending, SliceSent, Source

log = logging.getLogger("tidegate.policy")


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
    """What became of one export tree. ``status`` is rsync's own, None where it was not run: ``complaint`` says why.

    ``is_used_up``: the day's bytes were gone before everything was; the next day goes on. ``outstanding`` are the links
    that should have arrived and have not; those that leave in ``slices`` are none of them.
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
    """Whom a sync tells how it goes. This one does not care."""

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
            going_on.set_slices(connection, config, clock.now())
        done = []
        for watch in config.watches:
            pushed = _Tree(config, state, clock, watch, wait=wait).send(listener)
            listener.ends(pushed)
            done.append(pushed)
        return done


def configured(config: Config) -> Push:
    """Where to. Raises UsageError when nobody said."""
    if config.push is None:
        raise UsageError(
            f'sync: {config.file} has no [sync]: say where to, like destination = "backup@storage:/srv/host1"'
        )
    return config.push


def preview(config: Config, state: State, clock: Clock) -> list[Beginning]:
    """What a sync would have to send now. Writes nothing into a state that is a copy, and asks no storage."""
    push = configured(config)
    with state.write() as connection:
        day, left = quota.open_day(connection, config, clock.now())
        standing = [link for link in ledger.outstanding(connection) if link.in_tree]
    return [
        Beginning(
            watch=watch.name,
            destination=push.destination_of(watch.name),
            day=day.number,
            links=[link for link in standing if link.watch == watch.name],
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
                    Source(self._push, self._watch),
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
        said = report.Report(
            arrived=arrived,
            transfer=sending.transfer(),
            broke_off=not (used_up or main.status in PASSED),
        )
        outcome = report.report(self._config, self._state, self._clock, said, wait=self._wait, watch=self._watch.name)
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
