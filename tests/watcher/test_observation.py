"""A look at the disk: whatever is there, it ends in an observation with one reason, and never in a crash."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config.dump_settings import BackupSet
from core.enums import DumpState
from core.reasons import Reason
from tests.mounts import Mount
from tests.users import as_nobody, open_the_way
from tests.watcher.place import Place, open_files
from watcher.observation import observe

HOUR = 3600.0


def test_a_marked_dump_may_leave(place: Place) -> None:
    """An empty marker is enough."""
    place.done("vm1.img", b"12345")
    seen = place.look("vm1.img")
    assert (seen.vm, seen.series, seen.bytes, seen.state, seen.reason) == ("vm1", "vm1", 5, DumpState.PENDING, None)


def test_what_the_marker_says_comes_before_what_the_name_says(place: Place) -> None:
    """The VM, its set and the dump's time."""
    times = {"started": "2026-11-20T03:00:00Z", "finished": "2026-11-20T04:00:00Z"}
    place.done("x.img", text=json.dumps({"vm": "web", "backup_set": "weekly", **times, "sha256": "a" * 64}))
    seen = place.look("x.img")
    assert (seen.vm, seen.series, seen.backup_set, seen.sha256) == ("web", "=", "weekly", "a" * 64)
    assert (seen.dump_time, seen.finished_at - seen.dump_time) == (1795143600.0, HOUR)


def test_the_backup_set_comes_from_the_configuration_where_the_marker_says_none(place: Place) -> None:
    """The first set that lists the VM."""
    sets = {name: BackupSet(vms=("vm1",)) for name in ("weekly", "monthly")}
    place.done("vm1")
    (seen,) = observe(place.config.replace(backup_sets=sets), place.watch, ["vm1"], place.clock.wall)
    assert seen.backup_set == "weekly"


def test_without_a_word_of_times_the_marker_is_as_old_as_the_dump(place: Place) -> None:
    """``touch`` says when the dump was finished; what it holds is no newer."""
    place.dump("vm1")
    os.utime(place.mark("vm1"), (1000, 1000))
    assert (place.look("vm1").dump_time, place.look("vm1").finished_at) == (1000.0, 1000.0)


@pytest.mark.parametrize("key", ["started", "finished"])
def test_a_time_in_the_future_counts_as_now(key: str, place: Place) -> None:
    """A host whose clock ran ahead must not look fresh for years."""
    place.done("vm1", text=json.dumps({key: "2999-01-01T00:00:00Z"}))
    place.done("vm2")
    os.utime(place.dumps / "vm2.done", (32503680000, 32503680000))
    assert place.look("vm1").dump_time == place.look("vm2").dump_time == place.clock.wall + 10


def test_a_dump_that_is_a_folder_is_all_its_files(place: Place) -> None:
    """Declared as they are."""
    place.dump("vm1/disk0", b"zero")
    place.dump("vm1/sub/disk1", b"one")
    place.mark("vm1", text=json.dumps({"size": 7, "files": {"disk0": {"size": 4}, "sub/disk1": 3}}))
    seen = place.look("vm1")
    assert (seen.reason, seen.bytes, seen.identity and seen.identity.is_folder) == (None, 7, True)


# --- hindrances


def newer(place: Place) -> None:
    place.done("vm1")
    later = os.stat(place.dumps / "vm1.done").st_ctime_ns + 1
    os.utime(place.dumps / "vm1", ns=(later, later))


def member_newer(place: Place) -> None:
    place.dump("vm1/disk0")
    place.mark("vm1")
    later = os.stat(place.dumps / "vm1.done").st_ctime_ns + 1
    os.utime(place.dumps / "vm1" / "disk0", ns=(later, later))


def fifo(place: Place) -> None:
    os.mkfifo(place.dumps / "vm1")
    place.mark("vm1")


def missing(place: Place) -> None:
    place.mark("vm1")


def declared(**body: object) -> Callable[[Place], None]:
    def make(place: Place) -> None:
        place.dump("vm1/disk0", b"12345")
        place.mark("vm1", text=json.dumps(body))

    return make


def marked(kind: str, text: str = "") -> Callable[[Place], None]:
    def make(place: Place) -> None:
        place.dump("vm1")
        place.mark("vm1", kind, text)

    return make


def unfinished(place: Place) -> None:
    place.dump("vm1/disk0.part")
    place.mark("vm1")


