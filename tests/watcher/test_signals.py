"""Dumps of programs that write no markers: what those leave is read in a marker's place, and stays."""

import datetime
import json
import os
import re
import time
from pathlib import Path

import pytest

from core.enums import Signals
from core.fs.openat import open_folder
from core.markers.foreign import Quiet, look_at_all
from core.markers.format import MarkerKind
from tests.deploy.vzdump import Guest, Vzdump
from tests.dumps.house import released, tell
from tests.host import Host
from tests.watcher.site import Site

HOOKLESS = Path("/bin/true")
INSIDE = [("status-ok", "STATUS.ok"), ("success", "success")]


def host_of(folder: Path, signals: str) -> Host:
    return Host(folder, watch={"signals": signals}, offsite={"confirm": "report"}, day={"at_least": "0s"})


def archive(guest: Guest) -> str:
    return f"{guest.base}.vma.zst"


def test_what_vzdump_has_finished_leaves_without_a_hook(tmp_path: Path) -> None:
    """Its log stands beside the archive, under its final name. That of a backup that failed stands alone."""
    host = host_of(tmp_path / "host", "vzdump")
    good, bad = Guest(100), Guest(101, fails=True)
    Vzdump(host.dumps, HOOKLESS).run([good, bad])
    assert released(host) == {archive(good): "released"}


def test_an_archive_waits_for_its_log(tmp_path: Path) -> None:
    """Until then the guest's backup is not over, and may be half written."""
    host = host_of(tmp_path / "host", "vzdump")
    guest = Guest(100)
    unfinished = host.dumps / f"{guest.base}.vma.dat"
    unfinished.write_bytes(b"half")
    assert released(host) == {}
    unfinished.rename(host.dumps / archive(guest))
    assert released(host) == {}
    log = host.dumps / f"{guest.base}.log"
    log.touch()
    assert released(host) == {}  # it is being copied there
    log.write_text("2026-11-22 03:00:01 INFO: Finished Backup of VM 100 (00:00:01)\n")
    assert released(host) == {archive(guest): "released"}


FINISHED = "2026-12-01 11:35:37 INFO: Finished Backup of VM 100 (00:00:01)\n"
FAILED = "2026-12-01 11:35:37 ERROR: Backup of VM 100 failed - command 'rsync' failed: exit code 11\n"
LINES = "2026-12-01 11:35:37 INFO: status: 10%\n" * 100_000


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (FINISHED, MarkerKind.DONE),
        (FINISHED.partition("37 ")[2], MarkerKind.DONE),
        (LINES + FINISHED.strip(), MarkerKind.DONE),
        (FAILED, MarkerKind.FAILED),
        (LINES + FAILED + "more of what rsync wrote\n", MarkerKind.FAILED),
        (FINISHED + FAILED, MarkerKind.FAILED),
        (FINISHED + LINES[:39], None),
        (FINISHED + LINES, None),
        (LINES, None),
        ("2026-12-01 11:35:37 INFO: a script wrote INFO: Finished Backup of VM 100\n", None),
        ("", None),
    ],
)
def test_the_last_line_of_a_log_of_vzdump_decides(tmp_path: Path, text: str, kind: MarkerKind | None) -> None:
    """Something can fail after the archive has its final name. A log without an end signals nothing."""
    name = archive(Guest(100))
    (tmp_path / name).write_bytes(b"archive")
    (tmp_path / f"{Guest(100).base}.log").write_text(text)
    with open_folder(tmp_path) as folder:
        assert [one.kind for one in look_at_all(folder, name, Signals.VZDUMP)] == ([kind] if kind else [])


@pytest.mark.parametrize("place", ["link", "pipe", "folder"])
def test_only_a_plain_file_is_a_log_of_vzdump(tmp_path: Path, place: str) -> None:
    name, log = archive(Guest(100)), tmp_path / f"{Guest(100).base}.log"
    (tmp_path / name).write_bytes(b"archive")
    (tmp_path / "elsewhere").write_text(FINISHED)
    if place == "link":
        log.symlink_to(tmp_path / "elsewhere")
    elif place == "pipe":
        os.mkfifo(log)
    else:
        log.mkdir()
    with open_folder(tmp_path) as folder:
        assert look_at_all(folder, name, Signals.VZDUMP) == ()


def test_an_archive_whose_log_ends_in_an_error_is_a_failed_dump(tmp_path: Path) -> None:
    host = host_of(tmp_path / "host", "vzdump")
    name = archive(Guest(100))
    (host.dumps / name).write_bytes(b"archive")
    log = host.dumps / f"{Guest(100).base}.log"
    log.write_text(FAILED)
    assert released(host) == {name: "dump_failed"}
    assert json.loads(tell(host, "status", "--json"))["vms"][0]["last_dump_failed"]
    assert log.exists()


