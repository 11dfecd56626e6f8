"""The adapter ``libvirt``, with a real libvirt and real QEMU."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dumps import virsh
from tests.dumps import hypervisor
from tests.dumps.guest import Agent, answering, hanging, stuck_in_freezing
from tests.dumps.house import dump, is_tidy, marker, one, results, tell
from tests.dumps.hypervisor import MIB, Hypervisor, house_of, is_same
from tests.host import Host
from tests.waiting import until

pytestmark = pytest.mark.slow


def made(host: Host, shape: dict[str, Any], vm: str) -> Path:
    return host.dumps / str(one(shape, vm)["dump"])


def test_every_disk_of_a_vm_is_dumped_whether_it_runs_or_not(tmp_path: Path, libvirt: Hypervisor) -> None:
    """With what `virsh define` needs to have the VM again. Each file is told in the marker."""
    libvirt.define("two", vda=2, vdb=1)
    host = house_of(libvirt, tmp_path / "host", "two")
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


def test_a_vm_comes_back_with_the_variables_of_its_firmware(tmp_path: Path, libvirt: Hypervisor) -> None:
    """Without them it forgets what it boots. They are kept of a VM that runs, too."""
    libvirt.define("uefi", variables=True)
    host = house_of(libvirt, tmp_path / "host", "uefi")
    shut_off = made(host, dump(host), "uefi")
    libvirt.virsh("start", "uefi")
    path = made(host, dump(host), "uefi")
    kept = {(one / "nvram.fd").read_bytes() for one in (shut_off, path)}
    assert kept == {libvirt.variables("uefi").read_bytes()}
    restored = tmp_path / "restored" / "uefi"
    tell(host, "restore", "uefi", "--from", str(path), "--to", str(restored.parent))
    libvirt.virsh("destroy", "uefi")
    libvirt.variables("uefi").unlink()
    libvirt.virsh("define", str(restored / "define.xml"))
    libvirt.virsh("start", "uefi")
    assert str(restored / "nvram.fd") in libvirt.virsh("dumpxml", "uefi")


def test_a_disk_that_cannot_be_dumped_makes_the_dump_fail(tmp_path: Path, libvirt: Hypervisor) -> None:
    """Never is a dump made without it: of a VM that is shut off a disk on the network cannot be read."""
    libvirt.define("far", slow=True)
    host = house_of(libvirt, tmp_path / "host", "far")
    assert "disk vda is neither a file nor a block device" in one(dump(host, code=1), "far")["error"]
    assert is_tidy(host)


def test_what_is_written_after_the_job_has_begun_is_not_in_the_dump(tmp_path: Path, libvirt: Hypervisor) -> None:
    """A dump holds one instant, however long it takes."""
    libvirt.define("slow", slow=True, vda=4)
    libvirt.virsh("start", "slow")
    host = house_of(libvirt, tmp_path / "host", "slow")
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
    host = house_of(libvirt, tmp_path / "host", "killed", keys={"timeout": "2s"})
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
    host = house_of(libvirt, tmp_path / "host", "stopped")
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
    host = house_of(libvirt, tmp_path / "host", number, "here")
    shape = dump(host, code=1)
    assert results(shape) == {number: "failed", "here": "done"}
    assert "has no VM of this name; it has: " in one(shape, number)["error"]


# --- guests with an agent


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that hangs is waited for as long as it takes to see that it does."""
    monkeypatch.setattr(virsh, "_FREEZE_SECONDS", "2")
    monkeypatch.setattr(virsh, "_THAW_SECONDS", "2")


def test_a_guest_with_an_agent_is_at_rest_when_the_job_begins_and_no_longer(
    tmp_path: Path, libvirt: Hypervisor
) -> None:
    """The job goes on for seconds after it."""
    libvirt.define("agent", agent=True, slow=True, vda=4)
    libvirt.virsh("start", "agent")
    host = house_of(libvirt, tmp_path / "host", "agent")
    backed_up: list[bool] = []

    def answer(request: dict[str, Any]) -> object:
        if request["execute"].startswith("guest-fsfreeze"):
            backed_up.append(libvirt.is_backed_up("agent"))
        return answering(request)

    with Agent(libvirt.qtest("agent"), answer) as agent:
        shape = dump(host)
    assert [word for word in agent.asked if word != "guest-sync"] == ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]
    assert backed_up == [False, True]
    assert is_same(made(host, shape, "agent") / "vda.qcow2", libvirt.disk("agent"))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [hanging, stuck_in_freezing])