HINDRANCES: dict[str, tuple[Callable[[Place], None], Reason, DumpState, str]] = {
    "running": (marked("running"), Reason.RUNNING, DumpState.PENDING, "it is being dumped"),
    "failed": (marked("failed"), Reason.DUMP_FAILED, DumpState.FAILED, "its dump failed"),
    "failed, with its error": (
        marked("failed", '{"error": "disk\\nfull \\ud800"}'),
        Reason.DUMP_FAILED,
        DumpState.FAILED,
        "disk\\nfull \\ud800",
    ),
    "failed, with its status": (
        marked("failed", '{"exit_status": 3}'),
        Reason.DUMP_FAILED,
        DumpState.FAILED,
        "its dump ended with status 3",
    ),
    "missing": (missing, Reason.MISSING, DumpState.MISSING, "is not there"),
    "newer": (newer, Reason.CHANGED, DumpState.CHANGED, "vm1 is newer than its marker"),
    "a file in it newer": (member_newer, Reason.CHANGED, DumpState.CHANGED, "disk0 is newer than its marker"),
    "unsafe": (fifo, Reason.UNSAFE, DumpState.PENDING, "vm1 is a FIFO"),
    "unfinished": (unfinished, Reason.RUNNING, DumpState.PENDING, "named as a file that is still being written"),
    "another size": (
        declared(size=6),
        Reason.VERIFY_FAILED,
        DumpState.PENDING,
        "its marker declares 6 bytes and it has 5",
    ),
    "another size of a file": (
        declared(files={"disk0": {"size": 4}}),
        Reason.VERIFY_FAILED,
        DumpState.PENDING,
        "its marker declares 4 bytes of disk0 and it has 5",
    ),
    "a file too many": (
        declared(files={}),
        Reason.VERIFY_FAILED,
        DumpState.PENDING,
        "disk0 is not among the 0 files that its marker declares",
    ),
    "a file too few": (
        declared(files={"disk0": {}, "disk\x1b1": {}}),
        Reason.VERIFY_FAILED,
        DumpState.PENDING,
        "its marker declares disk\\x1b1, which is not there",
    ),
    "a list of files that is none": (
        declared(files={"disk0": {"size": "5"}}),
        Reason.BAD_MARKER,
        DumpState.BAD,
        "the marker's 'files' gives no usable size of 'disk0'",
    ),
    "broken JSON": (marked("done", "{"), Reason.BAD_MARKER, DumpState.BAD, "broken JSON"),
}


@pytest.mark.parametrize(("make", "reason", "state", "detail"), HINDRANCES.values(), ids=list(HINDRANCES))
def test_what_hinders_a_dump_is_said_with_one_reason(
    make: Callable[[Place], None], reason: Reason, state: DumpState, detail: str, place: Place
) -> None:
    """And with a detail that can be shown as it is."""
    make(place)
    seen = place.look("vm1")
    assert (seen.reason, seen.state, seen.identity, seen.vm) == (reason, state, None, "vm1")
    assert detail in seen.detail


def test_a_file_of_a_time_that_cannot_be_is_unsafe(mount: Mount) -> None:
    """A tmpfs keeps any time; the state file keeps those of a few centuries."""
    place = Place(mount("tmpfs"))
    place.dump("vm1/disk0")
    os.utime(place.dumps / "vm1" / "disk0", (-(10**10), -(10**10)))
    place.mark("vm1")
    place.scan()
    assert place.row("vm1").reason is Reason.UNSAFE


def test_of_several_markers_the_latest_has_the_word(place: Place) -> None:
    """A dump that is made again is not released, though its old marker is there."""
    place.done("vm1")
    place.mark("vm1", "running")
    while place.look("vm1").reason is None:  # within one tick of the kernel's clock the tie goes to running as well
        place.mark("vm1", "running")
    assert place.look("vm1").reason is Reason.RUNNING


@pytest.mark.parametrize("name", ["vm\n1", "vm\udcff", "vm\x1b[2J", "we\tekly/vm1"])
@pytest.mark.parametrize("text", ["", '{"vm": "web"}'])
def test_a_name_that_cannot_be_shown_is_a_bad_marker_even_if_it_says_its_vm(name: str, text: str, place: Place) -> None:
    """Such a name must reach no export tree, label or log."""
    place.done(name, text=text)
    assert (place.look(name).state, place.look(name).reason) == (DumpState.BAD, Reason.BAD_MARKER)


# --- what is no marker, and where nobody looks


def test_without_a_marker_there_is_nothing(place: Place) -> None:
    """A dump alone is a dump being written."""
    place.dump("vm1")
    assert place.look("vm1").signature == ""


