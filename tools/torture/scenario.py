"""What is tortured: single commands in the days of a host that mirrors and of one that collects.

Each host is played once without any disturbance. Before each command its disk is copied; after it two whole passes
tell what it comes to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.host import Host
from tools.torture import invariants
from tools.torture.expected_state import Dump, Truth, standing, written
from tools.torture.forked_command import Body, record, run, tidegate
from tools.torture.image_disk import Disk

LIMIT = 6000


@dataclass(frozen=True, slots=True)
class Act:
    """A command, the image of its host at the instant before, what is true then, and what it comes to undisturbed."""

    name: str
    body: Body
    image: Path
    truth: Truth
    end: invariants.End

    @property
    def is_pass(self) -> bool:
        return self.name.endswith("pass")


class Rehearsal:
    """One host on a filesystem of this ``kind``; ``acts`` are what its play has come by."""

    def __init__(self, folder: Path, name: str, kind: str, storage: str) -> None:
        folder.mkdir()
        self.acts: list[Act] = []
        self._truth = Truth(LIMIT)
        self._name = name
        self._folder = folder
        self._disk = Disk(folder / "disk.img", folder / "mounted")
        self._disk.make(kind)
        self._disk.mount()
        self._host = Host(
            self._disk.point / "host",
            daily=LIMIT,
            offsite={"storage": storage, "confirm": "report"},
            day={"at_least": "0s"},
        )

    # --- scripts, the storage, and others

    def dump(self, path: str, content: int | Mapping[str, int], marker: str | None = "done") -> None:
        """A dump and its marker. Its VM is what stands before the first dot or date."""
        made = written(self._host.dumps / path, content, path[0])
        size = content if isinstance(content, int) else sum(content.values())
        vm = path.partition(".")[0].partition("-2026")[0]
        self._truth.dumps[made] = Dump(vm, path, size, is_finished=marker == "done")
        if marker is not None:
            self._host.mark(path, marker)

    def rewrite(self, path: str) -> None:
        """The careless script: in place, so that what stands in the tree changes."""
        file = self._host.dumps / path
        before = file.stat()
        while file.stat().st_mtime_ns == before.st_mtime_ns:  # until the kernel's clock has ticked
            file.write_bytes(b"?" * before.st_size)

    def remove(self, path: str) -> None:
        """A dump makes room for the next one of its name."""
        (self._host.dumps / path).unlink()

    def pull(self) -> None:
        """The storage copies what stands."""
        self._truth.had |= set(standing(self._host.folder).values())

    def lose(self, name: str) -> None:
        """Somebody takes a link out of the tree."""
        self._truth.gone.add(standing(self._host.folder)[name])
        (self._host.tree / name).unlink()

    # --- commands

    def run(self, *words: str) -> None:
        """A command that nobody will disturb."""
        self._do(tidegate(*words))

    def act(self, name: str, body: Body) -> None:
        """A command that will be disturbed; now it is not."""
        before, after = self._folder / f"{name}.img", self._folder / "after.img"
        self._disk.save(before)
        truth = self._truth.copy()
        self._do(body)
        self._disk.save(after)
        for _ in range(2):
            self.run("pass")
        self.acts.append(Act(f"{self._name} {name}", body, before, truth, invariants.end(self._host.folder)))
        self._disk.put_back(after)

    def close(self) -> None:
        """The play is over."""
        self._disk.unmount()

    def _do(self, body: Body) -> None:
        ended = run(body, self._host.folder)
        assert ended.code == 0, ended


def mirror(folder: Path, kind: str = "ext4") -> list[Act]:
    """Files and folders, new and in place of each other; what was rewritten, lost, failed, or is too heavy."""
    play = Rehearsal(folder, "mirror", kind, "mirror")
    play.run("pass")
    play.dump("alpha-2026-01-01.img", 700)
    play.dump("bravo-2026-01-01", {"config": 50, "disks/0": 300, "disks/deep/1": 200})
    play.dump("charlie-2026-01-01.img", 400)
    play.dump("delta-2026-01-01.img", 300)
    play.dump("echo-2026-01-01", {"a": 100, "b/c": 150})
    play.dump("foxtrot-2026-01-01", 401)
    play.dump("india.img", 299, "failed")
    play.run("pass")
    play.run("sync-started")
    play.pull()
    play.run("synced")
    play.dump("lima.img", 301)
    play.run("pass")
    play.dump("golf.img", 500, marker=None)
    play.act("mark", tidegate("mark", "{}/dumps/golf.img", "--vm", "golf"))
    play.dump("alpha-2026-02-01.img", 900)
    play.dump("bravo-2026-02-01", {"config": 51, "disks/0": 350, "disks/deep/2": 202})
    play.dump("delta-2026-02-01", {"disk": 350, "empty/not": 1})
    play.dump("echo-2026-02-01", 520)
    play.dump("foxtrot-2026-02-01", {"a/b/c": 250, "a/d": 160})
    play.dump("hotel-2026-02-01", {"x": 220, "y/z": 230})
    play.remove("india.img")
    play.dump("india.img", 303)
    play.dump("juliet.img", 5600)
    play.dump("huge.img", LIMIT + 1)
    play.dump("kilo-2026-02-01.img", 200)
    play.dump("kilo-2026-02-02.img", 250)
    play.rewrite("charlie-2026-01-01.img")
    play.rewrite("lima.img")
    play.act("record", record)
    play.act("pass", tidegate("pass"))
    play.act("hold", tidegate("hold", "hotel"))
    play.act("sync-started", tidegate("sync-started"))
    play.lose("kilo.img")
    play.pull()
    play.act("synced", tidegate("synced"))
    play.act("next pass", tidegate("pass"))
    play.close()
    return play.acts


def collect(folder: Path, kind: str = "ext4") -> list[Act]:
    """A report takes the links out that it confirms, and the pass after it their markers."""
    play = Rehearsal(folder, "collect", kind, "collect")
    play.dump("alpha-2026-01-01.img", 700)
    play.dump("bravo-2026-01-01", {"config": 50, "disks/0": 300, "disks/deep/1": 200})
    play.dump("charlie-2026-01-01.img", 400)
    play.run("pass")
    play.run("sync-started")
    play.pull()
    play.act("synced", tidegate("synced"))
    play.dump("alpha-2026-01-02.img", 701)
    play.act("pass", tidegate("pass"))
    play.close()
    return play.acts
