"""What stands in an export tree is told in the tree itself, for whoever has nothing else left (DESIGN 7)."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from core import failpoints
from core.state.backup import restore
from core.state.database import DryRunState, State
from policy.passes import run
from policy.sync import report
from tests.clock import DAY, GivenClock
from tests.host import Host, host_with_papers
from watcher.scanner import scan_and_record

PAPERS = ["EXPECTED", "FILES", "SHA256SUMS", "manifest.json", "state.json.gz"]
REPORT: dict[str, Any] = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}


def manifest(host: Host) -> dict[str, Any]:
    """Export name -> what the manifest tells of it."""
    told = json.loads((host.tree / ".tidegate" / "manifest.json").read_text())
    assert (told["format"], told["host"], told["watch"]) == (1, os.uname().nodename, "dumps")
    return {one["export_name"]: one for one in told["links"]}


def stamps(host: Host) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (host.tree / ".tidegate").iterdir()}


def sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_first_sealed_sync_brings_the_papers_and_no_pass_before_it(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", **REPORT)
    host.dump("vm1", 100)
    host.run("pass")
    assert [path.name for path in host.tree.iterdir()] == ["vm1"]
    assert host.json("state", "verify")["differences"] == []
    host.run("sync-started")
    assert sorted(path.name for path in (host.tree / ".tidegate").iterdir()) == PAPERS
    host.run("synced")
    host.dump("vm2", 100)
    host.run("pass")
    assert manifest(host).keys() == {"vm1", "vm2"}


def test_after_a_pass_the_tree_tells_each_link_and_its_files(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host")
    host.dump("vm1.img", 100)
    host.dump("vm2", {"disk0": 10, "inner/disk1": 20})
    host.run("pass")
    links = manifest(host)
    assert [(one["vm"], one["size"], one["state"], one["evidence"]) for one in links.values()] == [
        ("vm1", 100, "linked", None),
        ("vm2", 30, "linked", None),
    ]
    assert links["vm2"]["files"] == [
        {"name": "disk0", "size": 10, "sha256": None},
        {"name": "inner/disk1", "size": 20, "sha256": None},
    ]
    assert (host.tree / ".tidegate" / "FILES").read_text() == "vm1.img\nvm2/disk0\nvm2/inner/disk1\n"
    assert sorted(stamps(host)) == PAPERS
    assert host.exported() == {"vm1.img": 100, "vm2/disk0": 10, "vm2/inner/disk1": 20}


def test_sha256sum_finds_every_file_whose_sum_a_marker_told_and_no_other(tmp_path: Path) -> None:
    """A name with a line break or a backslash too; a sum that is none is left out."""
    host = host_with_papers(tmp_path / "host")
    for name in ("vm1", "vm2", "vm3"):
        host.dump(name, 100, marked=False)
    host.mark("vm1", sha256=sum_of(host.dumps / "vm1").upper())
    host.mark("vm2")
    host.mark("vm3", sha256=sum_of(host.dumps / "vm1"))  # of another file
    odd = host.dump("vm4", {"line\nbreak": 5, "back\\slash": 6, "none": 7}, marked=False)
    sums: dict[str, object] = {
        one: {"size": (odd / one).stat().st_size, "sha256": sum_of(odd / one)} for one in os.listdir(odd)
    }
    host.mark("vm4", files={**sums, "none": {"sha256": "../../etc"}})
    host.run("pass")
    done = subprocess.run(
        ["sha256sum", "-c", ".tidegate/SHA256SUMS"], cwd=host.tree, capture_output=True, text=True, check=False
    )
    said = sorted(line.rpartition(": ")[2] for line in done.stdout.splitlines())
    assert (said, done.returncode) == (["FAILED", "OK", "OK", "OK"], 1)
    assert "improperly formatted" not in done.stderr


def test_names_that_are_no_text_are_escaped_in_json_and_raw_in_the_list(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host")
    host.dump("vm1", {"disk": 10, os.fsdecode(b"\xff"): 20})
    host.run("pass")
    assert (host.tree / ".tidegate" / "FILES").read_bytes() == b"vm1/disk\nvm1/\xff\n"
    assert b"\\udcff" in (host.tree / ".tidegate" / "manifest.json").read_bytes()
    assert [os.fsencode(one["name"]) for one in manifest(host)["vm1"]["files"]] == [b"disk", b"\xff"]


def test_what_tells_the_same_is_not_written_anew(tmp_path: Path) -> None:
    """rsync would send it again."""
    host = host_with_papers(tmp_path / "host", **REPORT)
    host.dump("vm1", 100)
    host.run("pass")
    before = stamps(host)
    host.run("pass")
    assert stamps(host) == before
    host.run("synced", "--all")
    after = stamps(host)
    assert {name for name in PAPERS if after[name] != before[name]} == {"EXPECTED", "manifest.json", "state.json.gz"}
    assert (manifest(host)["vm1"]["state"], manifest(host)["vm1"]["evidence"]) == ("confirmed", "report")


def test_from_seal_to_report_the_tree_tells_what_was_sealed(tmp_path: Path) -> None:
    """The storage pulls by it; only the state goes on being told."""
    host = host_with_papers(tmp_path / "host", **REPORT)
    host.dump("vm1", 100)
    host.run("pass")
    (host.tree / ".tidegate" / "manifest.json").unlink()
    host.run("sync-started")
    assert set(manifest(host)) == {"vm1"}
    sealed = stamps(host)
    host.dump("vm2", 100)
    host.run("pass")
    assert set(host.exported()) == {"vm1", "vm2"}
    assert {name for name, stamp in stamps(host).items() if stamp != sealed[name]} == {"state.json.gz"}
    host.run("synced")
    assert {name: one["state"] for name, one in manifest(host).items()} == {"vm1": "confirmed", "vm2": "linked"}


@pytest.mark.parametrize("what", ["symlink", "file", "open to all"])
def test_a_folder_that_somebody_else_put_there_is_not_written_into(tmp_path: Path, what: str) -> None:
    """And everything else of the pass is done."""
    host = Host(tmp_path / "host")
    host.dump("vm1", 100)
    host.tree.mkdir()
    own = host.tree / ".tidegate"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if what == "symlink":
        own.symlink_to(elsewhere)
    elif what == "file":
        own.write_text("mine")
    else:
        own.mkdir()
        own.chmod(0o777)
    assert "move it away" in host.run("pass").stderr
    assert set(host.exported()) == {"vm1"}
    assert list(elsewhere.iterdir()) == []
    assert own.is_symlink() or own.is_file() or list(own.iterdir()) == []


def test_a_link_or_a_pipe_under_the_name_of_a_paper_is_replaced_and_not_followed(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host")
    host.dump("vm1", 100)
    host.run("pass")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    own = host.tree / ".tidegate"
    for name in ("FILES", "manifest.json"):
        (own / name).unlink()
    (own / "FILES").symlink_to(secret)
    os.mkfifo(own / "manifest.json")
    host.run("pass")
    assert (secret.read_text(), (own / "FILES").read_text()) == ("secret", "vm1\n")
    assert set(manifest(host)) == {"vm1"}


@pytest.mark.parametrize("killed_at", range(1, 9))
def test_what_a_killed_pass_left_half_told_is_told_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Killed beside each paper, before and after it is in its place: each of them is whole, and the next pass mends."""
    host = host_with_papers(tmp_path / "host")
    config, state, clock = host.config(), State(host.config().state.path), GivenClock()
    host.dump("vm1", 100)
    scan_and_record(config, state, clock)
    passed = []

    def kill(point: str) -> None:
        passed.append(point) if point.startswith("metadata") else None
        if len(passed) == killed_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoints, "hook", kill)
    with pytest.raises(KeyboardInterrupt):
        run.run(config, state, clock, wait=0)
    monkeypatch.setattr(failpoints, "hook", None)
    run.run(config, state, clock, wait=0)
    assert set(manifest(host)) == {"vm1"}
    assert sorted(stamps(host)) == PAPERS
    assert list((host.dumps / ".rsync.staging").iterdir()) == []


