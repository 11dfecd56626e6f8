"""The service behind ``tidegate watch``: one watcher after another, under one lock.

A reload loads the file beside the watcher that runs. What is refused changes nothing. What is taken stops the watcher,
which records what it has seen, and starts the next one: it arms its doorbells before its first scan, and that scan
finds what was marked in between. The watch lock is held throughout, so that nobody else slips in; the process stays
the same, so that the metrics and the service manager see no restart.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from core.clock import Clock
from core.config.settings import Config
from core.errors import FaultError, NewerStateError, TidegateError, UsageError
from core.state.database import State
from exporters.exposition import Exposition
from exporters.host_metrics import Loading
from exporters.server import HttpServer
from tidegate import summary
from tidegate.daemon.http_app import HttpApplication
from tidegate.daemon.systemd import ServiceManager
from watcher.guard import TakeBack
from watcher.service import Watcher

log = logging.getLogger("tidegate.watch")

#: How often the state is asked whether it is still ours to write. An older service writes nothing anyway.
_VERSION_SECONDS = 5.0
#: How often the line for `systemctl status` is made anew.
_STATUS_SECONDS = 60.0


class Service:
    """Runs until ``stop``. ``load`` gives the configuration anew or raises; ``run_pass`` runs one pass.

    What ``take_back`` gives takes links back for the guards of the next watcher (``watcher.guard``).

    ``stop`` and ``reload`` may be called by any thread, but not by a signal handler.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        clock: Clock,
        manager: ServiceManager,
        run_pass: Callable[[Path], None],
        take_back: Callable[[Config, State, Clock], TakeBack],
    ) -> None:
        self._load = load
        self._clock = clock
        self._manager = manager
        self._run_pass = run_pass
        self._take_back = take_back
        self._config = load()
        self._loading = Loading(successful=True, at=clock.now().wall)
        self._state = State(self._config.state.path)
        self._exposition = Exposition(self._state, clock)
        self._application = HttpApplication(self._render, self._config.file, self._state, clock)
        self._guard = threading.Lock()
        self._watcher: Watcher | None = None
        self._wanted = True  # a watcher with the present configuration
        self._stopping = False
        self._http: HttpServer | None = None
        self._version_due = self._status_due = float("-inf")

    def run(self) -> None:
        """Works until it is stopped. Raises BusyError when another watcher runs, and NewerStateError."""
        with self._state.watch_lock():
            try:
                self._http = self._serve(self._config)
                while (watcher := self._next()) is not None:
                    watcher.work()
            finally:
                if not self._stopping:  # else it was told at once
                    self._manager.stopping()
                if self._http is not None:
                    self._http.stop()
                self._application.close()

    def stop(self) -> None:
        """Makes ``run`` record what was seen and return."""
        with self._guard:
            self._stopping = True
            self._manager.stopping()
            if self._watcher is not None:
                self._watcher.stop()

    def reload(self) -> None:
        """Loads the configuration anew. One with mistakes is refused, with all of them logged; the old one goes on."""
        self._manager.reloading()
        try:
            self._take(self._load())
        except TidegateError as error:
            self._reject_dump(str(error))
        except Exception:
            log.exception("a bug")
            self._reject_dump("it cannot be looked at")

    # --- a configuration after another

    def _next(self) -> Watcher | None:
        """The watcher that goes on with the present configuration; None when nothing is to go on."""
        with self._guard:
            if self._stopping or not self._wanted:
                return None
            self._wanted = False
            self._watcher = Watcher(
                self._config,
                self._state,
                self._clock,
                run_pass=lambda: self._run_pass(self._config.file),
                on_ready=self._ready,
                on_alive=self._alive,
                take_back=self._take_back(self._config, self._state, self._clock),
            )
            return self._watcher

    def _take(self, config: Config) -> None:
        if config.state.path != self._config.state.path:
            raise UsageError("[state] path cannot change while the service runs; restart it")
        with self._guard:
            if self._stopping:
                return
            self._move_http(config)
            self._config = config
            self._loading = Loading(successful=True, at=self._clock.now().wall)
            self._wanted = True
            if self._watcher is not None:
                self._watcher.stop()
        log.info("the new configuration is in effect")

    def _reject_dump(self, why: str) -> None:
        for line in why.splitlines():
            log.error("the new configuration is refused: %s", line)
        self._loading = Loading(successful=False, at=self._loading.at)
        log.error("the configuration of before goes on")
        self._manager.ready()

    # --- metrics and the page

    def _move_http(self, config: Config) -> None:
        """To another address; raises FaultError and stays where it is when that one cannot be had.

        The old one is left first: ``0.0.0.0`` cannot be had while we hold ``127.0.0.1`` at the same port.
        """
        old = self._http
        http, before = config.exporters.http, self._config.exporters.http
        if (http and http.listen) == (before and before.listen):
            if old is not None and http is not None:
                old.names = http.hosts
            return
        if old is not None:
            old.stop()
        try:
            self._http = self._serve(config)
        except FaultError:
            if old is not None:
                old.start()
            raise

    def _serve(self, config: Config) -> HttpServer | None:
        if (http := config.exporters.http) is None:
            return None
        server = HttpServer(http.listen, self._application, http.hosts)
        server.start()
        return server

    def _render(self) -> bytes:
        return self._exposition.text(self._config, self._loading)

    # --- what the loop tells

    def _ready(self) -> None:
        self._application.has_scanned()
        self._tell_status()
        self._manager.ready()

    def _alive(self) -> None:
        self._application.alive()
        self._manager.alive()
        uptime = self._clock.now().uptime
        if uptime >= self._version_due:
            self._version_due = uptime + _VERSION_SECONDS
            self._check_version()
        if uptime >= self._status_due:
            self._tell_status()

    def _check_version(self) -> None:
        """Raises NewerStateError: the service manager then starts the version that is installed now."""
        try:
            self._state.check_version()
        except NewerStateError:
            raise
        except FaultError:
            pass  # the watcher meets it too, says so and tries again

    def _tell_status(self) -> None:
        now = self._clock.now()
        self._status_due = now.uptime + _STATUS_SECONDS
        try:
            self._manager.status(summary.line(self._state, now.wall))
        except FaultError as error:
            self._manager.status(str(error))
