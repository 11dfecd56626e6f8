"""One soak from its first marker to its account."""

import os
import shutil
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tools.soak import written_markers
from tools.soak.account import Account, account
from tools.soak.disturber import Conductor
from tools.soak.marker_methods import CLEAN, WAYS, everything, turn
from tools.soak.processes import Crew, noise, passing, writing
from tools.soak.removable_disk import Disk, Plug
from tools.soak.sampler import Clerk, Key
from tools.soak.watch_process import Service
from tools.soak.writer import Place, Writer

#: A soak that is shorter scans as often as it must to end in time.
_LONG_SECONDS = 60.0
#: Turns of each writer, on average a second.
_RATE = 12.0
#: What is not recorded so many scans after the last marker is missing.
_SCANS_TO_SETTLE = 4


class Play:
    """In ``folder``, which is empty. ``mounts``: may mount."""

    def __init__(self, folder: Path, seed: int, seconds: float, *, mounts: bool) -> None:
        self._folder = folder
        self.seed = seed
        self._seconds = seconds
        self.scan_seconds = 30 if seconds >= _LONG_SECONDS else 5
        self.journals = folder / "journals"
        self.journals.mkdir()
        host = Service(folder / "host", ["dumps", "disk"] if mounts else ["dumps"], self.scan_seconds)
        self.services = [host, Service(folder / "passes", ["dumps"], self.scan_seconds)]
        self.failed: list[str] = []
        self._crew = Crew()
        self._clerks: list[Clerk] = []
        self._disk: Disk | None = None
        self._mounts = mounts

    def run(self) -> Account:
        """Everything: the writers first, so that there are markers before there is a service."""
        until = time.monotonic() + self._seconds
        host, passes = self.services
        if self._mounts:
            self._plug(host.place("disk"))
        self._man(host.place("dumps"), passes)
        time.sleep(1)
        conductor = self._conductor()
        for service in self.services:
            conductor.start(service)
        self._clerks = [Clerk(service.name, service.state) for service in self.services]
        conductor.each_once()
        conductor.play(until)
        self.failed += self._crew.stop()
        self._settle()
        for service in self.services:
            service.end(signal.SIGTERM)
        return self._account(conductor)

    def close(self) -> None:
        """Ends and unmounts whatever is left, also after a failure."""
        self._crew.kill()
        for clerk in self._clerks:
            clerk.stop()
        for service in self.services:
            service.kill()
        if self._disk is not None:
            self._disk.close()

    def doings(self) -> Counter[str]:
        """What else was done."""
        return written_markers.doings(self.journals)

    def keep_logs(self, folder: Path) -> list[Path]:
        """Copies the services' logs and states to where they outlive the soak."""
        kept = []
        for service in self.services:
            for file in service.folder.glob("state.db*"):
                kept.append(folder / f"soak-{os.getpid()}-{service.name}-{file.name}")
                shutil.copy(file, kept[-1])
            kept.append(folder / f"soak-{os.getpid()}-{service.name}.log")
            shutil.copy(service.log, kept[-1])
        return kept

    # --- parts

    def _plug(self, place: Place) -> None:
        self._disk = Disk(self._folder / "disk.img", place.root)
        self._disk.mount()
        plug = Plug(self._disk)
        writer = self._writer(place, "poplar")
        self._crew.add("disk", writing(writer, lambda _writer: None, plug.turn, _RATE))

    def _man(self, place: Place, passes: Service) -> None:
        for name in ("alder", "birch"):
            self._crew.add(
                name, writing(self._writer(place, name), partial(everything, WAYS), partial(turn, WAYS), _RATE)
            )
        writer = self._writer(passes.place("dumps"), "cedar")
        self._crew.add("cedar", writing(writer, partial(everything, CLEAN), partial(turn, CLEAN), _RATE))
        self._crew.add("passes", passing(passes, self.journals, self.seed))
        self._crew.add("noise", noise(place.root, self.seed))

    def _conductor(self) -> Conductor:
        storms = [self._writer(service.place("dumps"), f"storm-{service.name}") for service in self.services]
        return Conductor(self.services, storms, written_markers.Journal(self.journals, "conductor"), self.seed)

    def _writer(self, place: Place, name: str) -> Writer:
        return Writer(place, name, self.seed, self.journals)

    def _settle(self) -> None:
        deadline = time.monotonic() + _SCANS_TO_SETTLE * self.scan_seconds
        wanted = [(one.service, one.watch, one.path, one.fingerprint) for one in written_markers.markers(self.journals)]
        while time.monotonic() < deadline and not self._all_seen(wanted):
            time.sleep(0.5)

    def _all_seen(self, wanted: list[Key]) -> bool:
        seen: set[Key] = set().union(*(clerk.first_seen() for clerk in self._clerks))
        return seen.issuperset(wanted)

    def _account(self, conductor: Conductor) -> Account:
        rows = [
            (service.name, row.watch, row.path, row.fingerprint)
            for service in self.services
            for row in service.seen().rows()
        ]
        seen = {key: at for clerk in self._clerks for key, at in clerk.first_seen().items()}
        return account(written_markers.markers(self.journals), rows, seen, conductor.disturbances)
