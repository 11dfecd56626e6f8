"""Random histories of one host and its storage, on real files and a real state.

The storage is modelled by what it has had: every (name, inode, size, modification time) that it ever pulled, found
out by looking at the export tree when a sync starts. What it finds then and has not had is what the line must carry.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from core.config.load import load
from core.enums import DayEnd, Evidence, Force, Storage
from core.state import dumps, vms
from core.state.database import State
from policy.operations import adopt
from policy.operations import vms as admin
from policy.passes import run
from policy.passes.run import PassResult
from policy.sync import report as syncs
from tests.clock import GivenClock
from tests.host import Host
from watcher.scanner import scan_and_record

DAILY = 100
#: State and dumps in memory where there is such a place: thousands of passes are run, each with its fsyncs.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Stamp(NamedTuple):
    """One file of the export tree as a storage that compares size and time sees it."""

    name: str
    inode: int
    size: int
    mtime_ns: int


@dataclass
class Sync:
    """One sync of the storage. ``found``: the files that stood when it started."""

    started: float
    found: list[Stamp]
    announced: bool
    complete: bool = False


@dataclass
class World:
    """The host, its storage, and what has been done to both."""

    ends: DayEnd
    confirm: Evidence
    storage: Storage
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tidegate-", dir=_MEMORY)))
    more: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the configuration

    def __post_init__(self) -> None:
        self.clock = GivenClock()
        day = {"ends": self.ends, "timezone": "UTC"}
        offsite = {"storage": self.storage, "confirm": self.confirm}
        self.host = Host(self.folder / "host", daily=DAILY, day=day, offsite=offsite, **self.more)
        self.config = load(self.host.file, preflight=False)
        self.state = State(self.config.state.path)
        self.had: set[Stamp] = set()
        self.unmanaged: set[tuple[str, int]] = set()  # name and inode of what others have put into the tree
        self.rewritten: set[int] = set()  # inodes rewritten in place that no pass has looked at since
        self.serial = 0

    def end(self) -> None:
        self.state.close()
        shutil.rmtree(self.folder)

    # --- the dump scripts

    def dump(self, vm: str, size: int, *, dated: bool, folder: bool) -> None:
        """A finished dump: under its VM's name, or under a new one each time."""
        self.serial += 1
        suffix = ".d" if folder else ""
        name = f"{vm}-2026-01-{self.serial % 28 + 1:02}T00:{self.serial // 28:02}{suffix}" if dated else vm + suffix
        aside = self.host.dumps / f".new-{self.serial}"
        if folder:
            (aside / "inner").mkdir(parents=True)
            (aside / "disk0").write_bytes(os.urandom(size // 2))
            (aside / "inner" / "disk1").write_bytes(os.urandom(size - size // 2))
            shutil.rmtree(self.host.dumps / name, ignore_errors=True)
        else:
            aside.write_bytes(os.urandom(size))
        aside.rename(self.host.dumps / name)
        self.mark(name)

    def mark(self, name: str, kind: str = "done") -> None:
        marker = self.host.mark(name, kind)
        os.utime(marker, (self.clock.wall, self.clock.wall))

    def dumps(self) -> list[Path]:
        """The dumps that stand, in a lasting order."""
        names = (entry for entry in self.host.dumps.iterdir() if entry.name[0] != ".")
        return sorted(one for one in names if one.suffix not in (".done", ".failed"))

    def rewrite(self, dump: Path) -> None:
        """Overwrites a dump in place: the careless script whose file keeps its inode, and its size."""
        for path in [dump] if dump.is_file() else sorted(one for one in dump.rglob("*") if one.is_file()):
            before = path.stat()
            while path.stat().st_mtime_ns == before.st_mtime_ns:  # until the kernel's clock has ticked
                with path.open("r+b") as file:
                    file.write(os.urandom(before.st_size))
                if not before.st_size:  # writing nothing changes no time
                    os.utime(path)
            self.rewritten.add(before.st_ino)

    def delete(self, dump: Path) -> None:
        if dump.is_dir():
            shutil.rmtree(dump)
        else:
            dump.unlink()

    # --- Tidegate

    def run_pass(self) -> PassResult:
        """A scan and a pass, as `tidegate pass` does them."""
        scan_and_record(self.config, self.state, self.clock)
        result = run.run(self.config, self.state, self.clock, wait=0)
        self.rewritten.clear()
        return result

    def admin(self, what: str, vm: str) -> None:
        """The admin's word. Raises UsageError for a VM that is not known."""
        if what == "hold":
            admin.hold(self.config, self.state, self.clock, vm, wait=0)
        elif what == "unhold":
            admin.unhold(self.state, vm)
        elif what in list(Force):
            admin.force(self.state, vm, Force(what))
        else:
            adopt.adopt(self.config, self.state, self.clock, sent=False, wait=0)

    # --- others who meddle with the tree

    def put_stranger(self, name: str, size: int) -> None:
        """Something in the tree that Tidegate did not let out."""
        self.host.tree.mkdir(exist_ok=True)
        path = self.host.tree / name
        path.write_bytes(os.urandom(size))
        self.unmanaged.add((name, path.stat().st_ino))

    def link_by_hand(self, dump: Path, name: str) -> None:
        """The script of before: ``ln dump .rsync/name``."""
        self.host.tree.mkdir(exist_ok=True)
        os.link(dump, self.host.tree / name)
        self.unmanaged.add((name, dump.stat().st_ino))

    def remove_link(self, name: str) -> None:
        self.delete(self.host.tree / name)

    # --- the storage

    def standing(self) -> list[Stamp]:
        """Every file in the export tree, in the order in which rsync goes through it."""
        found = []
        for path in sorted(self.host.tree.rglob("*")) if self.host.tree.is_dir() else []:
            if path.is_file() and ".tidegate" not in path.parts:
                status = path.stat()
                name = str(path.relative_to(self.host.tree))
                found.append(Stamp(name, status.st_ino, status.st_size, status.st_mtime_ns))
        return found

    def tops(self) -> list[str]:
        """Names at the top of the tree."""
        return sorted({one.name.split("/")[0] for one in self.standing()})

    def unseen(self) -> list[Stamp]:
        """What a sync that started now would find and has not had."""
        return [one for one in self.standing() if one not in self.had]

    def ours(self, stamps: Iterable[Stamp]) -> int:
        """Bytes of those that Tidegate let out, as it let them out."""
        return sum(
            one.size
            for one in stamps
            if (one.name, one.inode) not in self.unmanaged and one.inode not in self.rewritten
        )

    def pull(self, stamps: Iterable[Stamp]) -> None:
        """The storage reads these files, if they still stand as it found them.

        The kernel notes the read; its stamp is then moved to the given time, since the kernel's clock is not ours.
        """
        standing = set(self.standing())
        for one in stamps:
            if one in standing:
                path = self.host.tree / one.name
                path.read_bytes()
                os.utime(path, ns=(int(self.clock.wall * 1e9), one.mtime_ns))
                self.had.add(one)

    def wants(self, sync: Sync) -> list[Stamp]:
        """What a sync transfers: a mirror what it has not had, a collection everything."""
        return [one for one in sync.found if self.storage is Storage.COLLECT or one not in self.had]

    def start_sync(self, *, announced: bool) -> Sync:
        if announced:
            syncs.announce(self.config, self.state, self.clock, wait=0)
        return Sync(self.clock.wall, self.standing(), announced)

    def list_of(self, sync: Sync) -> syncs.Report:
        """The list of a sync that may have broken off: names of which it found, and the storage has, every file."""
        missing = {one.name.split("/")[0] for one in sync.found if one not in self.had}
        names = frozenset(one.name.split("/")[0] for one in sync.found) - missing
        return syncs.Report(None if sync.announced else sync.started, names)

    def fresh_without_a_copy(self) -> list[str]:
        """VMs that are held to be off-site by a dump of which the storage has not had every file."""
        had = {(one.inode, one.size, one.mtime_ns) for one in self.had}
        with self.state.read() as connection:
            copies = {vm.name: vm.offsite_dump_id for vm in vms.all_vms(connection).values() if vm.offsite_dump_id}
            rows = dumps.by_ids(connection, set(copies.values()))
            files = {row_id: dumps.identity_of(connection, row).members for row_id, row in rows.items()}
        return [
            name
            for name, row_id in copies.items()
            if any((one.inode, one.size, one.mtime_ns) not in had for one in files[row_id])
        ]

    def report(self, said: syncs.Report) -> None:
        syncs.report(self.config, self.state, self.clock, said, wait=0)
