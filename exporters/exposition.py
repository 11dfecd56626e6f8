"""The text of the metrics: what /metrics answers, one answer after another, and what the textfile holds."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, generate_latest

from core.clock import Clock
from core.config.settings import Config
from core.errors import FaultError
from core.state.database import DatabaseError, Generation, State
from core.version import __version__
from exporters import host_metrics, metrics
from exporters.families import Collector, Heading, Table, View
from exporters.host_metrics import Loading, Part

log = logging.getLogger("tidegate.exporters")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: After each fraction of a millisecond of writing. Threads that wait for Python's lock would else get it only every
#: five milliseconds, many times for one record; so they hardly notice (docs/BENCHMARKS.md).
_REST_SECONDS = 0.001

#: In the order of the text, but for those of the answer itself.
_COLLECTORS = (
    metrics.VM_SERIES,
    metrics.ALL_VMS,
    metrics.WAITING,
    metrics.DAY,
    metrics.LINKS,
    host_metrics.HYPERVISOR,
    host_metrics.PASSES,
    host_metrics.WATCHES,
    host_metrics.MARKERS,
)
_OF_ANSWER = (host_metrics.COLLECT_SUCCESS, host_metrics.COLLECT_DURATION, host_metrics.LOADING)
#: Every family, in the order of the text.
CATALOGUE: tuple[Heading, ...] = (
    *host_metrics.BUILD.headings(),
    *(heading for one in _COLLECTORS for part in one.parts for heading in part.headings()),
    *(heading for table in _OF_ANSWER for heading in table.headings()),
)

_T = TypeVar("_T")
#: Name of a collector -> its text; None: it failed.
_Parts = Mapping[str, bytes | None]


def render(state: State, config: Config, now: float) -> bytes:
    """What is in the state at ``now``, seconds since the epoch: the same bytes as in /metrics.

    Raises FaultError when it cannot be read: an old textfile then stays as old as it is.
    """
    every = _collectors(config)
    with state.read() as connection:
        view = View(connection, config, now, _no_rest)
        rows = [one.read(view) for one in every]
    return b"".join([_build(), *[one.text(read, _no_rest) for one, read in zip(every, rows, strict=True)]])


def _collectors(config: Config) -> tuple[Collector, ...]:
    """Without the series of single VMs where there are more of them than a Prometheus likes."""
    return tuple(one for one in _COLLECTORS if config.exporters.vm_series or one is not metrics.VM_SERIES)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was made of one generation of the state under one configuration."""

    generation: tuple[int, ...]
    config: Config
    parts: _Parts


class Exposition:
    """The text of /metrics; its parts are kept as long as nothing is committed. Of one thread at a time."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._generation = Generation(state.path)
        self._kept: _Kept | None = None

    def text(self, config: Config, loading: Loading | None = None) -> bytes:
        """Never raises because of the state: parts that cannot be read are missing, and that is in the text.

        ``loading`` None: nobody could load another configuration.
        """
        began = self._clock.now()
        of_state = self._of_state(config, began.wall)
        process = _tried("process", _process)
        parts = {**of_state, "process": process}
        of_answer: list[list[object]] = [
            [Part(name, part is not None) for name, part in parts.items()],
            [self._clock.now().elapsed_since(began)],
            [] if loading is None else [loading],
        ]
        told = [_build(), *of_state.values(), *map(_written, _OF_ANSWER, of_answer), process]
        return b"".join([part for part in told if part is not None])

    def close(self) -> None:
        """Closes what is kept open."""
        self._generation.close()

    def _of_state(self, config: Config, now: float) -> _Parts:
        every = _collectors(config)
        try:
            generation = self._generation.now()  # before reading: what is committed in between is read once more
            kept = self._kept_of(generation, config)
            with self._state.read() as connection:
                view = View(connection, config, now, _rest)
                read = [(one, _tried(one.name, one.read, view)) for one in every if one.by_clock or not kept]
        except FaultError as error:
            log.warning("the metrics have nothing of the state: %s", error)
            return {one.name: None for one in every}
        written = {one.name: None if rows is None else _tried(one.name, one.text, rows, _rest) for one, rows in read}
        parts = {**kept, **written}
        self._kept = None if None in parts.values() else _Kept(generation, config, parts)
        return parts

    def _kept_of(self, generation: tuple[int, ...], config: Config) -> _Parts:
        kept = self._kept
        return kept.parts if kept and kept.generation == generation and kept.config is config else {}


class SharedText:
    """Calls ``make`` for one client at a time. Who waited takes a text that was begun after it had asked.

    So many clients at once cost two texts and one connection to the state, and nobody gets a text that is
    older than its request.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._begun = 0
        self._finished = 0
        self._text = b""

    def __call__(self) -> bytes:
        """A text not older than this call."""
        begun_before = self._begun
        with self._lock:
            if self._finished <= begun_before:
                self._begun += 1
                self._text = self._make()
                self._finished = self._begun
            return self._text


def _build() -> bytes:
    return _written(host_metrics.BUILD, [__version__])


def _process() -> bytes:
    registry = CollectorRegistry()
    registry.register(PROCESS_COLLECTOR)
    return generate_latest(registry)


def _written(table: Table, rows: Sequence[object]) -> bytes:
    return "".join(table.text(rows, _no_rest)).encode()


def _rest() -> None:
    time.sleep(_REST_SECONDS)


def _no_rest() -> None:
    """For a command, in which nothing else runs."""


def _tried(name: str, make: Callable[..., _T], *given: object) -> _T | None:
    """None when it fails: neither a damaged table nor a bug in one figure may hide the others."""
    try:
        return make(*given)
    except DatabaseError as error:
        log.warning("the metrics are not complete: %s: %s", name, error)
    except Exception:
        log.exception("the metrics are not complete: %s", name)
    return None
