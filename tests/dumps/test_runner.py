"""``tidegate dump``: every VM of the set, whatever becomes of one; whole dumps under new names, and true markers."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from core.units import parse_time
from dumps import commands
from tests.dumps.house import (
    dump,
    house,
    is_alive,
    is_tidy,
    marker,
    one,
    released,
    results,
    sha256,
    shell,
    standing,
    tell,
)
from tests.host import Host, reasons
from tests.mounts import Mount, mount
from tests.users import NOBODY, needs_capabilities, open_the_way

__all__ = ["mount"]  # the fixture


def test_a_failed_vm_keeps_no_other_from_being_dumped(tmp_path: Path) -> None:
    """All the others are done, and the job ends with an error."""
    host = house(tmp_path / "host", "vm1", "vm2", "vm3", own={"vm2": {"command": shell("echo no such VM >&2; exit 3")}})
    shape = dump(host, code=1)
    assert results(shape) == {"vm1": "done", "vm2": "failed", "vm3": "done"}
    assert (one(shape, "vm2")["exit_status"], one(shape, "vm2")["error"]) == (3, "sh ended with status 3: no such VM")
    assert standing(host) == {
        *("vm1-TIME", "vm1-TIME.done", "vm2-TIME.failed", "vm3-TIME", "vm3-TIME.done"),
    }
    failed = marker(host, "failed", "vm2")
    assert (failed["error"], failed["exit_status"], failed["vm"]) == ("sh ended with status 3: no such VM", 3, "vm2")
    assert is_tidy(host)


def test_a_set_that_is_dumped_ends_with_0_and_says_so_in_a_table(tmp_path: Path) -> None:
    """A line for each VM, and the count."""
    host = house(tmp_path / "host", "vm1", "vm2")
    said = host.run("dump", "weekly").stdout
    assert [line.split()[:3] for line in said.splitlines()[1:3]] == [["vm1", "done", "1"], ["vm2", "done", "1"]]
    assert said.endswith("2 dumped, 0 failed\n")


def test_the_marker_tells_when_it_was_started_and_what_it_holds(tmp_path: Path) -> None:
    """The dump time is that of the start: what the VM writes meanwhile may be in it or not."""
    host = house(tmp_path / "host")
    shape = dump(host)
    path = host.dumps / one(shape)["dump"]
    body = marker(host, "done")
    assert body["sha256"] == sha256(path)
    assert (body["size"], body["vm"], body["backup_set"]) == (1000, "vm1", "weekly")
    assert parse_time(body["started"]) <= path.stat().st_mtime <= parse_time(body["finished"]) + 1
    assert body["started"] == one(shape)["started"]


def test_what_the_command_prints_is_the_dump_where_the_set_says_so(tmp_path: Path) -> None:
    """It is summed on the way, and what it complains of goes into the log."""
    host = house(tmp_path / "host", script="head -c 3000000 /dev/zero; echo done >&2", stdout=True, suffix=".img")
    shape = dump(host)
    path = host.dumps / one(shape)["dump"]
    assert path.read_bytes() == bytes(3_000_000)
    assert marker(host, "done")["sha256"] == sha256(path)
    assert path.name.endswith(".img")
    assert Path(one(shape)["log"]).read_text().splitlines()[-1] == "done"


def test_without_a_checksum_what_is_printed_goes_straight_into_the_dump(tmp_path: Path) -> None:
    """The marker tells the size alone."""
    host = house(tmp_path / "host", script="head -c 3000000 /dev/zero", stdout=True, checksum=False)
    dump(host)
    assert marker(host, "done").keys() >= {"size"}
    assert (marker(host, "done")["size"], "sha256" in marker(host, "done")) == (3_000_000, False)


def test_a_folder_that_the_command_makes_is_the_dump(tmp_path: Path) -> None:
    """Each of its files is told with its size and sum."""
    host = house(tmp_path / "host", script="mkdir -p $OUT/disks; echo a > $OUT/disks/vda; echo bc > $OUT/vm.xml")
    path = host.dumps / one(dump(host))["dump"]
    assert marker(host, "done")["files"] == {
        "disks/vda": {"size": 2, "sha256": sha256(path / "disks" / "vda")},
        "vm.xml": {"size": 3, "sha256": sha256(path / "vm.xml")},
    }


def test_a_folder_of_more_files_than_a_marker_can_tell_is_dumped_all_the_same(tmp_path: Path) -> None:
    """Its size is told; a marker above 1 MiB would be a bad one."""
    host = house(tmp_path / "host", script=f"mkdir $OUT; cd $OUT; seq 3800 | split -l 1 -a 4 - {'n' * 200}")
    dump(host)
    assert marker(host, "done")["files"] is None
    assert reasons(host.json("plan")) == {one_dump(host): "released"}


def one_dump(host: Host) -> str:
    [path] = host.dumps.glob("*.done")
    return path.name.removesuffix(".done")


def test_a_file_name_that_is_no_utf_8_does_not_spoil_the_marker(tmp_path: Path) -> None:
    """It is nothing that JSON can tell."""
    host = house(tmp_path / "host", script="mkdir $OUT; echo a > $OUT/$(printf '\\377')")
    dump(host)
    assert marker(host, "done")["size"] == 2


def test_a_command_finds_what_it_needs_in_its_environment(tmp_path: Path) -> None:
    """And nothing of it was put through a shell."""
    host = house(tmp_path / "host", script='printf "%s|" "$VM" "$BACKUP_SET" "$STARTED" "$OUT" > "$OUT"')
    shape = dump(host)
    vm, backup_set, started, out, _ = (host.dumps / one(shape)["dump"]).read_text().split("|")
    assert (vm, backup_set, started) == ("vm1", "weekly", one(shape)["started"])
    assert Path(out).name == one(shape)["dump"]


@pytest.mark.parametrize("script", ["", ": > $OUT", "mkdir $OUT", "ln -s /etc/passwd $OUT", "mkfifo $OUT"])
def test_a_command_that_succeeds_and_makes_nothing_of_use_has_failed(tmp_path: Path, script: str) -> None:
    """Its exit status is not believed."""
    host = house(tmp_path / "host", script=script)
    assert "nothing that can be taken" in one(dump(host, code=1))["error"]
    assert standing(host) == {"vm1-TIME.failed"}
    assert is_tidy(host)


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And nothing more than that VM's dump has failed."""
    host = house(tmp_path / "host", "vm1", "vm2", own={"vm1": {"command": ["/nowhere/dump-vm"]}})
    shape = dump(host, code=1)
    assert one(shape)["error"] == "/nowhere/dump-vm cannot be run: No such file or directory"
    assert one(shape, "vm2")["result"] == "done"


