"""The room on a dump disk: what is free, what links alone keep, and what goes when it is less than `min_free`."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.state import counters
from core.state.database import State
from tests.host import Host
from tests.mounts import Mount, mount

__all__ = ["mount"]  # the fixture

SIZE = 4_000_000
COLLECT = {"storage": "collect", "confirm": "read"}


def host_on(disk: Path, *, watch: Mapping[str, Any] | None = None, storage: Mapping[str, Any] = COLLECT) -> Host:
    return Host(disk / "host", daily=100_000_000, offsite=storage, watch=watch or {})


def room(host: Host) -> counters.WatchStatus:
    state = State(host.state)
    with state.read() as connection:
        status = counters.watch_statuses(connection)["dumps"]
    state.close()
    return status


def pinned(host: Host) -> int:
    host.run("pass")
    return room(host).pinned_bytes or 0


@pytest.mark.parametrize("is_short", [True, False])
def test_too_little_room_is_said_by_whoever_is_asked(mount: Mount, is_short: bool) -> None:
    disk = mount("ext4")
    host = host_on(disk, watch={"min_free": "100 MB" if is_short else "1 MB"})
    host.dump("vm1", SIZE)
    said = [host.run("pass").stderr, host.run("plan").stderr, host.run("status").stdout, host.run("check").stdout]
    for one in said:
        assert ("less than min_free = 100 MB; links alone keep 0 B there" in one) is is_short
    free = room(host).free_bytes
    assert free is not None
    assert 0 < free < 24 << 20
    metrics = dict(line.rsplit(" ", 1) for line in host.run("export-metrics", "--output", "-").stdout.splitlines())
    assert float(metrics['tidegate_watch_free_bytes{watch="dumps"}']) == free
    assert float(metrics['tidegate_watch_min_free_bytes{watch="dumps"}']) == (1e8 if is_short else 1e6)


@pytest.mark.parametrize(("least", "storage", "stays"), [
    ("100 MB", COLLECT, False),
    ("1 MB", COLLECT, True),
    ("100 MB", {"storage": "mirror", "confirm": "read"}, True),
])  # fmt: skip
def test_a_collections_confirmed_links_go_at_once_where_room_is_short(
    mount: Mount, least: str, storage: Mapping[str, Any], stays: bool
) -> None:
    """Else they stand until nothing was read for `quiet`. A mirror would lose its copy: there nothing goes."""
    host = host_on(mount("ext4"), watch={"min_free": least}, storage=storage)
    host.dump("vm1", SIZE)
    host.run("pass")
    subprocess.run(["cat", host.tree / "vm1"], stdout=subprocess.DEVNULL, check=True)
    said = host.run("pass").stderr
    assert host.json("status")["vms"][0]["offsite_by"] == "read"
    assert host.exported() == ({"vm1": SIZE} if stays else {})
    assert ("removed from the export tree" in said) is not stays


def test_nothing_of_what_was_sealed_goes_whatever_the_room(mount: Mount) -> None:
    """The storage checks what it pulls by the manifest."""
    host = host_on(mount("ext4"), watch={"min_free": "100 MB"})
    host.dump("vm1", SIZE)
    host.run("pass")
    host.run("sync-started")
    subprocess.run(["cat", host.tree / "vm1"], stdout=subprocess.DEVNULL, check=True)
    host.run("pass")
    assert host.exported() == {"vm1": SIZE}


def test_a_link_pins_its_bytes_once_the_dump_is_gone(mount: Mount) -> None:
    host = host_on(mount("ext4"))
    dump = host.dump("vm1", SIZE)
    host.run("pass")
    assert pinned(host) == 0
    dump.unlink()
    assert SIZE <= pinned(host) < SIZE * 1.1


def test_a_copy_pins_its_bytes_once_the_dump_is_another(mount: Mount) -> None:
    """As long as both stand they share their blocks."""
    host = host_on(mount("xfs"), watch={"publish": "reflink"})
    dump = host.dump("vm1", {"disk0": SIZE})
    host.run("pass")
    assert pinned(host) == 0
    with (dump / "disk0").open("r+b") as file:
        file.write(b"rewritten")
    assert SIZE <= pinned(host) < SIZE * 1.1