def test_the_name_of_an_archive_tells_the_dump_time(tmp_path: Path) -> None:
    """In the host's own time; a name whose date there is not tells none."""
    host = host_of(tmp_path / "host", "vzdump")
    Vzdump(host.dumps, HOOKLESS).run([Guest(100), Guest(101, time="2026_02_30-03_00_00")])
    times = {one["vm"]: one["dump_time"] for one in json.loads(tell(host, "plan", "--json"))["decisions"]}
    begun = datetime.datetime(2026, 11, 22, 3).astimezone(datetime.UTC)
    assert times["100"] == begun.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert not times["101"].startswith("2026-02")


@pytest.mark.parametrize(("signals", "file"), INSIDE)
def test_a_file_in_a_folder_says_that_it_is_whole(tmp_path: Path, signals: str, file: str) -> None:
    """One without it is not; and nobody looks for dumps inside of one."""
    host = host_of(tmp_path / "host", signals)
    host.dump("vm1-2026-11-22", {"disk": 10, "deep/disk": 10, f"deep/{file}": 1, file: 1}, marked=False)
    host.dump("vm2-2026-11-22", {"disk": 10}, marked=False)
    host.dump("all/vm3", {"disk": 10, file: 1}, marked=False)
    assert released(host) == {"vm1-2026-11-22": "released", "all/vm3": "released"}


@pytest.mark.parametrize(("signals", "file"), INSIDE)
def test_a_dump_that_has_left_keeps_its_signal_and_leaves_once(tmp_path: Path, signals: str, file: str) -> None:
    """A marker of its own would go."""
    host = host_of(tmp_path / "host", signals)
    host.dump("vm1", {"disk": 10, file: 1}, marked=False)
    tell(host, "pass")
    tell(host, "synced", "--all")
    for _ in range(3):
        assert "released" not in released(host).values()
    assert (host.dumps / "vm1" / file).exists()
    [vm] = json.loads(tell(host, "status", "--json"))["vms"]
    assert (vm["offsite_by"], vm["newest_dump"]["state"]) == ("report", "confirmed")


def test_a_marker_that_was_written_later_counts(tmp_path: Path) -> None:
    """Whoever has looked at a dump may say that it is none."""
    host = host_of(tmp_path / "host", "status-ok")
    host.dump("vm1", {"disk": 10, "STATUS.ok": 1}, marked=False)
    host.mark("vm1", "failed")
    assert released(host) == {"vm1": "dump_failed"}


def test_a_dump_that_is_written_into_after_its_signal_is_refused(tmp_path: Path) -> None:
    host = host_of(tmp_path / "host", "success")
    path = host.dump("vm1", {"disk": 10, "success": 1}, marked=False)
    while (path / "disk").stat().st_mtime_ns <= (path / "success").stat().st_ctime_ns:  # a tick of the clock
        (path / "disk").write_bytes(b"later")
    assert released(host) == {"vm1": "changed"}


@pytest.mark.parametrize("signals", ["vzdump", "status-ok"])
def test_a_watcher_hears_of_it_at_once(tmp_path: Path, signals: str) -> None:
    """Its next scan would be in an hour."""
    site = Site(tmp_path / "host", signals=signals)
    with site.watched():
        if signals == "vzdump":
            Vzdump(site.dumps, HOOKLESS).run([Guest(100)])
        else:
            site.host.dump("vm1", {"disk": 10, "STATUS.ok": 1}, marked=False)
            aside = site.host.dump(".vm2", {"disk": 10, "STATUS.ok": 1}, marked=False)
            aside.rename(site.dumps / "vm2")
        for name in [archive(Guest(100))] if signals == "vzdump" else ["vm1", "vm2"]:
            site.records(name)


def test_a_symbolic_link_is_no_signal(tmp_path: Path) -> None:
    """Nor does one lead to a dump."""
    host = host_of(tmp_path / "host", "status-ok")
    path = host.dump("vm1", {"disk": 10}, marked=False)
    (path / "STATUS.ok").symlink_to("/etc/passwd")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "STATUS.ok").touch()
    (host.dumps / "vm2").symlink_to(elsewhere)
    assert released(host) == {}


# --- dumps of which nobody says anything


REST = 900.0


def quiet_host(folder: Path, names: str = r"\.img$") -> Host:
    """Its dumps are complete when nobody has written to them for a quarter of an hour."""
    return Host(
        folder,
        watch={"quiet_names": names, "quiet_after": "15m"},
        offsite={"confirm": "report"},
        day={"at_least": "0s"},
    )


def rested(path: Path, seconds: float) -> Path:
    """As if its last byte was written so long ago, and that of everything in it."""
    then = time.time() - seconds
    for one in (*path.rglob("*"), path):
        os.utime(one, (then, then))
    return path


def test_a_dump_is_complete_when_nobody_has_written_to_it_for_the_time(tmp_path: Path) -> None:
    """Other names, unfinished ones and dot names are no dumps however long they rest."""
    host = quiet_host(tmp_path / "host", r"^(vm|\.vm)")
    rested(host.dump("vm1.img", 10, marked=False), REST + 60)
    rested(host.dump("vm2.img", 10, marked=False), REST - 60)
    for name in ("other.img", "vm3.img.part", "vm4.tmp", ".vm5.img"):
        rested(host.dump(name, 10, marked=False), REST + 60)
    assert released(host) == {"vm1.img": "released"}
    rested(host.dumps / "vm2.img", REST + 60)
    assert released(host) == {"vm1.img": "outstanding", "vm2.img": "released"}


