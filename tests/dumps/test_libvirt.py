"""The adapter ``libvirt``, with a real libvirt and real QEMU."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dumps import hypervisor
from tests.dumps.house import dump, is_tidy, marker, one, results, until
from tests.dumps.hypervisor import MIB, Hypervisor, is_same
from tests.host import Host


@pytest.fixture(scope="module")
def libvirt() -> Iterator[Hypervisor]:
    with hypervisor.started() as libvirt:
        yield libvirt


def house(folder: Path, libvirt: Hypervisor, *vms: str, **keys: Any) -> Host:
    """A host with the set ``weekly`` of these VMs of libvirt."""
    return Host(
        folder,
        daily=1_000_000_000,
        backup_sets={"weekly": {"vms": list(vms), "adapter": "libvirt", "uri": libvirt.uri, **keys}},
    )


def made(host: Host, shape: dict[str, Any], vm: str) -> Path:
    return host.dumps / str(one(shape, vm)["dump"])


def test_every_disk_of_a_vm_is_dumped_whether_it_runs_or_not(tmp_path: Path, libvirt: Hypervisor) -> None:
    """With what `virsh define` needs to have the VM again. Each file is told in the marker."""
    libvirt.define("two", vda=2, vdb=1)
    host = house(tmp_path / "host", libvirt, "two")
    for start in ([], ["start", "two"]):
        if start:
            libvirt.virsh(*start)
            libvirt.write("two", 8 * MIB, pattern=1)
            libvirt.write("two", 9 * MIB, pattern=2, disk=1)
        path = made(host, dump(host), "two")
        assert sorted(file.name for file in path.iterdir()) == ["domain.xml", "vda.qcow2", "vdb.qcow2"]
        assert is_same(path / "vda.qcow2", libvirt.disk("two"))
        assert is_same(path / "vdb.qcow2", libvirt.disk("two", "vdb"))
        assert "<name>two</name>" in (path / "domain.xml").read_text()
        assert is_tidy(host)
    bodies = [path.read_text() for path in host.dumps.glob("two-*.done")]
    assert all('"vdb.qcow2": {"size"' in body for body in bodies)


def test_what_is_written_after_the_job_has_begun_is_not_in_the_dump(tmp_path: Path, libvirt: Hypervisor) -> None:
    """A dump holds one instant, however long it takes."""
    libvirt.define("slow", slow=True, vda=4)
    libvirt.virsh("start", "slow")
    host = house(tmp_path / "host", libvirt, "slow")
    before = tmp_path / "before.qcow2"
    run = host.start("dump", "weekly")
    until(lambda: libvirt.is_backed_up("slow"))
    subprocess.run(["cp", libvirt.disk("slow"), before], check=True)
    libvirt.write("slow", 3 * MIB, pattern=3)
    assert run.wait() == 0, run.communicate()
    run.communicate()
    [path] = host.dumps.glob("slow-*Z")
    assert is_same(path / "vda.qcow2", before)
    assert not is_same(path / "vda.qcow2", libvirt.disk("slow"))


def test_a_run_that_is_killed_in_the_midst_leaves_a_job_that_the_next_one_ends(
    tmp_path: Path, libvirt: Hypervisor
) -> None:
    """It goes on in the hypervisor, and nobody else can back the VM up meanwhile."""
    libvirt.define("killed", slow=True, vda=6)
    libvirt.virsh("start", "killed")
    host = house(tmp_path / "host", libvirt, "killed", timeout="2s")
    run = host.start("dump", "weekly")
    until(lambda: libvirt.is_backed_up("killed"))
    run.kill()
    run.communicate()
    assert libvirt.is_backed_up("killed")
    shape = dump(host, code=1)
    assert [each["detail"] for each in shape["cleaned_up"]] == ["was undone: its run was killed, or the host went down"]
    assert one(shape, "killed")["error"] == "libvirt's backup job took longer than 2s"
    assert not libvirt.is_backed_up("killed")
    assert is_tidy(host)


def test_a_run_that_is_told_to_end_takes_its_job_with_it(tmp_path: Path, libvirt: Hypervisor) -> None:
    """Whoever waits for a lock of libvirt's for half a minute did not ask for that."""
    libvirt.define("stopped", slow=True, vda=6)
    libvirt.virsh("start", "stopped")
    host = house(tmp_path / "host", libvirt, "stopped")
    run = host.start("dump", "weekly")
    until(lambda: libvirt.is_backed_up("stopped"))
    run.send_signal(signal.SIGTERM)
    assert run.wait() == 1
    run.communicate()
    assert not libvirt.is_backed_up("stopped")
    assert marker(host, "failed", "stopped")["error"] == "its run was stopped"
    assert is_tidy(host)


def test_a_vm_that_libvirt_does_not_have_is_named_with_those_that_it_has(tmp_path: Path, libvirt: Hypervisor) -> None:
    """And a name that is a number is never taken for the id of another VM."""
    libvirt.define("here")
    libvirt.virsh("start", "here")
    [number] = libvirt.virsh("domid", "here").split()
    host = house(tmp_path / "host", libvirt, number, "here")
    shape = dump(host, code=1)
    assert results(shape) == {number: "failed", "here": "done"}
    assert "has no VM of this name; it has: " in one(shape, number)["error"]
