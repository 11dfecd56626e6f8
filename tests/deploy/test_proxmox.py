"""The hook for Proxmox's vzdump in places where it must not fail: full disks, links of others, killed jobs."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.vzdump import Guest, Killed, Vzdump
from tests.dumps.house import released, tell
from tests.host import ROOT, Host
from tests.mounts import Mount, mount

__all__ = ["mount"]

HOOK = ROOT / "deploy" / "proxmox" / "tidegate-vzdump-hook"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def standing(host: Host, kind: str) -> list[str]:
    return sorted(path.name for path in host.dumps.glob(f"*.{kind}"))


def archive(guest: Guest) -> str:
    return f"{guest.base}.vma.zst"


@pytest.mark.parametrize("mode", ["snapshot", "stop", "suspend"])
def test_what_vzdump_has_finished_leaves_and_what_has_failed_does_not(host: Host, mode: str) -> None:
    """A guest that failed keeps no other back; TARGET is named for it all the same."""
    good, bad, last = (Guest(number, mode=mode, fails=number == 101) for number in (100, 101, 102))
    vzdump = Vzdump(host.dumps, HOOK)
    assert vzdump.run([good, bad, last]) == 255
    assert {status for _, _, status in vzdump.called} == {0}
    assert standing(host, "done") == [f"{archive(good)}.done", f"{archive(last)}.done"]
    assert standing(host, "failed") == [f"{archive(bad)}.failed"]
    assert standing(host, "running") == []
    assert released(host) == {
        archive(good): "released",
        archive(bad): "dump_failed",
        archive(last): "released",
    }
    assert {one["vm"] for one in json.loads(tell(host, "status", "--json"))["vms"]} == {"100", "101", "102"}


def test_the_dump_time_is_when_the_backup_was_started(host: Host) -> None:
    """And while it runs it says so."""
    seen: list[str] = []

    class Watched(Vzdump):
        def _archive(self, guest: Guest) -> None:
            [running] = host.dumps.glob("*.running")
            seen.append(json.loads(running.read_text())["vm"])
            os.utime(running, (1_700_000_000, 1_700_000_000))
            super()._archive(guest)

    assert Watched(host.dumps, HOOK).run([Guest(100)]) == 0
    [done] = host.dumps.glob("*.done")
    body = json.loads(done.read_text())
    assert (seen, body["vm"], body["started"]) == (["100"], "100", "2023-11-14T22:13:20Z")


def test_a_backup_that_vzdump_did_not_live_to_end_has_failed(host: Host) -> None:
    """The next job says so; what another host of a cluster is writing there is left alone."""
    guest = Guest(100, is_killed=True)
    with pytest.raises(Killed):
        Vzdump(host.dumps, HOOK).run([guest])
    others = host.dumps / f"{archive(Guest(200))}.running"
    others.write_text('{"format": 1, "vm": "200", "host": "another-host"}\n')
    assert len(standing(host, "running")) == 2
    assert Vzdump(host.dumps, HOOK).run([Guest(101)]) == 0
    assert standing(host, "failed") == [f"{archive(guest)}.failed"]
    assert standing(host, "running") == [others.name]


def test_markers_of_what_vzdump_has_pruned_go(host: Host) -> None:
    """It removes the archive and leaves what it does not know."""
    first, second = (Guest(100, time=f"2026_11_2{number}-03_00_00") for number in (1, 2))
    for guest in (first, second):
        Vzdump(host.dumps, HOOK, keep=1).run([guest])
    assert standing(host, "done") == [f"{archive(second)}.done"]
    assert released(host) == {archive(second): "released"}


@pytest.mark.parametrize("target", ["-", "host/100/2026-11-22T03:00:00Z"])
def test_what_is_no_file_here_gets_no_marker(host: Host, tmp_path: Path, target: str) -> None:
    """What goes to stdout, or to a backup server."""
    assert Vzdump(host.dumps, HOOK, target=target).run([Guest(100)]) == 0
    assert [path.name for path in host.dumps.iterdir()] == []


def test_a_hook_that_cannot_write_makes_no_backup_fail(host: Host) -> None:
    """The disk may be full, or gone: that is no word about the backup."""
    guest = Guest(100)
    for kind in ("running", "done", "failed"):
        (host.dumps / f"{archive(guest)}.{kind}").mkdir()
        (host.dumps / f"{archive(guest)}.{kind}" / "in the way").touch()
    vzdump = Vzdump(host.dumps, HOOK)
    assert vzdump.run([guest]) == 0
    assert {status for _, _, status in vzdump.called} == {0}
    assert list(host.dumps.glob(".tidegate-mark*")) == []


def test_an_archive_that_is_not_there_is_not_said_to_be_done(host: Host) -> None:
    """Whatever vzdump says."""

    class Lying(Vzdump):
        def _archive(self, guest: Guest) -> None:
            pass

    assert Lying(host.dumps, HOOK).run([Guest(100)]) == 0
    assert (standing(host, "done"), len(standing(host, "failed"))) == ([], 1)


DUMP = "vzdump-qemu-100-2026_11_22-03_00_00.vma.zst"


def call(folder: Path, phase: str, *, vmid: str = "100", has_name: bool = True) -> None:
    """One call of the hook for a guest."""
    environment = {"DUMPDIR": str(folder)} | ({"TARGET": f"{folder}/{DUMP}"} if has_name else {})
    subprocess.run([HOOK, phase, "snapshot", vmid], env=environment, check=True, timeout=60)


def test_on_a_full_disk_a_failure_is_an_empty_marker_and_a_good_backup_has_none(mount: Mount) -> None:
    folder = mount("tmpfs", "size=64k")
    call(folder, "backup-start")
    (folder / DUMP).write_bytes(b"archive")
    call(folder, "backup-end")
    subprocess.run(["dd", "if=/dev/zero", f"of={folder}/rest"], check=False, capture_output=True)  # until it is full
    call(folder, "log-end")
    assert list(folder.glob("*.done")) == []
    call(folder, "backup-abort")
    assert [path.stat().st_size for path in folder.glob("*.failed")] == [0]
    assert list(folder.glob("*.running")) == list(folder.glob(".tidegate*")) == []


def test_a_failure_without_a_name_is_told_until_the_guest_is_backed_up(tmp_path: Path) -> None:
    call(tmp_path, "backup-abort", has_name=False)
    assert [path.name for path in tmp_path.iterdir()] == ["100.failed"]
    (tmp_path / DUMP).write_bytes(b"archive")
    for phase in ("backup-start", "backup-end", "log-end"):
        call(tmp_path, phase)
    assert sorted(path.name for path in tmp_path.iterdir()) == [DUMP, f"{DUMP}.done"]


def test_what_a_killed_hook_leaves_goes_with_the_next_job(tmp_path: Path) -> None:
    """That of another program stays: it may be in use."""
    for name in (f".tidegate-mark.{os.uname().nodename}.AbCdEfGhIj", ".tidegate-mark.0123456789abcdef"):
        (tmp_path / name).touch()
    subprocess.run([HOOK, "job-start"], env={"DUMPDIR": str(tmp_path)}, check=True)
    assert [path.name for path in tmp_path.iterdir()] == [".tidegate-mark.0123456789abcdef"]


@pytest.mark.parametrize("kind", ["running", "done", "failed"])
@pytest.mark.parametrize("is_there", [True, False])
def test_links_in_the_folder_lead_nowhere(tmp_path: Path, kind: str, is_there: bool) -> None:
    """The service's group may write there, and the hook is root."""
    folder, secret = tmp_path / "dump", tmp_path / "secret"
    folder.mkdir()
    if is_there:
        secret.write_text(json.dumps({"host": os.uname().nodename, "stage": "archived", "started": "1"}))
    before = secret.read_text() if is_there else None
    (folder / f"{DUMP}.{kind}").symlink_to(secret)
    (folder / "100.failed").symlink_to(secret)
    subprocess.run([HOOK, "job-start"], env={"DUMPDIR": str(folder)}, check=True)
    (folder / DUMP).symlink_to(secret)
    for phase in ("backup-start", "backup-end", "log-end", "backup-abort"):
        call(folder, phase)
    call(folder, "backup-abort", has_name=False)
    assert (secret.read_text() if secret.exists() else None) == before
    assert [path.name for path in folder.iterdir() if path.is_symlink() and path.name != DUMP] == []
    assert list(folder.glob("*.done")) == []


