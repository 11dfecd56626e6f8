"""How far the dumps are, on a terminal: a bar for each VM under way, against the size of its last dump."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dumps.runner import QueuedVm

Show = Callable[[Mapping[str, "QueuedVm"]], None]


@contextmanager
def progress(stream: TextIO) -> Iterator[Show]:
    """What a runner is to call. Where ``stream`` is no terminal, it does nothing."""
    if not stream.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bars, _logs_above():
        yield _Bars(bars).show


@contextmanager
def _logs_above() -> Iterator[None]:
    """While bars are drawn, what goes to stderr goes above them; the handlers of the logs hold the real one."""
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler)]
    before = [handler.setStream(sys.stderr) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            handler.setStream(stream or sys.__stderr__)


class _Bars:
    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._tasks: dict[tuple[str, int], TaskID] = {}

    def show(self, under_way: Mapping[str, "QueuedVm"]) -> None:
        """Sets each bar to what is written by now, and takes those away that are over."""
        now = {(one.vm, one.attempts): one for one in list(under_way.values())}
        for over in self._tasks.keys() - now.keys():
            self._bars.remove_task(self._tasks.pop(over))
        for key, one in now.items():
            if key not in self._tasks:
                self._tasks[key] = self._bars.add_task(one.vm, total=one.last_bytes or None)
            with suppress(OSError):
                self._bars.update(self._tasks[key], completed=one.written_bytes())
