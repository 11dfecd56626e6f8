"""What /metrics answers, one answer after another."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import PROCESS_COLLECTOR

from core.clock import Clock
from core.config.settings import Config
from core.errors import FaultError
from core.state.database import DatabaseError, Generation, State
from exporters import collectors, families, metrics
from exporters.families import View
from exporters.family import as_text
from exporters.vm_lines import VmLines

log = logging.getLogger("tidegate.exporters")

#: After each fraction of a millisecond of writing. Threads that wait for Python's lock would else get it only every
#: five milliseconds, many times for one record; so they hardly notice (docs/BENCHMARKS.md).
_REST_SECONDS = 0.001

_T = TypeVar("_T")
#: Name of a collector -> its text; None: it failed.
_Parts = Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Loading:
    """How the service's configuration was last loaded: whether the newest one was taken, when the one in effect was.

    ``at`` is in seconds since the epoch.
    """

    successful: bool
    at: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was made of one generation of the state under one configuration."""

    generation: tuple[int, ...]
    config: Config
    parts: _Parts


class Exposition:
    """The text from the state; what was told last is kept as long as nothing is committed. Of one thread at a time."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._generation = Generation(state.path)
        self._vm_lines = VmLines(lambda: time.sleep(_REST_SECONDS))
        self._kept: _Kept | None = None

    def text(self, config: Config, loading: Loading | None = None) -> bytes:
        """Never raises because of the state: it says which parts are missing, and tells the rest.

        ``loading`` None: nobody could load another configuration.
        """
        began = self._clock.now()
        of_state = self._of_state(config, began.wall)
        process = _tried("process", _of_process)
        success = {**of_state, "process": process}
        of_answer = [
            metrics.COLLECT_SUCCESS.of(((name,), int(part is not None)) for name, part in success.items()),
            metrics.COLLECT_DURATION.one(self._clock.now().elapsed_since(began)),
            metrics.CONFIG_RELOADED.one(None if loading is None else int(loading.successful)),
            metrics.CONFIG_LOADED.one(None if loading is None else loading.at),
        ]
        told = [as_text([families.build_info()]), *of_state.values(), as_text(of_answer), process]
        return b"".join([part for part in told if part is not None])

    def close(self) -> None:
        """Closes what is kept open."""
        self._generation.close()

    def _of_state(self, config: Config, now: float) -> _Parts:
        every = collectors.of_state(self._vm_lines, vm_series=config.exporters.vm_series)
        try:
            generation = self._generation.now()  # before reading: what is committed in between is read once more
            kept = self._kept_of(generation, config)
            with self._state.read() as connection:
                view = View(connection, config, now)
                read = [(one, _tried(one.name, one.read, view)) for one in every if one.by_clock or not kept]
        except FaultError as error:
            log.warning("the metrics tell nothing of the state: %s", error)
            return {one.name: None for one in every}
        parts = {**kept, **{one.name: None if got is None else _tried(one.name, one.write, got) for one, got in read}}
        self._kept = None if None in parts.values() else _Kept(generation, config, parts)
        return parts

    def _kept_of(self, generation: tuple[int, ...], config: Config) -> _Parts:
        kept = self._kept
        return kept.parts if kept and kept.generation == generation and kept.config is config else {}


def _of_process() -> bytes:
    return as_text(PROCESS_COLLECTOR.collect())


def _tried(name: str, make: Callable[..., _T], *given: object) -> _T | None:
    """None when it fails: neither a damaged table nor a bug in one figure may hide the others."""
    try:
        return make(*given)
    except DatabaseError as error:
        log.warning("the metrics are not complete: %s: %s", name, error)
    except Exception:
        log.exception("the metrics are not complete: %s", name)
    return None
