"""Who disturbs: kills, ends and stops the services, and makes the kernel's queue of events overflow."""

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.soak import marking_tools
from tools.soak.state_reader import StateFile
from tools.soak.watch_process import Service
from tools.soak.writer import Writer
from tools.soak.written_markers import Journal

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
#: A dump with its marker rings about six times.
_EVENTS_OF_ONE = 5
#: A queue that is longer than this allows is not made to overflow.
_LONGEST_BURST = 20_000
#: A service is given so long for its first scan, seconds.
_READY_SECONDS = 60.0
#: Seconds after a disturbance in which it may still be felt.
_ECHO_SECONDS = 2.0
_SCANNED = "select max(last_scan_at) > cast(? as real) from watch_status"


@dataclass(slots=True)
class Disturbances:
    """When a service was not left alone: its name, from, to."""

    spans: list[tuple[str, float, float]] = field(default_factory=list)

    def touches(self, service: str, start: float, end: float) -> bool:
        """True when one of this service lies in this time."""
        return any(name == service and begun <= end and start <= ended for name, begun, ended in self.spans)


class Conductor:
    """Disturbs ``services``, each with a writer for bursts."""

    def __init__(self, services: Sequence[Service], storms: Sequence[Writer], journal: Journal, seed: int) -> None:
        self.disturbances = Disturbances()
        self._pairs = list(zip(services, storms, strict=True))
        self._journal = journal
        self._dice = random.Random(f"{seed} conductor")
        self._queue = int(QUEUE.read_text())

    def ways(self) -> list[Callable[[Service, Writer], None]]:
        """What can be done here."""
        found: list[Callable[[Service, Writer], None]] = [self.kill, self.terminate]
        if self._burst() <= _LONGEST_BURST:
            found += [self.overflow, self.kill_in_a_burst]
        return found

    def each_once(self) -> None:
        """Everything once, for a short soak."""
        for number, way in enumerate(self.ways()):
            way(*self._pairs[number % len(self._pairs)])

    def play(self, until: float) -> None:
        """Disturbs now and then, by chance, until this time of the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, self._dice.choice((1, 3, 6, 20))))
            self._dice.choice(self.ways())(*self._dice.choice(self._pairs))
            for _, storm in self._pairs:
                storm.rotate(most=_LONGEST_BURST)

    def start(self, service: Service) -> None:
        """Starts it and waits for its first scan: a signal that comes sooner finds nobody who would answer."""
        begun = time.time()
        service.start()
        self._wait(lambda: StateFile(service.state).count(_SCANNED, str(begun)) > 0)

    # --- one service at a time

    def kill(self, service: Service, _storm: Writer) -> None:
        """SIGKILL in the midst of its work."""
        with self._disturbing(service):
            self._restart(service, signal.SIGKILL)

    def terminate(self, service: Service, _storm: Writer) -> None:
        """SIGTERM in the midst of its work."""
        with self._disturbing(service):
            self._restart(service, signal.SIGTERM)

    def overflow(self, service: Service, storm: Writer) -> None:
        """Stopped for a burst that is longer than the kernel's queue."""
        with self._disturbing(service):
            service.send(signal.SIGSTOP)
            self._storm(storm, self._burst())
            service.send(signal.SIGCONT)
            self._journal.did("overflow: stopped for a burst longer than the queue")
            self._wait_for_storm(storm)

    def kill_in_a_burst(self, service: Service, storm: Writer) -> None:
        """Stopped for such a burst, and killed with all of it in the queue."""
        with self._disturbing(service):
            service.send(signal.SIGSTOP)
            self._storm(storm, self._burst())
            self._restart(service, signal.SIGKILL)
            self._journal.did("overflow: killed with the burst in the queue")
            self._wait_for_storm(storm)

    # --- parts

    def _restart(self, service: Service, number: signal.Signals) -> None:
        service.end(number)
        self._journal.did(f"end: {number.name}")
        time.sleep(self._dice.choice((0, 0.1, 1.5)))
        self.start(service)

    def _burst(self) -> int:
        return self._queue // _EVENTS_OF_ONE

    def _storm(self, storm: Writer, count: int) -> None:
        for _ in range(count):
            path = storm.dump(storm.names.fresh())
            storm.mark(self._dice.choice((marking_tools.touch, marking_tools.rename_beside)), path, "in a burst")

    def _wait_for_storm(self, storm: Writer) -> None:
        self._wait(storm.is_recorded)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)

    @contextmanager
    def _disturbing(self, service: Service) -> Iterator[None]:
        begun = time.time()
        try:
            yield
        finally:
            self.disturbances.spans.append((service.name, begun, time.time() + _ECHO_SECONDS))