# --- names


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    """Two runs within one second have two names, and so has a dump whose name was used before."""
    host = house(tmp_path / "host")
    first, second = (one(dump(host))["dump"] for _ in range(2))
    assert first != second
    released(host)
    for path in host.dumps.glob("vm1-*"):
        path.unlink()
    third = one(dump(host))["dump"]
    assert third not in {first, second}


def test_what_somebody_else_puts_at_its_name_stays(tmp_path: Path) -> None:
    """The dump has failed then: it does not overwrite, nor does it remove what is not its own."""
    host = house(tmp_path / "host", script='echo mine > "$OUT"; echo yours > "$(dirname $OUT)/../../$(basename $OUT)"')
    assert "exists" in one(dump(host, code=1))["error"]
    [path] = [path for path in host.dumps.glob("vm1-*") if path.suffix != ".failed"]
    assert path.read_text() == "yours\n"
    assert is_tidy(host)


def test_dumps_go_to_the_folder_that_the_set_names(tmp_path: Path) -> None:
    """In a watch folder, so that they are seen."""
    host = house(tmp_path / "host", to="dumps/weekly/all")
    assert one(dump(host))["dump"].startswith("weekly/all/vm1-")
    assert list(released(host).values()) == ["released"]


# --- pre, post, retries, time


def test_pre_and_post_stand_around_each_dump(tmp_path: Path) -> None:
    """And post knows what became of it."""
    log = tmp_path / "log"
    host = house(
        tmp_path / "host",
        *("vm1", "vm2"),
        script=f'echo dump $VM >> {log}; echo a > "$OUT"; test $VM = vm1',
        pre=shell(f"echo pre $VM >> {log}"),
        post=shell(f"echo post $VM $RESULT >> {log}"),
    )
    dump(host, code=1)
    assert log.read_text().splitlines() == [
        *("pre vm1", "dump vm1", "post vm1 done"),
        *("pre vm2", "dump vm2", "post vm2 failed"),
    ]


def test_where_pre_fails_nothing_is_dumped_and_post_still_runs(tmp_path: Path) -> None:
    """What pre has begun has to be ended."""
    log = tmp_path / "log"
    host = house(tmp_path / "host", pre=["false"], post=shell(f"echo $RESULT >> {log}"), script=f"echo dump >> {log}")
    assert one(dump(host, code=1))["error"] == "false ended with status 1"
    assert log.read_text() == "failed\n"


def test_where_post_fails_the_dump_is_good_and_the_run_is_not(tmp_path: Path) -> None:
    """A copy that is whole is not thrown away; that the VM may still be frozen has to be told."""
    host = house(tmp_path / "host", post=["false"])
    shape = dump(host, code=1)
    assert (one(shape)["result"], one(shape)["warning"]) == ("done", "post: false ended with status 1")
    assert standing(host) == {"vm1-TIME", "vm1-TIME.done"}


