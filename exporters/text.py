"""The text of the metrics (Prometheus' format 0.0.4): as the textfile holds it, and shared by those who ask at once."""

import threading
from collections.abc import Callable

from core.config.settings import Config
from core.state.database import State
from exporters import collectors, families
from exporters.families import View
from exporters.family import as_text
from exporters.vm_lines import VmLines

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(state: State, config: Config, now: float) -> bytes:
    """What the state tells at ``now``, seconds since the epoch: the same bytes as in /metrics.

    Raises FaultError when it cannot be read: an old textfile then stays as old as it is.
    """
    every = collectors.of_state(VmLines(), vm_series=config.exporters.vm_series)
    with state.read() as connection:
        view = View(connection, config, now)
        read = [(one, one.read(view)) for one in every]
    return b"".join([as_text([families.build_info()]), *[one.write(figures) for one, figures in read]])


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
