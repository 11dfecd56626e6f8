"""Two watch folders on two disks, of two filesystems, under one limit: the real commands, and a real rsync."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host
from tests.mounts import Mount, mount

__all__ = ["mount"]

LIMIT = 10_000


class TwoDisks:
    """``one`` on ext4 and ``two`` on xfs, each with its export tree; a storage with a folder for each."""

    def __init__(self, folder: Path, mount: Mount) -> None:
        self.host = Host(folder)
        self.disks = {"one": mount("ext4") / "dumps", "two": mount("xfs") / "dumps"}
        for disk in self.disks.values():
            disk.mkdir()
        settings = {
            "state": {"path": "state.db"},
            "limit": {"daily": f"{LIMIT} B"},
            "offsite": {"storage": "mirror", "confirm": "report"},
        }
        watches = "".join(
            f"[[watch]]\nname = {json.dumps(name)}\npath = {json.dumps(str(disk))}\n"
            for name, disk in self.disks.items()
        )
        tables = "".join(
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            for name, table in settings.items()
        )
        self.host.file.write_text(watches + tables)
        self.clock = GivenClock()
        self.at = AtGivenTime(self.host, self.clock)

    def dump(self, disk: str, name: str, size: int) -> None:
        aside = self.disks[disk] / f".{name}"
        aside.write_bytes(os.urandom(size))
        aside.rename(self.disks[disk] / name)
        (self.disks[disk] / f"{name}.done").touch()

    def standing(self) -> dict[str, int]:
        return {
            f"{disk}/{path.name}": path.stat().st_size
            for disk, folder in self.disks.items()
            for path in (folder / ".rsync").glob("*")
            if path.is_file()
        }

    def pull(self, disk: str) -> None:
        storage = self.host.folder / "storage" / disk
        storage.mkdir(parents=True, exist_ok=True)
        subprocess.run(["rsync", "-a", f"{self.disks[disk]}/.rsync/", f"{storage}/"], check=True)

    def day(self) -> int:
        number: int = self.at.json("pass")["day"]["number"]
        return number

    def fresh(self) -> set[str]:
        return {name for name, one in self.at.status().items() if one["freshness"] == "fresh"}


@pytest.fixture
def disks(tmp_path: Path, mount: Mount) -> TwoDisks:
    return TwoDisks(tmp_path / "host", mount)


def told_by(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_one_limit_holds_over_both_disks_and_one_report_speaks_of_both(disks: TwoDisks) -> None:
    """What leaves is chosen among the dumps of both."""
    for number in range(3):
        disks.dump("one", f"a{number}.img", 2000)
        disks.dump("two", f"b{number}.img", 2000)
    disks.at.run("pass")
    standing = disks.standing()
    assert sum(standing.values()) == LIMIT
    assert {name.partition("/")[0] for name in standing} == {"one", "two"}
    disks.at.run("sync-started")
    for disk in disks.disks:
        disks.pull(disk)
    disks.clock.advance(21 * HOUR)
    disks.at.run("synced")
    assert disks.day() == 2
    assert len(disks.fresh()) == 5
    assert len(disks.standing()) == 6, "what had no room yesterday"


def test_where_each_disk_is_reported_by_itself_the_day_ends_with_the_last(disks: TwoDisks) -> None:
    """A report of one confirms nothing of the other."""
    disks.dump("one", "a.img", 3000)
    disks.dump("two", "b.img", 7000)
    disks.dump("two", "c.img", 7000)
    disks.at.run("pass")
    disks.clock.advance(21 * HOUR)
    disks.pull("one")
    disks.at.run("synced", "--all", "--watch", "one")
    assert (disks.day(), disks.fresh()) == (1, {"a"})
    assert sum(disks.standing().values()) == LIMIT
    disks.pull("two")
    disks.at.run("synced", "--all", "--watch", "two")
    assert len(disks.fresh()) == 2
    assert disks.day() == 2
    assert sum(disks.standing().values()) == 17_000, "the third leaves in the new day"


def test_a_disk_that_is_away_keeps_its_bytes_and_does_not_keep_the_day_open(disks: TwoDisks, tmp_path: Path) -> None:
    """Its links stay as they were: not missing, not confirmed, and charged until they are."""
    disks.dump("one", "a.img", 3000)
    disks.dump("two", "b.img", 4000)
    disks.at.run("pass")
    unmounted = disks.disks["two"].parent
    device = told_by("findmnt", "-n", "-o", "SOURCE", str(unmounted))
    image = told_by("losetup", "-n", "-O", "BACK-FILE", device)
    subprocess.run(["umount", unmounted], check=True)
    disks.dump("one", "c.img", 5000)
    disks.dump("one", "d.img", 3000)
    disks.at.run("pass")
    assert set(disks.standing()) == {"one/a.img", "one/d.img"}, "5000 do not fit beside the 4000 that are away"
    disks.clock.advance(21 * HOUR)
    disks.pull("one")
    disks.at.run("synced", "--all", "--watch", "one")
    told = disks.at.json("pass")["day"]
    assert (told["number"], told["outstanding_bytes"]) == (2, 9000), "4000 away, 5000 new"
    disks.at.run("synced", "--all")
    assert "b" not in disks.fresh()
    subprocess.run(["mount", "-o", "loop", image, unmounted], check=True)
    disks.at.run("pass")
    assert "two/b.img" in disks.standing()
    disks.pull("two")
    disks.at.run("synced", "--all", "--watch", "two")
    assert disks.fresh() == {"a", "b", "c", "d"}
