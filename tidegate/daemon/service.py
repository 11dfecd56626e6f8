"""The service behind ``tidegate watch``: one watcher after another, under one lock.

A reload loads the file beside the watcher that runs. A configuration that is rejected changes nothing. One that is
accepted stops the watcher, which records the markers that it knows of, and starts the next one: that one arms its
inotify watches before its first scan, and the scan finds what was marked in between. The watch lock is held
throughout, so that nobody else becomes the watcher; the process stays the same, so that the metrics and the service
manager see no restart.
"""

import gc
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from core.clock import Clock, SystemClock
from core.config.settings import Config
from core.errors import FaultError, NewerStateError, TidegateError, UsageError
from core.state.database import State
from exporters import health
from exporters.exposition import Exposition
from exporters.host_metrics import Loading
from exporters.server import HttpServer
from tidegate.daemon.http_app import HttpApplication
from tidegate.daemon.signals import on_signal
from tidegate.daemon.systemd import ServiceManager
from watcher.guard import Revoke
from watcher.service import Watcher

log = logging.getLogger("tidegate.watch")

#: How often the state is asked whether it is still ours to write. An older service writes nothing anyway.
_VERSION_SECONDS = 5.0
#: How often the line for `systemctl status` is made anew.
_STATUS_SECONDS = 60.0
#: A link that is to be revoked waits so long for a running pass, before that is logged and tried again.
_PASS_SECONDS = 30.0
#: A thread that records waits so long for one that computes, such as the one that writes a scrape; Python's own is
#: 5 ms, and each marker waits several times.
_SWITCH_SECONDS = 0.0005
#: A full garbage collection holds all threads up, with ten thousand VMs for as long as twenty markers take: the
#: program's own objects are left out, and Python's thresholds are a hundred times as high.
_COLLECTIONS = (20_000, 20, 100)


def serve(load: Callable[[], Config]) -> None:
    """Runs the service in this process until a signal ends it. ``load`` gives the configuration anew or raises."""
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)
    gc.enable()
    sys.setswitchinterval(_SWITCH_SECONDS)
    clock = SystemClock()
    service = Service(load, clock, ServiceManager(clock), run_pass, revoker)
    on_signal(signal.SIGHUP, service.reload)
    on_signal(signal.SIGTERM, service.stop)
    on_signal(signal.SIGINT, service.stop)
    service.run()


def revoker(config: Config, state: State, clock: Clock) -> Revoke:
    """What revokes links whose dumps are written to. In this process: to start another one takes too long."""

    def act(watch: str, names: Collection[str] | None) -> None:
        from policy.operations.revoke_rewritten import revoke_rewritten

        revoke_rewritten(config, state, clock, watch, names, wait=_PASS_SECONDS)

    return act


def run_pass(file: Path) -> None:
    """The daily pass, as the command that an admin would run: it shares nothing with the service but the state."""
    command = [sys.executable, "-m", "tidegate", "--config", str(file), "pass"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    for line in done.stdout.splitlines()[-2:]:
        log.info("pass: %s", line)
    for line in done.stderr.splitlines():
        log.warning("pass: %s", line.removeprefix("tidegate: "))
    if done.returncode != 0:
        log.error("pass: ended with %d", done.returncode)


class Service:
    """Runs until ``stop``. ``load`` gives the configuration anew or raises; ``run_pass`` runs one pass.

    ``revoker`` gives what revokes links for the guards of the next watcher (``watcher.guard``).

    ``stop`` and ``reload`` may be called by any thread, but not by a signal handler.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        clock: Clock,
        manager: ServiceManager,
        run_pass: Callable[[Path], None],
        revoker: Callable[[Config, State, Clock], Revoke],
    ) -> None:
        self._load = load
        self._clock = clock
        self._manager = manager
        self._run_pass = run_pass
        self._revoker = revoker
        self._config = load()
        self._loading = Loading(successful=True, at=clock.now().wall)
        self._state = State(self._config.state.path)
        self._exposition = Exposition(self._state, clock)
        self._application = HttpApplication(self._render, lambda: self._config, self._state, clock)
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
                if not self._stopping:  # else it was sent at once
                    self._manager.stopping()
                if self._http is not None:
                    self._http.stop()
                self._application.close()

    def stop(self) -> None:
        """Makes ``run`` record the markers that are known of, and return."""
        with self._guard:
            self._stopping = True
            self._manager.stopping()
            if self._watcher is not None:
                self._watcher.stop()

    def reload(self) -> None:
        """Loads the configuration anew. One with errors is rejected, and all of them are logged."""
        self._manager.reloading()
        try:
            self._accept(self._load())
        except TidegateError as error:
            self._reject(str(error))
        except Exception:
            log.exception("a bug")
            self._reject("it cannot be checked")

    # --- a configuration after another

    def _next(self) -> Watcher | None:
        """A watcher with the present configuration; None when none is wanted."""
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
                revoke=self._revoker(self._config, self._state, self._clock),
            )
            return self._watcher

    def _accept(self, config: Config) -> None:
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

    def _reject(self, why: str) -> None:
        for line in why.splitlines():
            log.error("the new configuration is rejected: %s", line)
        self._loading = Loading(successful=False, at=self._loading.at)
        log.error("the previous configuration stays in effect")
        self._manager.ready()

    # --- metrics and the page

    def _move_http(self, config: Config) -> None:
        """Serves at another address. Raises FaultError and keeps the present one when that is not available.

        The present one is closed first: ``0.0.0.0`` is not available while we hold ``127.0.0.1`` at the same port.
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

    # --- by the watcher's main loop

    def _ready(self) -> None:
        self._application.has_scanned()
        self._send_status()
        self._manager.ready()

    def _alive(self) -> None:
        self._application.alive()
        self._manager.alive()
        uptime = self._clock.now().uptime
        if uptime >= self._version_due:
            self._version_due = uptime + _VERSION_SECONDS
            self._check_version()
        if uptime >= self._status_due:
            self._send_status()

    def _check_version(self) -> None:
        """Raises NewerStateError: the service manager then starts the version that is installed now."""
        try:
            self._state.check_version()
        except NewerStateError:
            raise
        except FaultError:
            pass  # the watcher meets it too, logs it and tries again

    def _send_status(self) -> None:
        now = self._clock.now()
        self._status_due = now.uptime + _STATUS_SECONDS
        try:
            with self._state.read() as connection:
                line = health.report(connection, self._config, now).status_line
            self._manager.status(line)
        except FaultError as error:
            self._manager.status(str(error))