def test_a_failed_dump_is_made_again_after_all_the_others(tmp_path: Path) -> None:
    """What hindered it may be over by then."""
    log = tmp_path / "log"
    script = f'echo $VM >> {log}; echo a > "$OUT"; test $VM = vm2 || test $(grep -c vm1 {log}) = 2'
    host = house(tmp_path / "host", "vm1", "vm2", script=script, retries=2)
    shape = dump(host)
    assert log.read_text().split() == ["vm1", "vm2", "vm1"]
    assert (one(shape)["attempts"], one(shape, "vm2")["attempts"]) == (2, 1)
    assert standing(host) == {"vm1-TIME", "vm1-TIME.done", "vm1-TIME.failed", "vm2-TIME", "vm2-TIME.done"}
    released(host)
    assert not list(host.dumps.glob("*.failed"))


def test_a_dump_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what has left its group, and what does not mind being asked."""
    monkeypatch.setattr(commands, "GRACE_SECONDS", 0.2)
    pids = tmp_path / "pids"
    script = (
        f"trap '' TERM; (trap '' TERM; sleep 1000) & echo $! >> {pids}; "
        f"setsid sleep 1000 & echo $! >> {pids}; echo $$ >> {pids}; echo a > $OUT; kill -STOP $$; sleep 1000"
    )
    host = house(
        tmp_path / "host", "vm1", "vm2", script=script, timeout="1s", own={"vm2": {"command": shell("echo a > $OUT")}}
    )
    shape = dump(host, code=1)
    assert one(shape)["error"] == "it took longer than 1s"
    assert one(shape, "vm2")["result"] == "done"
    assert [pid for pid in pids.read_text().split() if is_alive(int(pid))] == []
    assert is_tidy(host)


def test_as_many_run_at_once_as_the_set_says(tmp_path: Path) -> None:
    """Each waits for the other: one after the other they would never end."""
    folder = tmp_path / "met"
    folder.mkdir()
    script = (
        f'touch {folder}/$VM; until [ -e {folder}/vm1 ] && [ -e {folder}/vm2 ]; do sleep 0.01; done; echo a > "$OUT"'
    )
    host = house(tmp_path / "host", "vm1", "vm2", script=script, parallel=2, timeout="60s")
    assert results(dump(host)) == {"vm1": "done", "vm2": "done"}


# --- room


def test_a_dump_for_which_there_is_no_room_is_not_begun(tmp_path: Path, mount: Mount) -> None:
    """By the size of the last one; the next VM may have room."""
    host = on_small_disk(tmp_path, mount, "vm1", "vm2", margin="1 MB", own={"vm2": {"command": shell("echo a > $OUT")}})
    dump(host, "--then-pass")
    host.dumps.joinpath("filler").write_bytes(bytes(2_500_000))
    shape = dump(host, code=1)
    assert one(shape)["error"].startswith("not enough disk space: ")
    assert "it needs 4 MB (the last one had 3 MB)" in one(shape)["error"]
    assert one(shape, "vm2")["result"] == "done"


def test_a_disk_that_is_full_fails_the_dump_and_is_left_as_it_was(tmp_path: Path, mount: Mount) -> None:
    """Its marker can be written since what was made of it is removed before."""
    host = on_small_disk(
        tmp_path, mount, "vm1", "vm2", own={"vm1": {"command": shell("head -c 30000000 /dev/zero > $OUT")}}
    )
    shape = dump(host, code=1)
    assert results(shape) == {"vm1": "failed", "vm2": "done"}
    assert "No space left on device" in one(shape)["error"]
    assert standing(host) == {"vm1-TIME.failed", "vm2-TIME", "vm2-TIME.done"}
    assert is_tidy(host)


def test_a_disk_that_gets_full_while_what_is_printed_is_written_is_told_too(tmp_path: Path, mount: Mount) -> None:
    """Here it is the runner that writes."""
    host = on_small_disk(tmp_path, mount, "vm1", script="head -c 30000000 /dev/zero", stdout=True)
    assert "no space left on device" in one(dump(host, code=1))["error"]
    assert standing(host) == {"vm1-TIME.failed"}


def on_small_disk(
    folder: Path, mount: Mount, *vms: str, script: str = "head -c 3000000 /dev/zero > $OUT", **keys: Any
) -> Host:
    disk = mount("tmpfs", "size=8m")
    host = house(folder / "host", *vms, script=script, to=str(disk / "dumps"), **keys)
    host.dumps = disk / "dumps"
    host.dumps.mkdir()
    text = host.file.read_text().replace('path = "dumps"', f"path = {json.dumps(str(host.dumps))}")
    host.file.write_text(text)
    return host


def test_a_disk_that_is_not_mounted_is_not_dumped_to(tmp_path: Path, mount: Mount) -> None:
    """The folder beneath is on another disk, which would fill up."""
    host = on_small_disk(tmp_path, mount, "vm1")
    dump(host, "--then-pass")
    disk = host.dumps.parent
    os.system(f"umount --lazy {disk}")
    host.dumps.mkdir()
    try:
        assert "is its disk mounted?" in host.run("dump", "weekly", code=3).stderr
        assert list(host.dumps.iterdir()) == []
    finally:
        os.system(f"mount -t tmpfs tmpfs {disk}")


# --- verify


@pytest.mark.parametrize(
    ("check", "script", "suffix"),
    [
        ("zstd -t", "head -c 100000 /dev/urandom | zstd | head -c 9000 > $OUT", ".zst"),
        ("qemu-img check", "qemu-img create -q -f qcow2 $OUT 10M; truncate -s 1000 $OUT", ".qcow2"),
        ("qemu-img check", "mkdir $OUT; echo a > $OUT/vm.xml", ""),
        ("grep -q good", WRITE_BAD := "echo bad > $OUT", ""),
        ("no-such-program", WRITE_BAD, ""),
    ],
    ids=["cut off", "no image", "nothing to look at", "any command", "not there"],
)
def test_a_dump_that_does_not_pass_its_check_has_failed(tmp_path: Path, check: str, script: str, suffix: str) -> None:
    """Before it costs a day's traffic; and what is kept of it is the reason."""
    keys: dict[str, Any] = {"suffix": suffix} if suffix else {}
    host = house(tmp_path / "host", script=script, verify=["size", "sha256", check], **keys)
    assert one(dump(host, code=1))["error"].startswith(f"verify: {check.split(maxsplit=1)[0]}")
    assert standing(host) == {f"vm1-TIME{suffix}.failed"}


