"""How a push is shown while it goes on: a bar on a terminal, lines in a pipe."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from core.filenames import printable
from core.units import format_size
from policy.sync.push import Listener

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from policy.sync.push import Beginning, Pushed
    from policy.sync.rsync import Progress


class Lines(Listener):
    """A line for each tree and for each file that has its turn."""

    def __init__(self) -> None:
        self._name = ""

    def begins(self, beginning: "Beginning") -> None:
        """What is to be sent, and what may be."""
        click.echo(_heading(beginning))

    def goes_on(self, progress: "Progress") -> None:
        """Once for each file."""
        if progress.name != self._name:
            self._name = progress.name
            click.echo(f"{printable(progress.name)} (after {format_size(progress.sent)})")


class Bar(Listener):
    """Bytes, rate, what is left in time, and the day's bytes: on stderr, so that stdout can go elsewhere."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def begins(self, beginning: "Beginning") -> None:
        """The whole of it is what is outstanding, or the day's bytes where those are less."""
        from rich import progress
        from rich.console import Console

        click.echo(_heading(beginning), err=True)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[day]}"),
            console=Console(file=sys.stderr),
        )
        total = min(beginning.may_send, sum(link.bytes for link in beginning.links))
        self._may_send = beginning.may_send
        self._task = self._bar.add_task("", total=total, day="")
        self._bar.start()

    def goes_on(self, progress: "Progress") -> None:
        """As often as the meter tells."""
        if self._bar is not None and self._task is not None:
            left = f"{format_size(max(0, self._may_send - progress.sent))} left of the day"
            self._bar.update(self._task, completed=progress.sent, description=printable(progress.name), day=left)

    def ends(self, pushed: "Pushed") -> None:
        """Leaves the bar as it was last."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def summary(one: "Pushed") -> Iterator[str]:
    """What became of one tree, in sentences."""
    if one.status is None:
        yield f"{one.watch}: nothing was sent: {one.complaint}"
        return
    size = format_size(sum(link.bytes for link in one.confirmed))
    sent = f"{format_size(one.sent)} sent, {format_size(one.received)} received"
    yield f"{one.watch} to {one.destination}: {sent}; {len(one.confirmed)} confirmed, {size}"
    if one.outstanding:
        names = ", ".join(printable(link.export_name) for link in one.outstanding[:5])
        more = f" and {len(one.outstanding) - 5} more" if len(one.outstanding) > 5 else ""
        yield f"not there yet: {names}{more}"
    for slice_ in one.slices:
        whole = slice_.link.bytes
        sent = f"{format_size(min(slice_.sent, whole))} of {format_size(whole)} have left"
        yield f"{printable(slice_.link.export_name)}: {'it is there' if slice_.has_arrived else sent}"
    if one.is_used_up:
        yield f"stopped at what day {one.day} may send; the next day goes on where this one stopped"
    elif one.status:
        yield f"rsync ended with {one.status}"
        yield from (f"  {said}" for said in one.complaint.splitlines()[-5:])


def _heading(beginning: "Beginning") -> str:
    size = format_size(sum(link.bytes for link in beginning.links))
    may = format_size(beginning.may_send)
    return (
        f"{beginning.watch} to {beginning.destination}: {len(beginning.links)} links, {size}; "
        f"day {beginning.day} may still send {may}"
    )
