"""What the demo compares: a demo that could not fail would show nothing."""

from pathlib import Path
from typing import Any

import pytest

from tools.demo import proof, reported
from tools.demo.proof import Cast, Copy, DayTold, Differs

LIMIT = 1000


def _filled(folder: Path, **files: bytes) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_equal_folders_compare_equal_and_their_bytes_are_counted(tmp_path: Path) -> None:
    """Markers and dot names in the dump folder are no dumps."""
    dumps = _filled(tmp_path / "dumps", vm1=b"one", vm2=b"second", vm3=b"stays")
    (dumps / "vm1.done").touch()
    (dumps / ".rsync").mkdir()
    storage = _filled(tmp_path / "storage", vm1=b"one", vm2=b"second")
    assert proof.compare(dumps, storage, ["vm1", "vm2"]) == 9


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        pytest.param({"vm1": b"one"}, "vm2 is missing", id="missing"),
        pytest.param({"vm1": b"one", "vm2": b"secONd"}, "vm2 differs", id="same-size-other-bytes"),
        pytest.param({"vm1": b"one", "vm2": b"secon"}, "vm2 differs", id="short"),
        pytest.param({"vm1": b"one", "vm2": b"second", "vm3": b""}, "vm3 is in the storage", id="too-much"),
    ],
)
def test_a_storage_that_is_not_what_was_dumped_is_told(tmp_path: Path, stored: dict[str, bytes], said: str) -> None:
    """Each kind of difference has its words."""
    dumps = _filled(tmp_path / "dumps", vm1=b"one", vm2=b"second", vm3=b"x")
    storage = _filled(tmp_path / "storage", **stored)
    with pytest.raises(Differs, match=said):
        proof.compare(dumps, storage, ["vm1", "vm2"])


def test_a_file_that_was_written_anew_has_arrived_and_one_that_stood_has_not() -> None:
    """A new dump of a VM has the name and may have the size of the old one."""
    before = {"vm1": Copy(1, 10, 100), "vm2": Copy(2, 10, 100)}
    after = {"vm1": Copy(1, 10, 100), "vm2": Copy(3, 20, 100), "vm3": Copy(4, 20, 7)}
    assert proof.arrived(before, after) == 107


def test_rsyncs_own_figure_is_read_or_missed() -> None:
    """A figure that cannot be read is no zero."""
    assert proof.transferred("Number of files: 3\nTotal transferred file size: 9900000 bytes\n") == 9_900_000
    with pytest.raises(Differs):
        proof.transferred("Total transferred file size: 9,900,000 bytes\n")


@pytest.mark.parametrize(
    ("day", "said"),
    [
        pytest.param(DayTold(3, (), 1001, 1001, 1001), "1001 bytes let out", id="let-out"),
        pytest.param(DayTold(3, (), 900, 1001, 900), "1001 bytes arrived", id="arrived"),
        pytest.param(DayTold(3, (), 900, 900, 1001), "1001 bytes sent", id="sent"),
        pytest.param(DayTold(3, (), 900, 800, 800), "900 bytes were let out, 800 arrived", id="lost"),
        pytest.param(DayTold(3, (), 900, 950, 900), "950 arrived", id="more-than-rsync-says"),
    ],
)
def test_a_day_over_the_limit_or_with_another_sum_is_told(day: DayTold, said: str) -> None:
    """Three count the same bytes: the pass, the storage's own files, and rsync."""
    proof.check_day(DayTold(3, (), 1000, 1000, 1000), LIMIT)
    with pytest.raises(Differs, match=f"day 3: .*{said}"):
        proof.check_day(day, LIMIT)


CAST = Cast(frozenset({"vm1", "vm2"}), frozenset({"vm3"}), frozenset({"vm4"}))


def _status(**changes: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, dict[str, Any]] = {
        "vm1": {"offsite_time": "t"},
        "vm2": {"offsite_time": "t"},
        "vm3": {"last_dump_failed": True},
        "vm4": {"newest_dump": {"reason": "oversize"}},
    }
    default = {"offsite_time": None, "last_dump_failed": False, "newest_dump": None}
    return {"vms": [{"vm": vm, **default, **values, **changes.get(vm, {})} for vm, values in good.items()]}


def test_the_last_line_is_counted() -> None:
    """Of what the days brought and what ``status`` says."""
    line, problems = reported.verdict([DayTold(1, (), 5, 5, 5)], _status(), CAST, LIMIT)
    assert line == "1 of 1 days within the limit, 2 of 2 VMs off-site, 1 failed, 1 held"
    assert problems == []


@pytest.mark.parametrize(
    ("days", "changes", "line"),
    [
        ([DayTold(1, (), 5, 2000, 5)], {}, "0 of 1 days within the limit, 2 of 2 VMs off-site, 1 failed, 1 held"),
        ([], {"vm2": {"offsite_time": None}}, "0 of 0 days within the limit, 1 of 2 VMs off-site, 1 failed, 1 held"),
        (
            [],
            {"vm3": {"last_dump_failed": False}},
            "0 of 0 days within the limit, 2 of 2 VMs off-site, 0 failed, 1 held",
        ),
        ([], {"vm4": {"offsite_time": "t"}}, "0 of 0 days within the limit, 2 of 2 VMs off-site, 1 failed, 1 held"),
        ([], {"vm4": {"newest_dump": None}}, "0 of 0 days within the limit, 2 of 2 VMs off-site, 1 failed, 0 held"),
    ],
    ids=[
        "a-day-too-full",
        "a-vm-left-behind",
        "a-failure-not-told",
        "the-oversize-one-left",
        "the-oversize-one-not-told",
    ],
)
def test_a_last_line_that_should_be_another_is_a_problem(
    days: list[DayTold], changes: dict[str, dict[str, Any]], line: str
) -> None:
    """Also one that reads well while somebody left who should not have."""
    found, problems = reported.verdict(days, _status(**changes), CAST, LIMIT)
    assert found == line
    assert problems


def test_what_becomes_of_whom_is_read_from_the_dump_folder(tmp_path: Path) -> None:
    """A VM that failed and was dumped since has not failed."""
    dumps = _filled(tmp_path / "dumps", vm1=b"x" * 1000, vm2=b"x" * 1001, vm4=b"x")
    for marker in ("vm1.done", "vm2.done", "vm3.failed", "vm4.failed", "vm4.done"):
        (dumps / marker).touch()
    assert proof.cast_of(dumps, LIMIT) == Cast(frozenset({"vm1", "vm4"}), frozenset({"vm3"}), frozenset({"vm2"}))


def test_metrics_that_tell_something_else_are_told() -> None:
    """What the watcher serves is held against what came to the storage."""
    told = """\
tidegate_released_bytes_total 500.0
tidegate_confirmed_bytes_total 500.0
tidegate_outstanding_bytes 0.0
tidegate_link_failures_total 0.0
tidegate_dumps_waiting{reason="oversize"} 1.0
tidegate_dumps_waiting{reason="dump_failed"} 1.0
"""
    reported.check_metrics(told, CAST, 500)
    with pytest.raises(Differs, match="tidegate_released_bytes_total is 500, not 501"):
        reported.check_metrics(told, CAST, 501)
    with pytest.raises(Differs, match="does not tell tidegate_outstanding_bytes"):
        reported.check_metrics(told.replace("outstanding", "elsewhere"), CAST, 500)
