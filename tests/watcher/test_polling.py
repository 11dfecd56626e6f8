"""Filesystems that give no events: it is said, and polling finds what is marked on them."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.preflight import folders
from tests.host import ROOT
from tests.mounts import Mount
from tests.waiting import until
from tests.watcher.site import Site, done
from watcher.inotify import Inotify

_MOUNTS = """\
29 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 29 0:44 / /srv/nfs\\040dumps rw master:2 propagate_from:1 - nfs4 host:/dumps rw,vers=4.2
32 29 0:45 / /srv/ssh rw - fuse.sshfs user@host:/ rw
131 29 0:46 / /srv/disk rw - fuseblk /dev/sdb1 rw
"""


def test_polling_finds_what_comes_changes_and_goes(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On another filesystem, without a single event, and with no inotify instance."""

    def none(*_: object) -> Inotify:
        raise AssertionError("polling listens to nothing")

    monkeypatch.setattr("watcher.inotify.Inotify", none)
    site = Site(tmp_path, path=str(mount("tmpfs")), mode="poll", scan_interval="1s")
    dumps = site.config.watches[0].path
    done(dumps, "vm1")
    with site.watched():
        watch = dumps.name
        assert site.waiting(watch) == {"vm1"}
        (dumps / "set").mkdir()
        done(dumps / "set", "vm2")
        site.records("set/vm2", watch)
        (dumps / "vm1.done").unlink()
        until(lambda: site.waiting(watch) == {"set/vm2"})
        (dumps / "vm2.failed").touch()
        until(lambda: site.counted("markers", "failed") == 1)


def test_polling_is_every_minute_unless_said_otherwise(tmp_path: Path) -> None:
    """With events the scan is a safety net; here it is all there is."""
    site = Site(tmp_path)
    site.host.configure(watch={"mode": "poll"})
    assert site.host.config().watches[0].scan_interval == 60


@pytest.mark.parametrize(
    ("number", "kind"), [("29", "ext4"), ("31", "nfs4"), ("32", "fuse.sshfs"), ("131", "fuseblk"), ("3", None)]
)
def test_the_type_of_a_mount_is_read_from_the_kernels_list(number: str, kind: str | None) -> None:
    """Numbers are compared whole, names may hold anything."""
    assert folders.kind_of_mount(number, _MOUNTS) == kind


_SILENT = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "virtiofs", "fuse", "fuse.sshfs", "glusterfs")
_TELLING = ("fuseblk", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay")


@pytest.mark.parametrize(("kind", "is_silent"), [(kind, kind in _SILENT) for kind in (*_SILENT, *_TELLING)])
def test_network_and_fuse_are_silent_and_local_disks_are_not(
    kind: str, is_silent: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A local disk that a FUSE program reads is local all the same."""
    monkeypatch.setattr(folders, "_kind", lambda _path: kind)
    assert (folders.silent_kind(tmp_path) == kind) == is_silent


def test_the_type_is_that_of_the_mount_on_top(mount: Mount, tmp_path: Path) -> None:
    """Found out by a descriptor, through whatever links lead there; nobody can say it of what is not there."""
    link = tmp_path / "link"
    link.symlink_to(mount("tmpfs"))
    assert folders._kind(link) == "tmpfs"
    assert folders._kind(tmp_path) == folders._kind(tmp_path.parent) != "proc"
    assert folders.silent_kind(tmp_path / "nowhere") is None


def test_the_service_and_check_say_what_to_do_and_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no mistake: what this host writes itself does give events."""
    site = Site(tmp_path)
    [watch] = site.config.watches
    assert folders.advice(watch) is None
    assert "poll" not in site.host.run("check").stdout
    monkeypatch.setattr(folders, "_kind", lambda _path: "nfs4")
    said = folders.advice(watch)
    assert said is not None
    assert all(words in said for words in (str(site.dumps), "nfs4", "3600 s later", 'mode = "poll"'))
    with site.watched():
        done(site.dumps, "vm1")
        site.records("vm1")
    assert caplog.messages.count(said) == 1
    polled = Site(tmp_path / "polled", mode="poll").config.watches[0]
    assert folders.advice(polled) is None


def test_check_ends_well_with_the_advice(tmp_path: Path) -> None:
    """A note, and exit code 0."""
    script = (
        "from tidegate.cli.main import main; from core.preflight import folders; "
        "folders._kind = lambda path: 'cifs'; main()"
    )
    command = [sys.executable, "-c", script, "--config", str(Site(tmp_path).host.file), "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "is on cifs: the kernel reports no events" in done.stdout
