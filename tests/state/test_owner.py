"""Root beside a service that has a user of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from core.state.database import State
from tests.host import Host
from tests.users import NOBODY, as_user, needs_capabilities

#: So that a checkout which only root may read can be run from; it gives no right to write anything.
TO_READ_THE_PROGRAM = "dac_read_search"


def owned_by_nobody(folder: Path) -> Path:
    """A folder for the state that the service's user owns, as StateDirectory= makes it."""
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Dumps and state of a user who is not root; the test runs as root."""
    needs_capabilities()
    owned_by_nobody(tmp_path / "state")
    host = Host(tmp_path / "host", state={"path": "../state/state.db"})
    host.dump("vm1", 100)
    for path in (host.dumps, *host.dumps.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    return host


def passed(host: Host) -> subprocess.CompletedProcess[str]:
    return as_user(host.command("pass"), TO_READ_THE_PROGRAM)


@pytest.mark.parametrize("again", [False, True], ids=["before its first pass", "after it"])
def test_what_root_looks_at_the_service_can_still_write(host: Host, again: bool) -> None:
    """status, plan, explain, export-metrics and hold by root, then a pass of the state's owner."""
    if again:
        assert passed(host).returncode == 0
        host.dump("vm2", 100)
        os.chown(host.dumps / "vm2", NOBODY, NOBODY)
    for command in (["status"], ["plan"], ["hold", "vm1"], ["unhold", "vm1"], ["export-metrics", "--output", "-"]):
        subprocess.run(host.command(*command), check=False, capture_output=True, timeout=60)
    host.run("status")
    done = passed(host)
    assert done.returncode == 0, done.stderr
    assert set(host.exported()) == ({"vm1", "vm2"} if again else {"vm1"})


def test_every_file_that_root_makes_beside_the_state_is_its_folders_owners(tmp_path: Path) -> None:
    """The database and what SQLite puts beside it, and the three locks."""
    needs_capabilities()
    folder = owned_by_nobody(tmp_path / "var")
    state = State(folder / "state.db")
    with state.watch_lock(), state.pass_lock(wait=0), state.write():
        made = {path.name: path.stat() for path in folder.iterdir()}
    assert {"state.db", "state.db.lock", "state.db.pass.lock", "state.db.watch.lock", "state.db-wal"} <= set(made)
    assert {(status.st_uid, status.st_gid) for status in made.values()} == {(NOBODY, NOBODY)}
    state.close()


def test_root_gives_away_nothing_that_stood_there_before(tmp_path: Path) -> None:
    """A name in a folder of somebody else's may be a trap: a link to a file that only root may write."""
    needs_capabilities()
    folder = owned_by_nobody(tmp_path / "var")
    secret = tmp_path / "secret"
    secret.write_text("root's own")
    os.link(secret, folder / "state.db.lock")
    State(folder / "state.db").close()
    assert secret.stat().st_uid == 0


def test_in_roots_own_folder_files_are_roots(tmp_path: Path) -> None:
    """Nothing changes where the service runs as root."""
    needs_capabilities()
    State(tmp_path / "state.db").close()
    assert {path.stat().st_uid for path in tmp_path.iterdir()} == {0}
