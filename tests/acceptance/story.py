"""Days on one host that a test can interrupt anywhere, and what must hold at every instant of them.

What is true is known here without Tidegate: which dumps were made, of which inodes and bytes, what the storage has
copied, and which links a report has spoken of.
"""

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.warm import Ended, Warm
from tests.host import Host

#: Inner name ("" for a dump that is one file) -> inode, and when it was written: a number that is free is given again.
Inodes = Mapping[str, tuple[int, int]]

LIMIT = 6000
OVERSIZE = "huge"
#: Tidegate's own folder in the export tree: nothing of it is charged.
OWN = ".tidegate"


@dataclass(frozen=True)
class Dump:
    """One dump that was made, and the name that it has in the export tree."""

    vm: str
    path: str
    export_name: str
    inodes: Inodes
    contents: Mapping[str, bytes]

    @property
    def bytes(self) -> int:
        return sum(len(content) for content in self.contents.values())


@dataclass
class Story:
    """``host`` from the outside: scripts that dump its VMs, and a storage that mirrors its tree by real copies."""

    host: Host
    dice: random.Random
    warm: Warm
    dumps: list[Dump] = field(default_factory=list)
    newest: dict[str, Dump] = field(default_factory=dict)
    #: What stood when the sync that runs was announced; None while none runs.
    sealed: dict[str, Inodes] | None = None
    pulled: bool = False
    confirmed: dict[str, Inodes] = field(default_factory=dict)
    #: VMs with a copy that was reported.
    offsite: set[str] = field(default_factory=set)
    syncs: int = 0

    @property
    def storage(self) -> Path:
        return self.host.folder / "storage"

    def begin(self) -> None:
        """A pass that finds nothing yet, and a first dump of each VM, one of which is heavier than the limit."""
        self.storage.mkdir()
        self.host.tree.mkdir()
        self.whole_pass()
        for number in range(8):
            self.dump(f"vm{number}")
        self.host.dump(f"{OVERSIZE}.img", LIMIT + 1)

    # --- what happens between two passes

    def go_on(self) -> None:
        """A dump or two, and the next step of a sync."""
        for _ in range(self.dice.randint(1, 2)):
            self.dump(f"vm{self.dice.randrange(8)}")
        if self.sealed is None:
            if self.dice.random() < 0.6:
                self.announce()
        elif not self.pulled:
            self.pull()
        else:
            self.report()

    def dump(self, vm: str) -> None:
        """A file or a folder: under a name of its own, or under the one name that this VM's dumps always take.

        Where it is now this and now that, its links have two names, and one of them goes when the other is off-site.
        """
        number = int(vm[2:])
        is_folder = number % 4 == 1 or (number % 4 > 1 and self.dice.random() < 0.5)
        made = len(self.dumps)
        stamp = f"-2026-{1 + made // 28 % 12:02}-{1 + made % 28:02}" if number < 4 else f"-{2030 + number}-01-01"
        path = f"{vm}{stamp}" if is_folder else f"{vm}{stamp}.img"
        names = ("config", "disks/0", "disks/deep/1") if is_folder else ("",)
        contents = {name: self.dice.randbytes(self.dice.randint(100, 1500 // len(names))) for name in names}
        self.write(path, contents)
        self.host.mark(path)
        inodes = _inodes(self.host.dumps / path)
        dump = Dump(vm, path, vm if is_folder else f"{vm}.img", inodes, contents)
        self.dumps.append(dump)
        self.newest[vm] = dump

    def write(self, path: str, contents: Mapping[str, bytes]) -> None:
        """Made aside and moved to its name, as the README tells: never written over what may be linked."""
        aside = self.host.folder / "aside"
        for inner, content in contents.items():
            file = aside / inner
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        target = self.host.dumps / path
        if target.is_dir():
            shutil.rmtree(target)
        aside.rename(target)

    def announce(self) -> None:
        links = json.loads(self.command("sync-started", "--json").stdout)["sealed"]
        self.sealed = self.standing()
        self.pulled = False
        assert sum(link["bytes"] for link in links) == self.unconfirmed(), "it speaks of all that is not confirmed"

    def pull(self) -> None:
        """The storage mirrors the tree: what is new or changed is copied, what no longer stands goes."""
        self.stands_whole()
        arriving = self.host.folder / "arriving"
        shutil.copytree(self.host.tree, arriving)
        shutil.rmtree(self.storage)
        arriving.rename(self.storage)
        has = {dump.vm for dump in self.dumps if (self.storage / dump.export_name).exists()}
        assert self.offsite <= has, f"the storage has lost its only copy of {self.offsite - has}"
        self.pulled = True

    def report(self) -> None:
        """What was sealed is confirmed and the day ends; the command may die while it removes what has had its use."""
        assert self.sealed is not None
        last = self.dice.choice([None, "before withdrawal", "before fsync", "withdrawn"])
        self.command("synced", kill_at=last)
        self.confirmed |= self.sealed
        self.offsite |= {dump.vm for dump in self.dumps if dump.inodes == self.sealed.get(dump.export_name)}
        self.sealed = None
        self.syncs += 1

    # --- the commands

    def command(self, *words: str, **killing: Any) -> Ended:
        """Runs it on this host, to its end or until it is killed."""
        ended = self.warm.run("--config", str(self.host.file), *words, **killing)
        assert ended.was_killed or ended.code == 0, ended
        return ended

    def whole_pass(self) -> int:
        """One that nobody kills: its account is what stands in the tree. Returns the bytes that are not confirmed."""
        day: dict[str, int] = json.loads(self.command("pass", "--json").stdout)["day"]
        self.account_holds(day)
        return day["outstanding_bytes"]

    # --- what must hold

    def standing(self) -> dict[str, Inodes]:
        """What stands visibly in the export tree."""
        tree = self.host.tree
        entries = sorted(tree.iterdir()) if tree.exists() else []
        return {path.name: _inodes(path) for path in entries if path.name != OWN}

    def stands_whole(self) -> None:
        """Each entry is one dump with all its members, hard-linked, and the ledger knew of it before it stood."""
        charged = self.charged()
        for name, inodes in self.standing().items():
            made = [one for one in self.dumps if (one.export_name, one.inodes) == (name, inodes)]
            assert made, f"{name} is no whole dump: {inodes}"
            assert (name, made[-1].path, made[-1].bytes) in charged, f"{name} stands, and nothing is charged for it"

    def charged(self) -> set[tuple[str, str, int]]:
        """Export name, path and bytes of every row of the ledger that was not given back."""
        with sqlite3.connect(f"file:{self.host.state}?mode=ro", uri=True) as connection:
            rows = connection.execute(
                "SELECT export_name, path, link.bytes FROM link JOIN dump ON dump.id = dump_id "
                "WHERE link.state <> 'void'"
            ).fetchall()
        connection.close()
        return {(os.fsdecode(name), os.fsdecode(path), size) for name, path, size in rows}

    def not_had(self) -> int:
        """Bytes in the tree that the storage has not had: what a sync that starts now must bring over."""
        return sum(
            path.stat().st_size
            for path in self.host.tree.rglob("*")
            if path.is_file()
            and OWN not in path.parts
            and not _is_copy(self.storage / path.relative_to(self.host.tree), path)
        )

    def unconfirmed(self) -> int:
        """Bytes in the tree of links that no report has spoken of."""
        return sum(
            (path / inner).stat().st_size
            for path, inodes in ((self.host.tree / name, inodes) for name, inodes in self.standing().items())
            if self.confirmed.get(path.name) != inodes
            for inner in inodes
        )

    def holds(self) -> None:
        """At any instant, also right after a kill."""
        self.stands_whole()
        assert self.not_had() <= LIMIT

    def account_holds(self, day: Mapping[str, int]) -> None:
        """After a whole pass: the account of ``pass --json`` is what stands in the tree."""
        self.holds()
        assert day["outstanding_bytes"] == self.unconfirmed()
        assert day["outstanding_bytes"] + day["used_bytes"] <= day["limit_bytes"] == LIMIT

    # --- the end

    def finish(self) -> None:
        """Days without dumps and without kills, as many as the bytes need, and then nothing is left to do."""
        enough = 4 + 2 * sum(dump.bytes for dump in self.newest.values()) // LIMIT
        for _ in range(enough):
            outstanding = self.whole_pass()
            if self.sealed is None:
                if not outstanding:
                    break
                self.announce()
            self.pull()
            self.report()
        self.pull()  # what has had its use goes from the storage too
        self.all_is_off_site()

    def all_is_off_site(self) -> None:
        """The storage is the newest dump of each VM, byte for byte, and nothing half-done is left on the host."""
        has = {
            str(path.relative_to(self.storage)): path.read_bytes()
            for path in self.storage.rglob("*")
            if path.is_file() and OWN not in path.parts
        }
        assert has == {
            f"{dump.export_name}/{inner}".rstrip("/"): content
            for dump in self.newest.values()
            for inner, content in dump.contents.items()
        }
        status = json.loads(self.command("status", "--json").stdout)
        copies = {one["vm"]: (one["freshness"].replace("new", "never"), one["offsite_by"]) for one in status["vms"]}
        assert copies == {OVERSIZE: ("never", None)} | dict.fromkeys(self.newest, ("fresh", "report"))
        markers = {path.name for path in self.host.dumps.rglob("*.done*") if path.name != f"{OVERSIZE}.img.done"}
        assert markers == set(), "each marker goes when its dump has its end, and none is left aside"
        assert list((self.host.dumps / ".rsync.staging").iterdir()) == []


def _inodes(path: Path) -> Inodes:
    files = {"": path} if path.is_file() else {str(file.relative_to(path)): file for file in sorted(path.rglob("*"))}
    return {name: (file.stat().st_ino, file.stat().st_mtime_ns) for name, file in files.items() if file.is_file()}


def _is_copy(copy: Path, file: Path) -> bool:
    return copy.is_file() and copy.read_bytes() == file.read_bytes()
