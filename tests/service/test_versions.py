"""A service and the commands beside it, of one version or of two."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.state.migrations import SCHEMA_VERSION
from core.version import __version__
from tests.host import Host
from tests.service.running import Running, service
from tests.waiting import WAIT_SECONDS
from tidegate.cli.versions import difference


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


@pytest.fixture
def running(host: Host) -> Iterator[Running]:
    with service(host, "--log-format", "json") as running:
        yield running


def stamp(host: Host, version: str) -> None:
    """Makes the service that runs look as if it were of another version."""
    lock = host.state.with_name(f"{host.state.name}.watch.lock")
    lock.write_text(lock.read_text().replace(f"(tidegate {__version__} ", f"(tidegate {version} "))


@pytest.mark.parametrize("command", ["status", "pass"])
def test_a_command_beside_a_service_of_its_own_version_says_nothing(host: Host, running: Running, command: str) -> None:
    """Nor beside none at all."""
    assert host.run(command).stderr == ""
    running.end()
    assert host.run(command).stderr == ""


@pytest.mark.parametrize("command", ["status", "pass"])
@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("0.0.9", f"is the older 0.0.9 and this command is {__version__}: restart it"),
        ("999.0", f"is the newer 999.0 and this command is {__version__}: use the service's own"),
    ],
)
def test_a_command_beside_a_service_of_another_version_says_what_to_do(
    host: Host, running: Running, command: str, version: str, advice: str
) -> None:
    """One sentence on stderr; stdout is as it always is."""
    stamp(host, version)
    done = host.run(command, "--json")
    assert advice in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert str(running.process.pid) in done.stderr
    assert done.stdout.startswith("{")


@pytest.mark.parametrize(("other", "word"), [("0.9.1", "older"), ("0.11", "newer")])
def test_versions_are_compared_as_numbers(other: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.10 is newer than 0.9."""
    monkeypatch.setattr("tidegate.cli.versions.__version__", "0.10.0")
    assert f"is the {word} {other} " in str(difference("process 1", other))


def test_a_service_whose_state_a_newer_tidegate_has_migrated_says_so_and_ends_with_3(
    host: Host, running: Running
) -> None:
    """systemd then starts the version that is installed now; the old one writes nothing into tables it cannot know."""
    with sqlite3.connect(host.state) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    host.dump("vm1", 10)
    assert running.process.wait(WAIT_SECONDS) == 3
    assert f"written by a newer Tidegate (version 99, this one knows {SCHEMA_VERSION})" in running.log[-1]
    with sqlite3.connect(host.state) as raw:
        assert raw.execute("SELECT count(*) FROM dump").fetchone() == (0,)
    raw.close()