@pytest.mark.parametrize("path", [".hidden/vm1", ".rsync/vm1", "none/vm1", "link/vm1", "file/vm1", "vm2/inner"])
def test_nothing_stands_where_nobody_looks(path: str, place: Place) -> None:
    """Dot names, the export tree, no folder at all, a symbolic link, and the inside of a dump."""
    (place.dumps / "link").symlink_to("real")
    place.done("real/vm1")
    place.dump("file")
    place.done("vm2/inner")
    place.mark("vm2")
    for folder in (".hidden", ".rsync"):
        place.done(f"{folder}/vm1")
    assert place.look(path).signature == ""


def test_folders_are_looked_into_only_where_the_configuration_says_so(tmp_path: Path) -> None:
    """``recursive = false``."""
    place = Place(tmp_path, recursive=False)
    place.done("sub/vm1")
    assert place.look("sub/vm1").signature == ""


def test_a_marker_in_another_watch_folder_inside_this_one_is_that_ones(place: Place) -> None:
    """Nobody records a dump twice."""
    place.done("inner/vm1")
    inner = place.watch.replace(name="inner", path=place.dumps / "inner", export=place.dumps / "inner" / ".rsync")
    config = place.config.replace(watches=(place.watch, inner))
    signatures = [
        observe(config, watch, [path], 0.0)[0].signature for watch, path in [(place.watch, "inner/vm1"), (inner, "vm1")]
    ]
    assert [bool(signature) for signature in signatures] == [False, True]


def test_a_folder_that_may_not_be_read_says_nothing_of_its_markers(place: Place) -> None:
    """A fault is not a marker that was removed."""
    place.done("closed/vm1")
    place.done("vm2")
    open_the_way(place.dumps / "vm2")
    (place.dumps / "closed").chmod(0)
    with as_nobody():
        assert [seen.path for seen in observe(place.config, place.watch, ["closed/vm1", "vm2"], 0.0)] == ["vm2"]


def test_a_watch_folder_that_is_gone_is_an_error_and_not_a_thousand_markers_removed(place: Place) -> None:
    """It may be a disk that is not mounted."""
    place.dumps.rmdir()
    with pytest.raises(FileNotFoundError):
        place.look("vm1")


def test_a_watch_folder_that_goes_during_the_look_takes_no_marker_with_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unmounted, or moved away, between two looks."""
    place.done("vm1")
    real = os.stat

    def move_away(path: object, **how: object) -> os.stat_result:
        if path == "vm2.failed":
            place.dumps.rename(place.dumps.with_name("away"))
            place.dumps.mkdir()
        return real(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", move_away)
    seen = observe(place.config, place.watch, ["vm1", "vm2"], 0.0)
    assert [one.path for one in seen] == ["vm1"]


def test_a_marker_that_goes_between_the_look_and_the_reading_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at again, and is no bad marker."""
    place.done("vm1", text="{}")
    real = os.open

    def remove_first(path: object, *how: object, **more: object) -> int:
        if path == "vm1.done":
            (place.dumps / "vm1.done").unlink()
        return real(path, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", remove_first)
    assert place.look("vm1").signature == ""


def test_a_marker_replaced_as_often_as_it_is_read_is_left_for_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody makes the watcher loop."""
    place.done("vm1", text="{}")

    def gone(*_: object, **__: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("watcher.observation.read_text", gone)
    assert observe(place.config, place.watch, ["vm1"], 0.0) == []


# --- anything at all

things = st.sampled_from(["file", "empty", "folder", "fifo", "link", "loop", "nothing"])
bodies = st.one_of(st.just(b""), st.binary(max_size=50), st.sampled_from([b'{"vm": "web"}', b"[]", b"{" * 100_000]))


def put(path: Path, thing: str, body: bytes) -> None:
    match thing:
        case "file":
            path.write_bytes(body)
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
            (path / "x").write_bytes(body)
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to("/etc/passwd")
        case "loop":
            path.symlink_to(path.name)
        case _:
            assert thing == "nothing"


@settings(max_examples=150)
@given(
    name=st.binary(min_size=1, max_size=60), dump=things, markers=st.lists(things, min_size=3, max_size=3), body=bodies
)
def test_whatever_stands_on_the_disk_is_seen_and_nothing_stays_open(
    name: bytes, dump: str, markers: list[str], body: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any name, any kind of file as dump and as marker, any body."""
    shown = os.fsdecode(name.replace(b"/", b"|").replace(b"\0", b"0"))
    if shown in {".", ".."}:
        return
    place = Place(tmp_path_factory.mktemp("any"))
    put(place.dumps / shown, dump, body)
    for kind, thing in zip(("done", "failed", "running"), markers, strict=True):
        put(place.dumps / f"{shown}.{kind}", thing, body)
    with contextlib.closing(place.state):
        place.scan()
        place.scan()
        with open_files():
            seen = place.look(shown)
    assert (seen.signature == "") == all(thing in {"nothing", "folder"} for thing in markers)
