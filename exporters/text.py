"""The families as text (Prometheus' format 0.0.4).

``render`` is what the textfile holds. ``scrape`` is what /metrics answers: the same bytes, then what is
true of this answer and of this process only.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import PROCESS_COLLECTOR, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from exporters import catalogue, families
from tidegate.clock import Clock
from tidegate.config.model import Config
from tidegate.errors import FaultError
from tidegate.state.door import State

log = logging.getLogger("tidegate.exporters")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Loading:
    """How the service's configuration was last loaded: whether the newest one was taken, when the one in effect was.

    ``at`` is in seconds since the epoch.
    """

    successful: bool
    at: float


def render(state: State, config: Config) -> bytes:
    """What the state tells.

    Raises FaultError when it cannot be read: an old textfile then stays as old as it is.
    """
    with state.read() as connection:
        metrics = list(families.of_state(connection, config))
    # After the transaction: writing the text takes longer than reading, and holds back no checkpoint so.
    return _text([families.build_info(), *metrics])


def scrape(state: State, config: Config, clock: Clock, loading: Loading | None = None) -> bytes:
    """What /metrics answers. Never raises because of the state: without it, it says so and tells the rest.

    ``loading`` None: nobody could load another configuration.
    """
    began = clock.now()
    told = _told(state, config)
    took = clock.now().elapsed_since(began)
    return (told or _text([families.build_info()])) + _text(
        [
            catalogue.COLLECT_SUCCESS.one(int(told is not None)),
            catalogue.COLLECT_DURATION.one(took),
            catalogue.CONFIG_RELOADED.one(None if loading is None else int(loading.successful)),
            catalogue.CONFIG_LOADED.one(None if loading is None else loading.at),
            *PROCESS_COLLECTOR.collect(),
        ]
    )


def _told(state: State, config: Config) -> bytes | None:
    try:
        return render(state, config)
    except FaultError as error:
        log.warning("the metrics are not complete: %s", error)
    except Exception:  # a bug in one figure must not hide that the process lives and that something is wrong
        log.exception("the metrics are not complete")
    return None


class SharedText:
    """Calls ``render`` for one client at a time. Who waited takes a text that was begun after it had asked.

    So many clients at once cost two texts and one connection to the state, and nobody gets a text that is
    older than its question.
    """

    def __init__(self, render: Callable[[], bytes]) -> None:
        self._render = render
        self._turn = threading.Lock()
        self._begun = 0
        self._finished = 0
        self._text = b""

    def __call__(self) -> bytes:
        """A text not older than this call."""
        begun_before = self._begun
        with self._turn:
            if self._finished <= begun_before:
                self._begun += 1
                self._text = self._render()
                self._finished = self._begun
            return self._text


class _Given(Collector):
    """Hands families that are there already to `generate_latest`."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _text(metrics: Iterable[Metric]) -> bytes:
    return generate_latest(_Given(metrics))