def test_a_dump_that_passes_all_of_its_checks_is_done(tmp_path: Path) -> None:
    """Of a folder each file is looked at by the program that reads it."""
    script = "mkdir $OUT; qemu-img create -q -f qcow2 $OUT/vda.qcow2 10M; echo hello | zstd > $OUT/vm.xml.zst"
    host = house(tmp_path / "host", script=script, verify=["size", "sha256", "qemu-img check", "zstd -t", "test -d"])
    assert results(dump(host)) == {"vm1": "done"}


# --- both ways of running


def test_a_pass_right_after_the_dumps_lets_them_out(tmp_path: Path) -> None:
    """Also where one of them failed: it keeps no other from leaving."""
    host = house(tmp_path / "host", "vm1", "vm2", own={"vm2": {"command": ["false"]}})
    shape = dump(host, "--then-pass", code=1)
    assert set(host.exported()) == {"vm1"}
    assert set(reasons(shape["pass"]).values()) == {"released", "dump_failed"}


def test_a_pass_of_its_own_lets_them_out_as_well(tmp_path: Path) -> None:
    """The markers are all that the two know of each other."""
    host = house(tmp_path / "host")
    dump(host)
    released(host)
    assert host.exported() == {"vm1": 1000}


# --- what is refused


def test_a_set_that_is_not_configured_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    """Nothing was done, so it is 2."""
    host = house(tmp_path / "host")
    assert "did you mean 'weekly'?" in host.run("dump", "weekley", code=2).stderr


def test_a_set_that_only_has_targets_is_refused(tmp_path: Path) -> None:
    """It says nothing of how its VMs are dumped."""
    host = Host(tmp_path / "host", backup_sets={"weekly": {"vms": ["vm1"]}})
    assert "set `command`" in host.run("dump", "weekly", code=2).stderr


def test_check_names_the_programs_that_dumps_need_and_that_are_not_there(tmp_path: Path) -> None:
    """Before the night in which they are needed."""
    host = house(tmp_path / "host", pre=["freeze-vm"], verify=["sha256", "no-such-check -t"])
    said = tell(host, "check")
    assert "[backup_sets.weekly]: freeze-vm is not found on the PATH here" in said
    assert "[backup_sets.weekly]: no-such-check is not found on the PATH here" in said
    assert said.count("not found on the PATH") == 2


def test_a_command_may_run_as_the_owner_of_the_folder(tmp_path: Path) -> None:
    """Where the runner is root and its dumps are not to be."""
    needs_capabilities("chown")
    host = house(tmp_path / "host", script=f"setpriv --reuid {NOBODY} --clear-groups sh -c 'echo a > $OUT'")
    open_the_way(host.dumps)
    os.chown(host.dumps, NOBODY, NOBODY)
    shape = dump(host)
    assert (host.dumps / one(shape)["dump"]).stat().st_uid == NOBODY
    workshop = (host.dumps / ".tidegate-dumps").stat()
    assert (workshop.st_uid, workshop.st_mode & 0o777) == (NOBODY, 0o711)
