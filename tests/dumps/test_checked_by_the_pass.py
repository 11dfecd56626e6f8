"""Dumps that others have made are checked by the pass, before they cost a day's traffic."""

import json
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from core import failpoints
from core.clock import SystemClock
from core.config.load import load
from core.errors import FaultError
from core.state.database import State
from tests.dumps.house import dump, house, is_alive, released, sha256, tell
from tests.host import Host
from tests.waiting import until
from watcher.scanner import scan_and_record


def host_of(folder: Path, **keys: Any) -> Host:
    """Its dumps are made by other scripts, and vm1 is of the set ``weekly``."""
    return Host(folder, daily=10_000_000, backup_sets={"weekly": {"vms": ["vm1"], **keys}})


def counting(folder: Path, *, well: bool = True) -> str:
    """A check that leaves a line each time it is made."""
    program = folder / "check"
    program.write_text(f'#!/bin/sh\necho "$VM $BACKUP_SET $1" >>{folder}/made\n{"exit 0" if well else "exit 9"}\n')
    program.chmod(0o755)
    return str(program)


def made(folder: Path) -> list[str]:
    return (folder / "made").read_text().splitlines() if (folder / "made").exists() else []


def of_vm1(host: Host) -> dict[str, Any]:
    """What the next plan says of its newest dump."""
    [found] = [one for one in json.loads(tell(host, "plan", "--json"))["decisions"] if one["vm"] == "vm1"]
    return dict(found)


def test_a_dump_that_passes_leaves_and_is_checked_once(tmp_path: Path) -> None:
    """Nor is one of a VM that no set names checked at all."""
    host = host_of(tmp_path / "host", verify=[counting(tmp_path)])
    path = host.dump("vm1.img", 1000)
    host.dump("vm2.img", 1000)
    assert released(host) == {"vm1.img": "released", "vm2.img": "released"}
    assert released(host) == {"vm1.img": "outstanding", "vm2.img": "outstanding"}
    assert made(tmp_path) == [f"vm1 weekly {path}"]


@pytest.mark.parametrize(
    ("verify", "body", "told"),
    [
        (["sha256"], {"sha256": "0" * 64}, "verify: sha256: vm1.img is not what was summed"),
        (["sha256"], {}, "verify: sha256: no checksum of vm1.img is known"),
        (["zstd -t"], {}, "verify: zstd ended with status 1: "),
        (["sh -c 'kill -35 $$'"], {}, "verify: sh was ended by signal 35"),
        (["no-such-program"], {}, "verify: no-such-program cannot be run: No such file or directory"),
    ],
    ids=["another sum", "no sum", "a program", "a signal without a name", "no program"],
)
def test_one_that_does_not_pass_is_bad_and_says_why(
    tmp_path: Path, verify: list[str], body: dict[str, Any], told: str
) -> None:
    """In a sentence that names the check."""
    host = host_of(tmp_path / "host", verify=verify)
    host.dump("vm1.img", 1000, **body)
    assert released(host) == {"vm1.img": "verify_failed"}
    detail = of_vm1(host)["detail"]
    assert detail.startswith(told)
    assert detail.endswith("; once it is mended, mark it anew")
    newest = json.loads(tell(host, "status", "--json"))["vms"][0]["newest_dump"]
    assert (newest["state"], newest["reason"]) == ("bad", "verify_failed")
    assert host.exported() == {}