def test_a_state_that_was_lost_and_begun_anew_does_not_overwrite_what_the_tree_tells_of_the_one_before(
    tmp_path: Path,
) -> None:
    host = host_with_papers(tmp_path / "host", **REPORT)
    for name in ("vm1", "vm2"):
        host.dump(name, 100)
    host.run("pass")
    host.run("synced", "--all")
    told = (host.tree / ".tidegate" / "state.json.gz").read_bytes()
    for file in tmp_path.glob("host/state.db*"):
        file.unlink()
    host.dump("vm3", 100)
    for _ in range(2):
        host.run("pass")
        assert (host.tree / ".tidegate" / "state.before.json.gz").read_bytes() == told


def test_a_tree_tells_the_whole_state(tmp_path: Path) -> None:
    """What it tells fills an empty state with the same rows."""
    host = host_with_papers(tmp_path / "host", **REPORT)
    config, state, clock = host.config(), State(host.config().state.path), GivenClock()
    host.dump("vm1", 100)
    host.dump("vm2", {"a": 10, "b": 20})
    scan_and_record(config, state, clock)
    run.run(config, state, clock, wait=0)
    report.announce(config, state, clock, wait=0)
    clock.advance(DAY)
    copy = DryRunState(tmp_path / "none.db")
    with copy.write() as connection:
        restore(connection, (host.tree / ".tidegate" / "state.json.gz").read_bytes())
    with copy.read() as restored, state.read() as real:
        for table in ("vm", "dump", "member", "day", "link", "sync", "sealed_link"):
            query = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert restored.execute(query).fetchall() == real.execute(query).fetchall() != []


def test_the_manifest_that_a_storage_lists_or_reports_is_taken_for_no_dump(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host", **REPORT)
    host.dump("vm1", 100)
    host.run("pass")
    host.run("sync-started")
    said = host.run("synced", "--arrived", "-", stdin="./\n.tidegate/\n.tidegate/manifest.json\nvm1\n")
    assert "does not stand" not in said.stderr
    listing = "drwxr-xr-x  4,096 2026/11/22 03:00:00 .tidegate\n-rw-r--r--  100 2026/11/22 03:00:00 .tidegate/FILES\n"
    assert "0 of 0" in host.run("mark-sent", "--from", "-", stdin=listing).stdout
    assert [one["vm"] for one in host.json("status")["vms"]] == ["vm1"]


def test_the_admins_word_is_told_in_the_tree_at_once(tmp_path: Path) -> None:
    """Else a storage that pulls before the next pass would miss what was taken back."""
    host = host_with_papers(tmp_path / "host", **REPORT)
    for vm in ("vm1", "vm2", "vm3"):
        host.dump(vm, 100)
    host.run("pass")
    expected = host.tree / ".tidegate" / "EXPECTED"
    host.run("hold", "vm1")
    assert manifest(host).keys() == {"vm2", "vm3"}
    host.run("retire", "vm2")
    assert manifest(host).keys() == {"vm3"}
    assert [line.split()[-1] for line in expected.read_text().splitlines()[1:]] == ["vm3"]
    (host.tree / "vm4").write_bytes(b"another script's")
    host.run("adopt")
    assert {name: one["vm"] for name, one in manifest(host).items()} == {"vm3": "vm3", "vm4": "vm4"}
