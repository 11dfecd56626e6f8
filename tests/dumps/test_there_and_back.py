"""Five VMs, from a libvirt that runs them over a storage back into libvirt."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dumps import virsh
from tests.dumps.guest import Agent, hanging
from tests.dumps.house import dump, is_tidy, marker, one, results, tell
from tests.dumps.hypervisor import Hypervisor, house_of, is_same
from tests.host import Host
from tests.mounts import Mount, mount
from tests.waiting import until

pytestmark = pytest.mark.slow

__all__ = ["mount"]  # the fixture

_BLOCK, _BLOCKS = 64 << 10, 200
#: Bytes of random data that come first on each disk.
_FILLED = 1 << 20


@contextmanager
def written_to(libvirt: Hypervisor, *names: str) -> Iterator[None]:
    """Meanwhile the disks of these VMs change: block after block, the n-th block of each is filled with n."""
    ended = threading.Event()

    def write(first: int, last: int) -> None:
        for number in range(first, last):
            for name in names:
                if ended.is_set():
                    return
                libvirt.write(name, _FILLED + number * _BLOCK, pattern=number)

    write(1, 3)
    writer = threading.Thread(target=write, args=(3, _BLOCKS))
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def written_blocks(image: Path, raw: Path) -> list[int]:
    """The numbers of the blocks that hold what was written into them; anything else is zeros."""
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw], check=True)
    data = raw.read_bytes()
    blocks = {number: data[_FILLED + number * _BLOCK :][:_BLOCK] for number in range(1, _BLOCKS)}
    assert all(block in (bytes(_BLOCK), bytes([number]) * _BLOCK) for number, block in blocks.items())
    return [number for number, block in blocks.items() if any(block)]


def test_five_vms_and_one_dump_that_fails(
    tmp_path: Path, libvirt: Hypervisor, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four dumps and one failure; the four leave, and any of them is a VM again with nothing but the storage's copy.

    ``busy`` and ``busier`` are written to all the while, ``idle`` is shut off, ``hung`` does not answer, and ``fat``
    has more data than the dumps' disk has room.
    """
    monkeypatch.setattr(virsh, "_FREEZE_SECONDS", "2")
    monkeypatch.setattr(virsh, "_THAW_SECONDS", "2")
    for name in ("busy", "busier", "idle"):
        libvirt.define(name)
    libvirt.define("hung", agent=True)
    libvirt.define("fat", vda=30)
    for name in ("busy", "busier", "hung", "fat"):
        libvirt.virsh("start", name)
    vms = ("busy", "fat", "busier", "hung", "idle")
    disk = mount("ext4")
    host = house_of(libvirt, tmp_path / "host", *vms, watch={"path": str(disk)}, offsite={"confirm": "report"})
    host.dumps, host.tree = disk, disk / ".rsync"

    watcher = host.start("watch")
    try:
        with written_to(libvirt, "busy", "busier"), Agent(libvirt.qtest("hung"), hanging):
            shape = dump(host, code=1)
        assert results(shape) == {vm: "failed" if vm == "fat" else "done" for vm in vms}
        assert "libvirt's backup job ended as Failed" in one(shape, "fat")["error"]
        assert marker(host, "failed", "fat")["error"] == one(shape, "fat")["error"]
        assert len(list(host.dumps.glob("*.done"))) == 4
        assert is_tidy(host)
        until(lambda: recorded(host) == set(vms))
    finally:
        watcher.terminate()
        watcher.communicate()

    # What was let out is pulled by the storage; then this host is no more.
    tell(host, "sync-started")
    tell(host, "pass")
    tell(host, "sync-started")
    storage = tmp_path / "storage"
    subprocess.run(["rsync", "-a", f"{host.tree}/", f"{storage}/"], check=True)
    tell(host, "synced")
    offsite = {one["vm"]: one["offsite_by"] for one in json.loads(tell(host, "status", "--json"))["vms"]}
    assert offsite == {vm: None if vm == "fat" else "report" for vm in vms}

    for name in ("busy", "busier", "hung", "idle"):
        told = tell(host, "restore", name, "--from", str(storage), "--to", str(tmp_path / "restored"))
        restored = tmp_path / "restored" / name
        if name in ("hung", "idle"):
            assert is_same(restored / "vda.qcow2", libvirt.disk(name))
        else:
            blocks = written_blocks(restored / "vda.qcow2", tmp_path / "raw")
            assert blocks == list(range(1, max(2, len(blocks)) + 1)), "no single instant"
        if name in ("busy", "idle"):
            start_again(libvirt, name, told)


def recorded(host: Host) -> set[str]:
    """The VMs of which the watcher has recorded a dump, or that it failed."""
    vms = json.loads(tell(host, "status", "--json"))["vms"]
    return {vm["vm"] for vm in vms if vm["newest_dump"] or vm["last_dump_failed"]}


def start_again(libvirt: Hypervisor, name: str, told: str) -> None:
    """The VM and its disk are lost; what `restore` has printed brings it back."""
    if libvirt.virsh("domstate", name).strip() == "running":
        libvirt.virsh("destroy", name)
    libvirt.virsh("undefine", name)
    libvirt.disk(name).unlink()
    words = told.splitlines()[-1].split()
    subprocess.run(words, env={**os.environ, "LIBVIRT_DEFAULT_URI": libvirt.uri}, check=True, capture_output=True)
    libvirt.virsh("start", name)
    assert libvirt.virsh("domstate", name).strip() == "running"
    assert "restored" in libvirt.virsh("domblklist", name)