def test_a_host_without_room_for_the_words_of_a_check_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no dump's fault."""
    host = host_of(tmp_path / "host", verify=["true"])
    host.dump("vm1.img", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(FaultError, match="no dump can be checked: no temporary file can be made: No such file"):
        tell(host, "pass")
    assert host.exported() == {}
    assert of_vm1(host)["verdict"] == "released"


def test_an_older_dump_that_passes_leaves_in_its_place(tmp_path: Path) -> None:
    """In the same pass: the VM must not lose its turn."""
    host = host_of(tmp_path / "host", verify=["sha256"])
    path = host.dump("vm1-1.img", 500, marked=False)
    host.mark("vm1-1.img", vm="vm1", sha256=sha256(path), started="2026-01-01T00:00:00Z")
    host.dump("vm1-2.img", 1000, vm="vm1", sha256="0" * 64, started="2026-01-02T00:00:00Z")
    assert released(host) == {"vm1-1.img": "released", "vm1-2.img": "verify_failed"}


def test_a_bad_one_is_not_read_again_until_it_is_marked_anew(tmp_path: Path) -> None:
    """A check costs as much as the dump is large, and scans come every few minutes."""
    host = host_of(tmp_path / "host", verify=[counting(tmp_path, well=False)])
    host.dump("vm1.img", 1000)
    for _ in range(3):
        assert released(host) == {"vm1.img": "verify_failed"}
    assert len(made(tmp_path)) == 1
    counting(tmp_path)
    host.mark("vm1.img")
    assert released(host) == {"vm1.img": "released"}
    assert len(made(tmp_path)) == 2


@pytest.mark.parametrize("first", ["right", "wrong"])
def test_a_marker_that_says_something_else_while_its_dump_is_checked_counts(
    tmp_path: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the check found is about what was said before: neither lets it out nor keeps it here."""
    host = host_of(tmp_path / "host", verify=["sha256"])
    path = host.dump("vm1.img", 1000, marked=False)
    sums = {"right": sha256(path), "wrong": "0" * 64}
    then = {"right": "wrong", "wrong": "right"}[first]
    host.mark("vm1.img", sha256=sums[first])
    config = load(host.file)

    def mark_anew(name: str) -> None:
        if name == "checked":
            monkeypatch.setattr(failpoints, "hook", None)
            host.mark("vm1.img", sha256=sums[then])
            scan_and_record(config, State(config.state.path), SystemClock())

    monkeypatch.setattr(failpoints, "hook", mark_anew)
    assert released(host) == {"vm1.img": {"right": "released", "wrong": "verify_failed"}[then]}


def test_a_folder_needs_the_sum_of_each_of_its_files(tmp_path: Path) -> None:
    """One whose sum nobody has said would be let through unseen."""
    host = host_of(tmp_path / "host", verify=["sha256"])
    path = host.dump("vm1", {"a": 100, "b": 200}, marked=False)
    sums = {name: {"sha256": sha256(path / name), "size": (path / name).stat().st_size} for name in ("a", "b")}
    host.mark("vm1", files={**sums, "b": {"size": 200}})
    assert released(host) == {"vm1": "verify_failed"}
    assert of_vm1(host)["detail"].startswith("verify: sha256: no checksum of b")
    host.mark("vm1", files=sums)
    assert released(host) == {"vm1": "released"}


def test_what_a_vm_says_itself_comes_before_its_set(tmp_path: Path) -> None:
    """As with every key of a set; and a VM in no set can say it alone."""
    check = counting(tmp_path)
    sections: dict[str, Any] = {"vms": {"vm1": {"verify": []}, "vm3": {"verify": [check]}}}
    host = Host(
        tmp_path / "host",
        daily=10_000_000,
        backup_sets={"weekly": {"vms": ["vm1", "vm2"], "verify": [check]}},
        **sections,
    )
    for vm in ("vm1", "vm2", "vm3", "vm4"):
        host.dump(f"{vm}.img", 1000)
    assert set(released(host).values()) == {"released"}
    assert sorted(line.split()[0] for line in made(tmp_path)) == ["vm2", "vm3"]


def test_what_the_runner_has_checked_is_not_checked_again(tmp_path: Path) -> None:
    """It did so before it gave the dump its name."""
    host = house(tmp_path / "host", verify=[counting(tmp_path)])
    dump(host)
    assert set(released(host).values()) == {"released"}
    assert len(made(tmp_path)) == 1


def test_a_plan_makes_no_check(tmp_path: Path) -> None:
    """It is asked for often, and must not read every dump."""
    host = host_of(tmp_path / "host", verify=[counting(tmp_path, well=False)])
    host.dump("vm1.img", 1000)
    assert of_vm1(host)["verdict"] == "released"
    assert made(tmp_path) == []


def test_a_check_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """A pass that waits for ever would let nothing out, of no VM."""
    host = host_of(tmp_path / "host", verify=[slow(tmp_path)], timeout="1s")
    host.dump("vm1.img", 1000)
    host.dump("vm2.img", 1000)
    assert released(host) == {"vm1.img": "verify_failed", "vm2.img": "released"}
    assert "it took longer than 1s" in of_vm1(host)["detail"]
    assert not is_alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("other", ["mkfifo $1", "ln -s /etc/hostname $1"], ids=["a pipe", "a symlink"])
def test_what_takes_a_dump_s_place_while_it_is_checked_is_not_read(
    tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A pipe would hold the pass, and its lock, for ever; a symlink leads anywhere, and a pass may read everything."""
    swaps = tmp_path / "swaps"
    swaps.write_text(f"#!/bin/sh\nrm $1\n{other}\n")
    swaps.chmod(0o755)
    host = host_of(tmp_path / "host", verify=[str(swaps), "sha256"])
    host.dump("vm1.img", 1000, sha256=sha256(Path("/etc/hostname")))
    assert released(host) == {"vm1.img": "verify_failed"}
    assert "verify: sha256: vm1.img is no longer a plain file" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pass_that_is_stopped_ends_its_check_and_lets_nothing_out(tmp_path: Path, number: signal.Signals) -> None:
    """And the next one goes on."""
    host = host_of(tmp_path / "host", verify=[slow(tmp_path)])
    host.dump("vm1.img", 1000)
    stopped = host.start("pass")
    until((tmp_path / "pid").exists)
    stopped.send_signal(number)
    _, told = stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert "Traceback" not in told
    assert not is_alive(int((tmp_path / "pid").read_text()))
    assert host.exported() == {}
    host.configure(daily=10_000_000)
    assert released(host) == {"vm1.img": "released"}


def slow(folder: Path) -> str:
    """A check that does not end by itself."""
    program = folder / "slow"
    program.write_text(f"#!/bin/sh\necho $$ >{folder}/.pid && mv {folder}/.pid {folder}/pid\nexec sleep 3600\n")
    program.chmod(0o755)
    return str(program)


def test_check_names_a_program_that_is_not_there(tmp_path: Path) -> None:
    """Else the first pass would find every dump bad."""
    host = host_of(tmp_path / "host", verify=["no-such-check -t"])
    assert "[backup_sets.weekly]: no-such-check is not found on the PATH here" in tell(host, "check")
