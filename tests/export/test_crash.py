"""Killed at any dangerous instant, nothing half-made is ever visible, and the next pass finds its way."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from core.fs.fingerprint import Identity
from policy.export import LinkRequest, Presence, Published
from tests.conftest import ROOT
from tests.export.house import Content, House

pytestmark = pytest.mark.slow

FOLDER = {"disk0": b"zero", "disk1": b"one", "sub/disk2": b"two"}
OLD = {"disk0": b"old", "sub/disk2": b"older", "sub/sub/disk3": b"oldest"}


def killed_at(house: House, point: int, requests: Sequence[LinkRequest], links: Mapping[str, Identity]) -> bool:
    """Runs a process of its own and kills it at this trace point. False when there is no such point any more."""
    command = [sys.executable, "-m", "tests.export.killed", str(house.tree), str(point)]
    result = subprocess.run(command, input=pickle.dumps((requests, links)), cwd=ROOT, check=False)
    assert result.returncode in {0, -signal.SIGKILL}
    return result.returncode != 0


def test_killed_at_any_point_of_a_publication_each_name_is_whole_the_old_or_the_new(tmp_path: Path) -> None:
    """New files and folders, and each kind replaced by each: 40 instants or so."""
    point = 0
    while True:
        root = tmp_path / str(point)
        root.mkdir()
        house = House(root)
        old, requests = prepared(house)
        was_killed = killed_at(house, point, requests, {})
        for request in requests:
            stands_whole(house, request, old.get(request.export_name))
        assert {path for path in house.visible() if "/" not in path} <= {request.export_name for request in requests}
        recovers(house, requests)
        if not was_killed:
            break
        point += 1
    assert point >= 25


def prepared(house: House) -> tuple[dict[str, Identity], list[LinkRequest]]:
    requests = []
    old = {}
    contents: dict[str, Content] = {"file": b"old file", "folder": OLD}
    successors: list[Content] = [b"new file", FOLDER]
    for name, before in contents.items():
        for after in successors:
            path = f"{name}-to-{'file' if isinstance(after, bytes) else 'folder'}"
            house.dump(f"old/{path}", before)
            house.dump(path, after)
            old[path] = house.released(f"old/{path}")
            requests.append(house.request(path, may_replace=True))
    house.dump("new-file")
    house.dump("new-folder", FOLDER)
    return old, [*requests, house.request("new-file"), house.request("new-folder")]


def stands_whole(house: House, request: LinkRequest, old: Identity | None) -> None:
    if house.export.presence(request.export_name, request.identity) is Presence.INTACT:
        return
    if old is None:
        assert house.export.presence(request.export_name, request.identity) is Presence.ABSENT
    else:
        assert house.export.presence(request.export_name, old) is Presence.INTACT


def recovers(house: House, requests: Sequence[LinkRequest]) -> None:
    house.export.sweep()
    assert house.staged() == []
    assert all(isinstance(outcome, Published) for outcome in house.publish(*requests))
    assert set(house.export.presences({each.export_name: each.identity for each in requests}).values()) == {
        Presence.INTACT
    }


def test_killed_at_any_point_of_a_withdrawal_a_link_is_whole_or_gone(tmp_path: Path) -> None:
    point = 0
    while True:
        root = tmp_path / str(point)
        root.mkdir()
        house = House(root)
        house.dump("vm1")
        house.dump("vm2", FOLDER)
        links = {name: house.released(name) for name in ("vm1", "vm2")}
        was_killed = killed_at(house, point, [], links)
        assert set(house.export.presences(links).values()) <= {Presence.INTACT, Presence.ABSENT}
        house.export.withdraw_all(links)
        assert house.visible() == set()
        assert house.staged() == []
        if not was_killed:
            break
        point += 1
    assert point == 4


def test_what_a_crash_left_in_staging_is_swept_and_counted(house: House) -> None:
    house.dump("vm1")
    house.released("vm1")
    (house.staging / "17").write_bytes(b"left")
    (house.staging / "18.old" / "deep" / "deeper").mkdir(parents=True)
    (house.staging / "18.old" / "deep" / "file").write_bytes(b"left")
    (house.staging / "18.old" / "way-out").symlink_to(house.source)
    assert house.export.sweep() == 2
    assert house.staged() == []
    assert house.export.sweep() == 0
    assert (house.source / "vm1").exists()


@pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])
def test_leftovers_do_not_hinder_the_next_publication(house: House, content: Content) -> None:
    house.dump("vm1", content)
    house.dump("vm2", content)
    request = house.request("vm1")
    house.released("vm2")
    (house.staging / str(request.link_id)).mkdir()
    assert isinstance(house.publish(request)[0], Published)