def test_a_folder_rests_when_everything_in_it_does(tmp_path: Path) -> None:
    """And before that nobody takes what lies in it for dumps of their own."""
    host = quiet_host(tmp_path / "host", r"^(vm|disk)")
    folder = rested(host.dump("vm1", {"disk0.img": 10, "deep/disk1.img": 10}, marked=False), REST + 60)
    os.utime(folder / "deep" / "disk1.img")
    assert released(host) == {}
    rested(folder, REST + 60)
    assert released(host) == {"vm1": "released"}
    assert host.exported() == {"vm1/disk0.img": 10, "vm1/deep/disk1.img": 10}


def test_that_it_is_let_out_does_not_disturb_its_rest(tmp_path: Path) -> None:
    """A link is a change of the file, and no writing. It leaves once, and a later dump after it."""
    host = quiet_host(tmp_path / "host")
    rested(host.dump("vm1.img", 10, marked=False), REST + 60)
    tell(host, "pass")
    assert released(host) == {"vm1.img": "outstanding"}
    tell(host, "synced", "--all")
    assert "released" not in released(host).values()
    rested(host.dump("vm1.img", 20, marked=False), REST + 30)
    assert released(host) == {"vm1.img": "released"}
    assert host.exported() == {"vm1.img": 20}


def test_one_that_is_written_again_before_it_left_waits_anew(tmp_path: Path) -> None:
    """It is withdrawn, and comes back when it rests again."""
    host = quiet_host(tmp_path / "host")
    path = rested(host.dump("vm1.img", 10, marked=False), REST + 60)
    tell(host, "pass")
    tell(host, "hold", "vm1")
    assert host.exported() == {}
    with path.open("ab") as file:
        file.write(b"more")
    tell(host, "unhold", "vm1")
    assert released(host) == {}
    rested(path, REST + 60)
    assert released(host) == {"vm1.img": "released"}


def test_one_that_is_still_open_is_not_taken_however_long_it_rests(tmp_path: Path) -> None:
    """A dump over a line that hangs."""
    host = quiet_host(tmp_path / "host")
    path = host.dump("vm1.img", 10, marked=False)
    with path.open("ab"):
        rested(path, REST + 60)
        assert released(host) == {"vm1.img": "open"}
        assert host.exported() == {}
    assert released(host) == {"vm1.img": "released"}


def test_a_marker_goes_beside_it(tmp_path: Path) -> None:
    """The latest word counts: who can say that a dump failed, or runs, is believed."""
    host = quiet_host(tmp_path / "host")
    rested(host.dump("vm1.img", 10, marked=False), REST + 60)
    rested(host.dump("vm2.img", 10, marked=False), REST + 60)
    host.mark("vm1.img", "running")
    host.mark("vm2.img", "failed")
    assert released(host) == {"vm1.img": "running", "vm2.img": "dump_failed"}


def test_who_says_at_once_that_a_dump_failed_is_believed_after_its_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is no word of its own: it tells of the last byte that was written, and the failure came later."""
    host = quiet_host(tmp_path / "host")
    host.dump("vm1.img", 10, marked=False)
    host.mark("vm1.img", "failed")
    later = time.time_ns() + int((REST + 60) * 1e9)
    monkeypatch.setattr("core.markers.foreign.time_of_files_ns", lambda: later)
    quiet = Quiet(re.compile(r"\.img$"), REST)
    with open_folder(host.dumps) as folder:
        found = look_at_all(folder, "vm1.img", quiet)
    assert [one.kind for one in found] == [MarkerKind.FAILED, MarkerKind.DONE]


def test_a_folder_deeper_than_any_dump_breaks_no_scan(tmp_path: Path) -> None:
    """Anybody who may write beside the dumps can make one."""
    host = quiet_host(tmp_path / "host")
    rested(host.dump("vm2.img", 10, marked=False), REST + 60)
    deep = os.open(host.dumps, os.O_RDONLY)
    for name in ["vm1.img", *["d"] * 200]:
        os.mkdir(name, dir_fd=deep)
        deeper = os.open(name, os.O_RDONLY, dir_fd=deep)
        os.utime(deep, (0, 0))
        os.close(deep)
        deep = deeper
    os.utime(deep, (0, 0))
    os.close(deep)
    assert released(host) == {"vm1.img": "unsafe", "vm2.img": "released"}


def test_a_watcher_that_finds_it_counts_no_event_as_lost(tmp_path: Path) -> None:
    """None can tell that nothing has happened for a time."""
    site = Site(tmp_path / "host", quiet_names=r"\.img$", quiet_after="15m", scan_interval="1s")
    with site.watched():
        rested(site.host.dump("vm1.img", 10, marked=False), REST + 60)
        site.records("vm1.img")
        rested(site.host.dump("vm2.img", 10, marked=False), REST + 60)
        site.records("vm2.img")
    assert site.counted("missed_events") == 0
