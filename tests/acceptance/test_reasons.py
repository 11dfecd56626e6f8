"""Why a dump leaves or does not, through the real commands: each reason with the dump that gets it."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host import Host, reasons

DAY_KEYS = {
    "number": int,
    "opened": str,
    "limit_bytes": int,
    "reserve_bytes": int,
    "used_bytes": int,
    "outstanding_bytes": int,
    "left_bytes": int,
}
DECISION_KEYS = {
    "vm": str,
    "backup_set": (str, type(None)),
    "dump": str,
    "bytes": int,
    "dump_time": str,
    "offsite_age_seconds": (float, int, type(None)),
    "target_seconds": (float, int),
    "verdict": str,
    "reason": str,
    "detail": str,
    "forecast_day": (int, type(None)),
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def _old(path: Path, days: float) -> None:
    """Dates a dump and its marker back: without a body the marker's mtime is the dump's time."""
    for one in (path, Path(f"{path}.done")):
        then = one.stat().st_mtime - days * 86400
        os.utime(one, (then, then))


def test_the_json_of_a_pass_has_the_documented_shape_and_adds_up(host: Host) -> None:
    """DESIGN 9: every key and no other; the granted bytes sum to what this pass took."""
    for number in range(4):
        host.dump(f"vm{number}", 3000)
    shape = host.json("pass")
    assert shape.keys() == {"format", "day", "decisions"}
    assert shape["format"] == 2
    assert shape["day"].keys() == DAY_KEYS.keys()
    assert all(isinstance(shape["day"][key], kind) for key, kind in DAY_KEYS.items())
    for decision in shape["decisions"]:
        assert decision.keys() == DECISION_KEYS.keys()
        assert all(isinstance(decision[key], kind) for key, kind in DECISION_KEYS.items())  # type: ignore[arg-type]
    released = sum(one["bytes"] for one in shape["decisions"] if one["verdict"] == "released")
    assert released == shape["day"]["outstanding_bytes"] == sum(host.exported().values()) == 9000
    assert shape["day"]["left_bytes"] == 1000


def test_a_plan_writes_nothing(host: Host) -> None:
    """Not even the state file."""
    host.dump("vm1", 3000)
    before = sorted(host.folder.rglob("*"))
    assert reasons(host.json("plan")) == reasons(host.json("pass", "--dry-run")) == {"vm1": "released"}
    assert sorted(host.folder.rglob("*")) == before


def test_what_does_not_fit_is_skipped_and_the_next_is_tried(host: Host) -> None:
    """Never head-of-line blocking; what waits has its missing bytes and its day."""
    _old(host.dump("vm1", 6000), 3)
    _old(host.dump("vm2", 6000), 2)
    _old(host.dump("vm3", 4000), 1)
    shape = host.json("pass")
    assert reasons(shape) == {"vm1": "released", "vm2": "limit_reached", "vm3": "released"}
    [waits] = [one for one in shape["decisions"] if one["dump"] == "vm2"]
    assert waits["forecast_day"] == shape["day"]["number"] + 1
    assert "too much" in waits["detail"]


def test_an_oversize_dump_is_held_and_in_nobodys_way(host: Host) -> None:
    """Heavier than the whole limit: never linked, and the choices are said."""
    host.dump("big", 10_001)
    host.dump("vm1", 10_000)
    shape = host.json("pass")
    assert reasons(shape) == {"big": "oversize", "vm1": "released"}
    assert host.exported() == {"vm1": 10_000}


def test_a_newer_dump_supersedes_and_an_older_one_is_the_fallback(host: Host) -> None:
    """An older dump leaves only when no newer one can."""
    _old(host.dump("vm1-2026-11-20", 1000), 2)
    _old(host.dump("vm1-2026-11-21", 1000), 1)
    newest = host.dump("vm1-2026-11-22", 1000)
    planned = reasons(host.json("plan"))
    assert planned == {"vm1-2026-11-20": "superseded", "vm1-2026-11-21": "superseded", "vm1-2026-11-22": "released"}
    newest.unlink()
    assert reasons(host.json("plan"))["vm1-2026-11-21"] == "released"


def test_a_failed_dump_keeps_nobody_back_and_strict_tells_it(host: Host) -> None:
    """The others leave; the pass ends 0, with --strict 1; the marker goes once the VM was dumped again."""
    host.mark("vm1", "failed", error="disk full")
    host.dump("vm2", 1000)
    shape = host.json("pass", "--strict", code=1)
    assert reasons(shape) == {"vm1": "dump_failed", "vm2": "released"}
    assert "disk full" in next(one["detail"] for one in shape["decisions"] if one["dump"] == "vm1")
    status = {one["vm"]: one for one in host.json("status")["vms"]}
    assert status["vm1"]["last_dump_failed"]
    assert not status["vm2"]["last_dump_failed"]
    host.dump("vm1", 1000)
    host.run("pass")
    assert not (host.dumps / "vm1.failed").exists()
    assert not {one["vm"]: one for one in host.json("status")["vms"]}["vm1"]["last_dump_failed"]


def test_of_many_failures_the_newest_is_explained_and_the_others_are_counted(host: Host) -> None:
    """A VM that has failed for a month has one reason, and not thirty."""
    for day in (20, 21, 22):
        host.mark(f"vm1-2026-11-{day}", "failed", error=f"error of {day}", finished=f"2026-11-{day}T03:00:00Z")
    host.run("pass")
    told = host.run("explain", "vm1").stdout
    assert "error of 22" in told
    assert "error of 21" not in told
    assert "The markers of 2 failures before it are there too, the first of 2026-11-20" in told


def test_a_dump_rewritten_in_place_after_its_marker_is_refused_as_changed(host: Host) -> None:
    """It is not what the marker spoke of."""
    with host.dump("vm1", 1000).open("ab") as file:
        file.write(b"more")
    assert reasons(host.json("pass")) == {"vm1": "changed"}
    assert host.exported() == {}


def test_a_link_whose_dump_is_rewritten_is_taken_back_and_counted(host: Host) -> None:
    """A half-written copy is worse than none."""
    dump = host.dump("vm1", 1000)
    host.run("pass")
    with dump.open("ab") as file:
        file.write(b"more")
    shape = host.json("pass")
    assert reasons(shape) == {"vm1": "changed"}
    assert host.exported() == {}
    assert shape["day"]["used_bytes"] == 1000  # it may have cost traffic
    metrics = host.run("export-metrics", "--output", "-").stdout
    assert 'tidegate_links_taken_back_total{reason="changed"} 1.0' in metrics


def test_a_dump_that_is_too_old_waits_for_a_newer_one_unless_a_late_copy_beats_none(host: Host) -> None:
    """max_dump_age is waived for a VM that has no copy off-site, and it is said."""
    host.configure(staleness={"max_dump_age": "7d", "target": "30d"})
    _old(host.dump("vm1", 1000), 10)
    _old(host.dump("vm2", 1000), 10)
    host.run("mark-sent", "vm1", "--time", "2026-01-01T00:00:00Z")  # far past twice its target
    host.run("mark-sent", "vm2", "--time", _days_ago(20))
    shape = host.json("pass")
    assert reasons(shape) == {"vm1": "released", "vm2": "too_old"}


def test_names_that_would_be_one_vm_are_ambiguous_until_the_marker_says_the_vm(host: Host) -> None:
    """Never superseded by each other: half a VM would leave."""
    host.dump("db1.prod", 1000)
    host.dump("db1.test", 1000)
    assert reasons(host.json("plan")) == {"db1.prod": "ambiguous", "db1.test": "ambiguous"}
    host.mark("db1.prod", vm="db1-prod")
    host.mark("db1.test", vm="db1-test")
    assert set(reasons(host.json("plan")).values()) == {"released"}


def test_bad_markers_are_told_with_their_reason_and_never_linked(host: Host) -> None:
    """Names with a newline or not UTF-8, bodies that are no object or huge: shown escaped, never a crash."""
    host.dump("vm1", 100, marked=False)
    (host.dumps / "vm1.done").write_text("[1, 2]")
    host.dump("vm2", 100, marked=False)
    (host.dumps / "vm2.done").write_bytes(b" " * (1 << 20) + b"{}")
    host.dump("vm\n3", 100)
    (host.dumps / os.fsdecode(b"vm\xff4")).write_bytes(b"x")
    (host.dumps / os.fsdecode(b"vm\xff4.done")).write_bytes(b"")
    assert reasons(host.json("pass")) == {
        "vm1": "bad_marker",
        "vm2": "bad_marker",
        "vm\\n3": "bad_marker",
        "vm\\xff4": "bad_marker",
    }
    assert host.exported() == {}
    assert "\\n3" in host.run("plan").stdout


def test_a_dump_that_runs_is_not_let_out(host: Host) -> None:
    """X.running, or a file inside that is named as unfinished."""
    host.dump("vm1", 100)
    host.mark("vm1", "running")
    host.dump("vm2", {"disk.part": 100, "config": 10})
    assert reasons(host.json("pass")) == {"vm1": "running", "vm2": "running"}


def test_a_dump_that_is_open_for_writing_is_not_let_out(host: Host) -> None:
    """The marker came too early: somebody still has the file open."""
    with host.dump("vm1", 100).open("ab"):
        assert reasons(host.json("pass")) == {"vm1": "open"}
    assert reasons(host.json("pass")) == {"vm1": "released"}


def test_a_dump_of_another_size_than_its_marker_says_is_refused(host: Host) -> None:
    """A truncated dump is not what was finished."""
    host.dump("vm1", 100, marked=False)
    host.mark("vm1", size=200)
    assert reasons(host.json("pass")) == {"vm1": "verify_failed"}


def test_a_missing_dump_and_a_symbolic_link_do_not_leave(host: Host) -> None:
    """Nothing is followed out of the folder."""
    host.mark("vm1")
    secret = host.folder / "secret"
    secret.write_text("secret")
    (host.dumps / "vm2").symlink_to(secret)
    host.mark("vm2")
    assert reasons(host.json("pass")) == {"vm1": "missing", "vm2": "unsafe"}


def test_a_dump_that_leaves_is_outstanding_and_a_newer_one_waits(host: Host) -> None:
    """One link outstanding per VM; from the seal on it makes room for no other."""
    host.dump("vm1-2026-11-21", 1000)
    host.run("pass")
    host.run("sync-started")
    host.dump("vm1-2026-11-22", 1000)
    assert set(reasons(host.json("pass")).values()) == {"outstanding"}
    host.run("synced")
    assert reasons(host.json("pass")) == {"vm1-2026-11-22": "released"}


def test_a_granted_dump_that_cannot_be_linked_ends_the_pass_with_1_and_keeps_nobody_back(host: Host) -> None:
    """A foreign file has the name: never overwritten, charged once, told; the room goes to the next."""
    host.tree.mkdir()
    (host.tree / "vm1").write_bytes(b"x" * 100)
    host.dump("vm1", 9000)
    host.dump("vm2", 9900)
    shape = host.json("pass", code=1)
    assert reasons(shape) == {"vm1": "link_error", "vm2": "released"}
    assert (host.tree / "vm1").read_bytes() == b"x" * 100
    assert shape["day"]["outstanding_bytes"] == 10_000
    metrics = host.run("export-metrics", "--output", "-").stdout
    assert "tidegate_link_failures_total 1.0" in metrics
    assert "tidegate_foreign_files_total 1.0" in metrics


def test_a_second_pass_that_may_not_wait_ends_with_75_and_names_the_first(host: Host) -> None:
    """Nothing is done; try again."""
    host.dump("vm1", 1000)
    host.run("pass")
    program = (
        "import os, sys; from pathlib import Path; from core.state.database import State\n"
        "with State(Path(sys.argv[1])).pass_lock(wait=0): os.write(1, b'held'); os.read(0, 1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(host.state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.read(4)
        assert str(holder.pid) in host.run("pass", "--wait", "0s", code=75).stderr
        holder.kill()


def test_wrong_usage_and_a_wrong_configuration_end_with_2_and_a_sentence(host: Host) -> None:
    """DESIGN 9; a trace is never shown."""
    host.run("pass", "--no-such-option", code=2)
    assert "it is not known what the storage has" in host.run("synced", code=2).stderr
    assert "Unknown VM 'nobody'" in host.run("explain", "nobody", code=2).stderr
    host.file.write_text(host.file.read_text().replace("daily", "dayly"))
    told = host.run("pass", code=2).stderr
    assert "did you mean `daily`" in told
    assert "config.toml:" in told


def _days_ago(days: float) -> str:
    return (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)).isoformat(timespec="seconds")
