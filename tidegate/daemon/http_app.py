"""What the service answers over HTTP: the metrics, the page, the API, and how it is itself."""

from collections.abc import Callable
from http import HTTPStatus

from core.clock import Clock
from core.config.settings import Config
from core.errors import FaultError
from core.state.database import State
from exporters.exposition import CONTENT_TYPE, SharedText
from exporters.page.pages import Pages
from exporters.server import Response, plain

#: The main loop calls ``alive`` every few seconds; systemd's watchdog ends one that does not for longer.
_SILENT_SECONDS = 120.0


class HttpApplication:
    """Answers by the path of a request. ``metrics`` makes the text of /metrics; it is called by one thread at a time.

    ``config`` gives the configuration in effect.
    """

    def __init__(self, metrics: Callable[[], bytes], config: Callable[[], Config], state: State, clock: Clock) -> None:
        self._metrics = SharedText(metrics)
        self._state = state
        self._clock = clock
        self._pages = Pages(config, clock)
        self._has_scanned = False
        self._alive_at = clock.now().uptime
        self._paths: dict[str, Callable[[], Response]] = {
            "/metrics": lambda: Response(HTTPStatus.OK, CONTENT_TYPE, self._metrics()),
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
        }

    def __call__(self, target: str) -> Response:
        """Of the path with its query; may be called by any thread."""
        path = target.partition("?")[0]
        if path in self._paths:
            return self._paths[path]()
        return self._pages(target)

    def has_scanned(self) -> None:
        """Events are watched, and every folder was scanned once."""
        self._has_scanned = True

    def alive(self) -> None:
        """To be called by the watcher's main loop, and by nothing else."""
        self._alive_at = self._clock.now().uptime

    def close(self) -> None:
        """Closes what is kept open."""
        self._pages.close()

    def _healthy(self) -> Response:
        silent = self._clock.now().uptime - self._alive_at
        if silent > _SILENT_SECONDS:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"The watch service has not responded for {silent:.0f} s.")
        return plain(HTTPStatus.OK, "OK")

    def _ready(self) -> Response:
        if not self._has_scanned:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, "The first scan is not done yet.")
        try:
            self._state.check_version()
        except FaultError as error:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return plain(HTTPStatus.OK, "Ready: the first scan is done and the state can be read.")
