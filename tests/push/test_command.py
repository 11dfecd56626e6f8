"""How rsync is called for each kind of destination."""

from pathlib import Path

import pytest

from core.errors import FaultError
from policy.sync.rsync import Job, call
from tests.host import Host


def job_to(folder: Path, destination: str, **how: object) -> Job:
    host = Host(folder / "host", sync={"destination": destination, **how})
    config = host.config()
    assert config.push is not None
    return Job(config.push, config.watches[0], "/tree/", folder / "log")


@pytest.mark.parametrize(
    ("destination", "options", "expected"),
    [
        ("rsync://storage/module/host1", [], ["storage", "873"]),
        ("rsync://me@storage:8873/module", ["--port=9"], ["storage", "8873"]),
        ("rsync://[fe80::1]:8873/module", [], ["fe80::1", "8873"]),
        ("storage::module/host1", [], ["storage", "873"]),
        ("me@storage::module", ["--port=8873"], ["storage", "8873"]),
    ],
)
def test_a_daemon_is_reached_through_the_meter(
    tmp_path: Path, destination: str, options: list[str], expected: list[str]
) -> None:
    calling = call(job_to(tmp_path, destination, options=["--archive", *options]), 7)
    assert calling.words[-2:] == ["/tree/", destination]
    assert calling.environment["RSYNC_CONNECT_PROG"].split()[-4:] == ["7", "tcp", *expected]
    assert not any(word.startswith("--rsh") for word in calling.words)


@pytest.mark.parametrize("destination", ["storage:/srv/host1", "me@storage:host1", "[fe80::1]:/srv", "storage:"])
def test_a_host_is_reached_by_ssh_behind_the_meter(tmp_path: Path, destination: str) -> None:
    calling = call(job_to(tmp_path, destination, ssh=["ssh", "-o", "User me"]), 7)
    assert calling.words[-2:] == ["/tree/", destination]
    [shell] = [word for word in calling.words if word.startswith("--rsh=")]
    assert shell.endswith(" 7 shell ssh -o 'User me'")
    assert calling.environment == {}


def test_a_folder_of_this_host_is_a_host_for_rsync_so_that_the_meter_counts(tmp_path: Path) -> None:
    disk = tmp_path / "a disk"
    disk.mkdir()
    calling = call(job_to(tmp_path, "../a disk"), 7)
    assert calling.words[-2:] == ["/tree/", f"here:{tmp_path}/host/../a disk"]
    [shell] = [word for word in calling.words if word.startswith("--rsh=")]
    assert shell.endswith(" 7 local")


def test_a_disk_that_is_not_mounted_is_no_empty_destination(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="is its disk mounted"):
        call(job_to(tmp_path, "/nowhere/at/all"), 7)
