"""A dump takes the place of dumps of its own series only: nothing is superseded on a guess."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host import Host, reasons


def leave(host: Host) -> dict[str, str]:
    """A day: what waits is released and fetched. Returns the reasons of the pass."""
    shape = host.json("pass")
    host.run("sync-started")
    host.run("synced")
    return reasons(shape)


def nested(host: Host, path: str, size: int = 10) -> None:
    (host.dumps / path).parent.mkdir(parents=True, exist_ok=True)
    host.dump(path, size)


@pytest.mark.parametrize(
    ("paths", "released"),
    [
        pytest.param(["web/vda.qcow2", "db/vda.qcow2"], 2, id="a folder for each VM"),
        pytest.param(["vm1-28.11.2026.img", "vm1-29.11.2026.img"], 1, id="one VM, two nights"),
        pytest.param(["2026-11-28/web/vda.qcow2", "2026-11-29/web/vda.qcow2"], 1, id="a folder for each night"),
        pytest.param(["web/root.qcow2", "db/root.qcow2"], 0, id="two VMs of one name"),
        pytest.param(["web/vda.qcow2", "web/vdb.qcow2"], 0, id="two disks of one VM"),
        pytest.param(["vm1.prod", "vm1.test"], 0, id="two stems"),
        pytest.param(["daily.0/vm1.img", "daily.1/vm1.img"], 1, id="rotated folders"),
    ],
)
def test_what_leaves_of_two_dumps(paths: list[str], released: int, tmp_path: Path) -> None:
    """Where they would be one VM and are not of one series, neither leaves and both markers stay."""
    host = Host(tmp_path, offsite={"confirm": "report"})
    for path in paths:
        nested(host, path)
    found = leave(host)
    assert len(host.exported()) == released
    if not released:
        assert set(found.values()) == {"ambiguous"}
        assert all((host.dumps / f"{path}.done").exists() for path in paths)


def test_two_watch_folders_with_one_number_are_ambiguous_until_one_has_a_prefix(tmp_path: Path) -> None:
    host = Host(tmp_path, offsite={"confirm": "report"})
    other = tmp_path / "other"
    other.mkdir()
    second = f'[[watch]]\npath = "{other}"\n'
    host.file.write_text(host.file.read_text() + second)
    host.dump("vzdump-qemu-100-2026_11_30-03_00_00.vma.zst", 10)
    name = "vzdump-qemu-100-2026_11_30-04_00_00.vma.zst"
    (other / name).write_bytes(os.urandom(10))
    (other / f"{name}.done").touch()
    assert set(leave(host).values()) == {"ambiguous"}
    host.file.write_text(host.file.read_text().replace(second, f'{second}prefix = "b-"\n'))
    (other / f"{name}.done").touch()
    assert set(leave(host).values()) == {"released"}
    assert [path.name for path in (other / ".rsync").iterdir() if path.is_file()] == ["b-100.vma.zst"]


def test_a_series_with_nothing_waiting_hands_over_to_the_next(tmp_path: Path) -> None:
    """A VM that moved to another folder."""
    host = Host(tmp_path, offsite={"confirm": "report"})
    nested(host, "old/vm1.img")
    leave(host)
    nested(host, "new/vm1.img")
    assert leave(host)["new/vm1.img"] == "released"


def test_a_series_that_comes_back_after_another_is_ambiguous(tmp_path: Path) -> None:
    """Two VMs of one name whose dumps take turns: each would replace the other's copy for ever."""
    host = Host(tmp_path, offsite={"confirm": "report"})
    for path in ("a/vm1.img", "b/vm1.img"):
        nested(host, path)
        leave(host)
    nested(host, "a/vm1.img", 20)
    assert leave(host)["a/vm1.img"] == "ambiguous"
    assert (host.dumps / "a/vm1.img.done").exists()


def test_an_older_dump_of_another_series_is_kept(tmp_path: Path) -> None:
    """It would end as one that is no gain, and its marker with it."""
    host = Host(tmp_path, offsite={"confirm": "report"})
    nested(host, "a/vm1.img")
    leave(host)
    (host.dumps / "b").mkdir()
    host.dump("b/vm1.img", 10, started="2026-01-01T00:00:00Z")
    assert leave(host)["b/vm1.img"] == "ambiguous"
    assert (host.dumps / "b/vm1.img.done").exists()


_PLACES = st.sampled_from(["", "web/", "db/", "2026-11-28/web/", "2026-11-29/db/", "daily.0/", "daily.1/"])
_NAMES = st.sampled_from(["vda.img", "root.img", "vm1.img", "vm1-2026-11-28.img", "vm1-29.11.2026.img", "vm1.prod"])


@settings(max_examples=15)
@given(paths=st.lists(st.tuples(_PLACES, _NAMES).map("".join), min_size=2, max_size=6, unique=True))
def test_no_dump_ends_because_of_a_dump_of_another_folder(
    paths: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over random mixtures of layouts: a marker that went was of a dump with a copy of its own or of its own series."""
    host = Host(tmp_path_factory.mktemp("mixture"), offsite={"confirm": "report"})
    content: dict[bytes, str] = {}
    for path in paths:
        nested(host, path)
        content[(host.dumps / path).read_bytes()] = path
    for _ in range(2):
        leave(host)
    arrived = {content[(host.tree / name).read_bytes()] for name in host.exported()}
    for path in paths:
        if not (host.dumps / f"{path}.done").exists():
            assert any(_plain(path) == _plain(other) for other in arrived), (path, arrived)


def _plain(path: str) -> str:
    """Folder and name less what differs from night to night in these paths."""
    for date in ("2026-11-28/", "2026-11-29/", "-2026-11-28", "-29.11.2026", "daily.0/", "daily.1/"):
        path = path.replace(date, "")
    return path
