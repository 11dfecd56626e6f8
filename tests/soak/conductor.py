"""Who disturbs: kills, ends and stops the services, and makes the kernel's queue of events overflow."""

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak import marks
from tests.soak.journal import Journal
from tests.soak.seen import StateFile
from tests.soak.service import Service
from tests.soak.writer import Writer

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
_SMALL_QUEUE = 64
#: A dump with its marker rings about six times.
_EVENTS_OF_ONE = 5
#: Where the host's queue is longer than this allows, it is only overflown when it may be made shorter.
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
    """Disturbs ``services``, each with a writer for bursts. ``may_lower``: the host's queue may be made shorter."""

    def __init__(
        self, services: Sequence[Service], storms: Sequence[Writer], journal: Journal, seed: int, *, may_lower: bool
    ) -> None:
        self.disturbances = Disturbances()
        self._pairs = list(zip(services, storms, strict=True))
        self._journal = journal
        self._dice = random.Random(f"{seed} conductor")
        self._queue = int(QUEUE.read_text())
        self._may_lower = may_lower

    def ways(self) -> list[Callable[[Service, Writer], None]]:
        """What can be done here."""
        found: list[Callable[[Service, Writer], None]] = [self.kill, self.terminate]
        if self._burst() <= _LONGEST_BURST:
            found += [self.overflow, self.kill_in_a_burst]
        return [*found, self.overflow_small] if self._may_lower else found

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

    def overflow_small(self, service: Service, storm: Writer) -> None:
        """A queue of 64 events, which any burst overflows while the service runs."""
        with self._disturbing(service), self._small_queue():
            self._restart(service, signal.SIGTERM)
            self._storm(storm, 1500)
            self._journal.did(f"overflow: a burst into a queue of {_SMALL_QUEUE}")
            self._wait_for_storm(storm)
        with self._disturbing(service):
            self._restart(service, signal.SIGTERM)  # to the host's own queue

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
            storm.mark(self._dice.choice((marks.touch, marks.rename_beside)), path, "in a burst")

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

    @contextmanager
    def _small_queue(self) -> Iterator[None]:
        QUEUE.write_text(str(_SMALL_QUEUE))
        try:
            yield
        finally:
            QUEUE.write_text(str(self._queue))