def test_a_pipe_in_the_place_of_a_marker_stops_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{DUMP}.running")
    subprocess.run([HOOK, "job-start"], env={"DUMPDIR": str(tmp_path)}, check=True, timeout=60)
    call(tmp_path, "backup-start")
    assert json.loads((tmp_path / f"{DUMP}.running").read_text())["vm"] == "100"


def test_a_dump_that_runs_is_not_its_vms_newest_once_it_is_done(host: Host) -> None:
    """It was seen at 03:00:00.7; the hook wrote 03:00:00."""

    class Seen(Vzdump):
        def _archive(self, guest: Guest) -> None:
            [running] = host.dumps.glob("*.running")
            running.write_text('{"format": 1, "vm": "100"}')
            moment = running.stat().st_mtime_ns // 10**9 * 10**9 - 10**9 + 700_000_000
            os.utime(running, ns=(moment, moment))
            tell(host, "pass")
            super()._archive(guest)

    guest = Guest(100)
    Seen(host.dumps, HOOK).run([guest])
    tell(host, "pass")
    [vm] = json.loads(tell(host, "status", "--json"))["vms"]
    newest = vm["newest_dump"]
    assert (newest["path"], newest["state"], newest["bytes"]) == (archive(guest), "linked", len("archive of 100"))
