"""``tidegate locate VM``: where the copies of a VM are."""

from pathlib import Path
from typing import Any

from tests.host import Host, host_with_papers

REPORT: dict[str, Any] = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}


def places(host: Host, vm: str) -> list[tuple[str, bool | None, str | None]]:
    shape = host.json("locate", vm)
    assert (shape["format"], shape["vm"]) == (2, vm)
    return [(one["place"], one["unchanged"], one["evidence"]) for one in shape["copies"]]


def test_a_copy_is_told_where_it_is_from_its_marker_to_the_storage(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host", **REPORT)
    host.dump("vm1", {"disk0": 10, "disk1": 20})
    host.run("pass")
    assert places(host, "vm1") == [("dumps", True, None), ("export", True, None)]
    host.run("synced", "--all")
    assert places(host, "vm1") == [("dumps", True, None), ("export", True, None), ("storage", None, "report")]
    assert "report, since 2" in host.run("locate", "vm1").stdout


def test_what_is_gone_is_not_told_and_what_was_written_over_is_said(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host", **REPORT)
    for name in ("vm1", "vm2"):
        host.dump(name, 100)
    host.run("pass")
    (host.dumps / "vm1").unlink()
    (host.dumps / "vm2").write_bytes(b"other")
    assert places(host, "vm1") == [("export", True, None)]
    assert places(host, "vm2") == [("dumps", False, None), ("export", False, None)]
    assert "not what was recorded" in host.run("locate", "vm2").stdout


def test_a_copy_that_was_marked_as_sent_is_at_the_storage_alone(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host", **REPORT)
    said = host.run("mark-sent", "vm1", "--time", "2026-01-02T03:04:05Z").stdout
    assert "new: vm1." in said
    [copy] = host.json("locate", "vm1")["copies"]
    assert (copy["place"], copy["dump_time"], copy["evidence"]) == ("storage", "2026-01-02T03:04:05Z", "mark-sent")


def test_an_unknown_vm_is_refused(tmp_path: Path) -> None:
    host = host_with_papers(tmp_path / "host")
    assert "Unknown VM 'vm7'" in host.run("locate", "vm7", code=2).stderr