def test_an_agent_that_hangs_keeps_no_dump_from_being_made(
    tmp_path: Path, libvirt: Hypervisor, answer: Callable[[dict[str, Any]], object]
) -> None:
    """The guest is dumped as it is, and is asked to thaw all the same: it may have frozen later."""
    name = answer.__name__
    libvirt.define(name, agent=True)
    libvirt.virsh("start", name)
    host = house_of(libvirt, tmp_path / "host", name)
    with Agent(libvirt.qtest(name), answer) as agent:
        shape = dump(host)
    assert results(shape) == {name: "done"}
    assert ("guest-fsfreeze-thaw" in agent.asked) == (answer is stuck_in_freezing)
    said = Path(one(shape, name)["log"]).read_text()
    assert "the guest did not freeze, and its dump is only crash-consistent" in said
    assert ("may still be frozen" in said) == (answer is hanging)


def test_a_guest_whose_run_was_killed_while_it_was_frozen_goes_on_with_the_next_run(
    tmp_path: Path, libvirt: Hypervisor
) -> None:
    """Else whoever waits for its disks waits for ever."""
    libvirt.define("frozen", agent=True)
    libvirt.virsh("start", "frozen")
    host = house_of(libvirt, tmp_path / "host", "frozen")
    runs: list[subprocess.Popen[str]] = []

    def answer(request: dict[str, Any]) -> object:
        if request["execute"] == "guest-fsfreeze-freeze" and runs[0].poll() is None:
            runs[0].kill()
            runs[0].wait()
        return answering(request)

    with Agent(libvirt.qtest("frozen"), answer) as agent:
        runs.append(host.start("dump", "weekly"))
        runs[0].communicate()
        until(lambda: "guest-fsfreeze-freeze" in agent.asked)
        assert "guest-fsfreeze-thaw" not in agent.asked
        agent.asked.clear()
        shape = dump(host)
        asked = [word for word in agent.asked if word != "guest-sync"]
    assert asked == ["guest-fsfreeze-thaw", "guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]
    assert len(shape["cleaned_up"]) == 1


# --- what fails


def test_a_job_that_is_ended_by_somebody_else_has_failed(tmp_path: Path, libvirt: Hypervisor) -> None:
    """No job any more means that it is over, and not that it was done; and the one before was done."""
    libvirt.define("ended", slow=True, vda=3)
    libvirt.virsh("start", "ended")
    host = house_of(libvirt, tmp_path / "host", "ended")
    assert results(dump(host)) == {"ended": "done"}
    run = host.start("dump", "weekly")
    until(lambda: libvirt.is_backed_up("ended"))
    libvirt.virsh("domjobabort", "ended")
    assert run.wait() == 1
    run.communicate()
    assert "libvirt's backup job ended as Cancelled" in marker(host, "failed", "ended")["error"]
    assert is_tidy(host)


def test_a_vm_whose_qemu_hangs_keeps_no_other_from_being_dumped(
    tmp_path: Path, libvirt: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libvirt waits for it for ever; nothing is begun when it comes back."""
    monkeypatch.setattr(virsh, "_SECONDS", 3.0)
    for name in ("stuck", "well"):
        libvirt.define(name)
        libvirt.virsh("start", name)
    host = house_of(libvirt, tmp_path / "host", "stuck", "well")
    os.kill(libvirt.process("stuck"), signal.SIGSTOP)
    try:
        shape = dump(host, code=1)
    finally:
        os.kill(libvirt.process("stuck"), signal.SIGCONT)
    assert results(shape) == {"stuck": "failed", "well": "done"}
    assert "it took longer than 3s" in one(shape, "stuck")["error"]
    until(lambda: not libvirt.is_backed_up("stuck"))
    assert is_tidy(host)
    assert results(dump(host)) == {"stuck": "done", "well": "done"}


def test_a_job_goes_on_while_libvirt_is_started_anew(tmp_path: Path) -> None:
    """An upgrade of libvirt in the night costs no dump."""
    with hypervisor.started() as own:
        own.define("vm1", slow=True, vda=4)
        own.virsh("start", "vm1")
        host = house_of(own, tmp_path / "host", "vm1")
        run = host.start("dump", "weekly")
        until(lambda: own.is_backed_up("vm1"))
        own.restart()
        assert run.wait() == 0, run.communicate()
        run.communicate()
        [path] = host.dumps.glob("vm1-*Z")
        assert is_same(path / "vda.qcow2", own.disk("vm1"))
