"""Runs beside each other, beside passes, and those that are told to stop."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from core.errors import BusyError
from tests.dumps.house import dump, house, is_alive, is_tidy, one, released, results, shell, standing, tell
from tests.host import Host
from tests.waiting import until


def waiting(folder: Path, *vms: str, **keys: object) -> tuple[Host, Path]:
    """A host whose dumps wait until the file ``go`` is there."""
    go = folder / "go"
    script = f"touch {folder}/$VM.began; until [ -e {go} ]; do sleep 0.01; done; echo a > $OUT"
    return house(folder / "host", *vms, script=script, **keys), go  # type: ignore[arg-type]


def ended(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = run.communicate(timeout=60)
    assert "Traceback" not in stderr, stderr
    return run.returncode, stdout, stderr


def test_a_second_run_of_a_set_says_who_runs_it(tmp_path: Path) -> None:
    """And does nothing; later it may be tried again."""
    host, go = waiting(tmp_path)
    first = host.start("dump", "weekly")
    until((tmp_path / "vm1.began").exists)
    with pytest.raises(BusyError, match=rf"'weekly' is already dumped by process {first.pid} \(tidegate "):
        dump(host)
    assert host.run("dump", "weekly", code=75).stdout == ""
    go.touch()
    assert ended(first)[0] == 0
    assert standing(host) == {"vm1-TIME", "vm1-TIME.done"}


def test_a_second_run_that_waits_comes_after_the_first(tmp_path: Path) -> None:
    """With ``--wait``."""
    host, go = waiting(tmp_path)
    runs = [host.start("dump", "weekly", "--wait", "60s") for _ in range(2)]
    until((tmp_path / "vm1.began").exists)
    go.touch()
    assert [ended(run)[0] for run in runs] == [0, 0]
    assert len(list(host.dumps.glob("*.done"))) == 2


def test_two_sets_are_dumped_at_once_into_one_folder(tmp_path: Path) -> None:
    """Also where both have the same VM, in the same second: each has a name of its own."""
    host, go = waiting(tmp_path, "vm1", "vm2", parallel=2)
    text = host.file.read_text()
    host.file.write_text(text + text[text.index("[backup_sets.weekly]") :].replace("weekly", "daily"))
    runs = [host.start("dump", name) for name in ("weekly", "daily")]
    until(lambda: len(list(host.dumps.glob("*.running"))) == 4)
    go.touch()
    assert [ended(run)[0] for run in runs] == [0, 0]
    assert len(list(host.dumps.glob("*.done"))) == 4
    assert is_tidy(host)


def test_a_pass_in_the_midst_lets_out_what_is_finished_and_nothing_else(tmp_path: Path) -> None:
    """What is being dumped is told as running."""
    host, go = waiting(tmp_path, "vm1", "vm2")
    go.touch()
    dump(host)
    go.unlink()
    run = host.start("dump", "weekly")
    until(lambda: bool(list(host.dumps.glob("*.running"))))
    assert sorted(released(host).values()) == ["released", "released", "running"]
    assert host.exported() == {"vm1": 2, "vm2": 2}
    go.touch()
    assert ended(run)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_run_that_is_told_to_stop_ends_its_commands_and_tells_of_each_vm(tmp_path: Path, number: int) -> None:
    """The dump under way has failed, those before it are done, and the others were never begun."""
    log = tmp_path / "log"
    script = f"test $VM = vm1 || {{ echo $$ > {tmp_path}/pid; sleep 1000 & wait; }}; echo a > $OUT"
    post = shell(f"echo $VM $RESULT >> {log}")
    host = house(tmp_path / "host", "vm1", "vm2", "vm3", script=script, post=post, retries=3)
    run = host.start("dump", "weekly", "--then-pass")
    until((tmp_path / "pid").exists)
    until(lambda: (tmp_path / "pid").read_text() != "")
    run.send_signal(number)
    code, stdout, _ = ended(run)
    assert code == 1
    assert [line.split()[:2] for line in stdout.splitlines()[1:4]] == [
        *(["vm1", "done"], ["vm2", "failed"], ["vm3", "skipped"]),
    ]
    assert "its run was stopped" in stdout
    assert "1 dumped, 1 failed, 1 not begun" in stdout
    assert standing(host) == {"vm1-TIME", "vm1-TIME.done", "vm2-TIME.failed"}
    assert not is_alive(int((tmp_path / "pid").read_text()))
    assert log.read_text().splitlines() == ["vm1 done", "vm2 failed"]
    assert host.exported() == {}
    assert is_tidy(host)


def test_a_vm_that_waits_to_be_tried_again_stays_failed_when_the_run_is_stopped(tmp_path: Path) -> None:
    """It was begun, and its failure is told."""
    script = f"test $VM = vm2 || exit 3; touch {tmp_path}/began; sleep 1000"
    host = house(tmp_path / "host", "vm1", "vm2", script=script, retries=1)
    run = host.start("dump", "weekly", "--json")
    until((tmp_path / "began").exists)
    run.terminate()
    code, stdout, _ = ended(run)
    assert (code, results(json.loads(stdout))) == (1, {"vm1": "failed", "vm2": "failed"})


def test_a_run_that_waits_for_another_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """It has begun nothing."""
    host, go = waiting(tmp_path)
    first = host.start("dump", "weekly")
    until((tmp_path / "vm1.began").exists)
    second = host.start("dump", "weekly", "--wait", "1h")
    until(lambda: is_waiting(second.pid))
    second.terminate()
    assert ended(second)[0] == -signal.SIGTERM
    go.touch()
    assert ended(first)[0] == 0


def is_waiting(pid: int) -> bool:
    """It has the lock file open; it opens it anew each time it asks."""
    for opened in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{opened}").endswith(".dump.weekly.lock"):
                return True
    return False


# --- what is removed


def report(host: Host) -> None:
    """Everything that stands is off-site."""
    tell(host, "synced", "--all")


def kept(host: Host) -> int:
    return len([path for path in host.dumps.glob("vm1-*") if path.suffix not in {".done", ".failed", ".running"}])


def test_older_dumps_go_once_a_newer_one_has_succeeded_and_they_are_off_site(tmp_path: Path) -> None:
    """Of each VM so many stay as the set says; without a word none ever goes."""
    host = house(tmp_path / "host", keep=2)
    for number in range(4):
        shape = dump(host)
        assert len(shape["removed"]) == (1 if number >= 2 else 0)
        released(host)
        report(host)
    assert kept(host) == 2
    assert host.json("status")["vms"][0]["freshness"] == "fresh"
    assert is_tidy(host)


def test_a_dump_that_still_has_to_leave_stays_whatever_the_number(tmp_path: Path) -> None:
    """Neither one that waits, nor one that left and is not known to have arrived."""
    host = house(tmp_path / "host", keep=1)
    dump(host)
    tell(host, "plan")
    assert dump(host)["removed"] == []  # the state has not even heard of it
    released(host)
    assert dump(host)["removed"] == []
    assert kept(host) == 3
    released(host)
    report(host)
    released(host)
    report(host)
    assert len(dump(host)["removed"]) == 3
    assert kept(host) == 1


def test_nothing_is_removed_where_the_new_dump_failed(tmp_path: Path) -> None:
    """However old the last good one gets."""
    host = house(tmp_path / "host", keep=1, script=f"test ! -e {tmp_path}/broken && echo a > $OUT")
    dump(host)
    released(host)
    report(host)
    (tmp_path / "broken").touch()
    assert dump(host, code=1)["removed"] == []
    assert kept(host) == 1


def test_what_the_runner_has_not_made_is_never_removed(tmp_path: Path) -> None:
    """A dump of the same VM that somebody else put there and marked."""
    host = house(tmp_path / "host", keep=1)
    host.dump("vm1-20200101T000000Z.img", 100)
    released(host)
    report(host)
    dump(host)
    released(host)
    report(host)
    assert dump(host)["removed"] != []
    assert (host.dumps / "vm1-20200101T000000Z.img").exists()
    assert results(dump(host)) == {"vm1": "done"}


def test_where_a_pass_takes_long_the_dump_is_made_and_the_older_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and the run does not end as if all were well."""
    from core.state.database import State
    from dumps import rotation

    monkeypatch.setattr(rotation, "_WAIT_SECONDS", 0.0)
    host = house(tmp_path / "host", keep=1)
    with State(host.config().state.path).pass_lock(wait=0):
        shape = dump(host, code=1)
    assert one(shape)["result"] == "done"
    assert one(shape)["warning"].startswith("keep: the export trees are in use by process")
