"""The processes that are busy beside the service: writers, passes and reports, and noise that is no marker."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from tools.soak.watch_process import Service
from tools.soak.writer import Writer
from tools.soak.written_markers import Journal

_FORK = multiprocessing.get_context("fork")
_BIG_BYTES = 32 << 20
_SMALL_FILES = 1000
#: The longest that a member of the crew may need to end its turn: a copy, or a pass on a busy machine.
_END_SECONDS = 180.0


class Crew:
    """Processes that work until they are told to stop."""

    def __init__(self) -> None:
        self._stop: Event = _FORK.Event()
        self._processes: list[ForkProcess] = []

    def add(self, name: str, work: Callable[[Callable[[], bool]], None]) -> None:
        """Starts a process; ``work`` asks what it is given whether to stop."""
        process = _FORK.Process(target=_alone, args=(work, self._stop.is_set), name=name, daemon=True)
        process.start()
        self._processes.append(process)

    def stop(self) -> list[str]:
        """Lets everybody end the turn that he is in. Returns the names of those that failed."""
        self._stop.set()
        for process in self._processes:
            process.join(_END_SECONDS)
        return [process.name for process in self._processes if process.exitcode != 0]

    def kill(self) -> None:
        """Ends what is left."""
        for process in self._processes:
            process.kill()
            process.join()


def _alone(work: Callable[[Callable[[], bool]], None], until: Callable[[], bool]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # not what the one who started it does on them
    work(until)


def passing(service: Service, journals: Path, seed: int) -> Callable[[Callable[[], bool]], None]:
    """Passes, and syncs that are announced and reported, so that dumps leave and markers come to their end."""

    def work(until: Callable[[], bool]) -> None:
        dice, journal, parent = random.Random(f"{seed} passes"), Journal(journals, "passes"), os.getppid()
        while not until() and os.getppid() == parent:
            for words in (("pass",), ("sync-started",), ("synced",)):
                journal.did(f"{words[0]}: {service.run(*words, '--wait', '60s')}")
                time.sleep(dice.uniform(0, 1))

    return work


def noise(folder: Path, seed: int) -> Callable[[Callable[[], bool]], None]:
    """A dump that is being written, and files that are no markers, in a watch folder."""

    def work(until: Callable[[], bool]) -> None:
        dice, parent = random.Random(f"{seed} noise"), os.getppid()
        while not until() and os.getppid() == parent:
            dice.choice((_write_big, _make_small))(folder)
            time.sleep(dice.uniform(0.5, 3))

    return work


def writing(
    writer: Writer, first: Callable[[Writer], None], turn: Callable[[Writer], None], rate: float
) -> Callable[[Callable[[], bool]], None]:
    """One writer: ``first`` once, and then a turn after another."""

    def work(until: Callable[[], bool]) -> None:
        first(writer)
        writer.work(turn, rate, until)

    return work


def _write_big(folder: Path) -> None:
    path = folder / "big.part"
    with path.open("wb") as file:
        for _ in range(_BIG_BYTES >> 16):
            file.write(bytes(1 << 16))
    path.unlink()


def _make_small(folder: Path) -> None:
    for number in range(_SMALL_FILES):
        (folder / f"noise{number}.log").touch()
    for number in range(_SMALL_FILES):
        (folder / f"noise{number}.log").unlink()
