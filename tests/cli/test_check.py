"""``tidegate check``: what it finds out beside the mistakes of the configuration."""

import os
from pathlib import Path

import pytest

from tests.dumps.house import tell
from tests.host import Host
from tests.users import needs_capabilities, open_the_way

USER = "nobody"


@pytest.fixture
def root() -> None:
    """Only root can try what another user may read."""
    needs_capabilities()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Everybody may go to it."""
    host = Host(tmp_path / "host")
    open_the_way(host.dumps)
    return host


def shown_to_all(path: Path) -> Path:
    path.chmod(0o755 if path.is_dir() else 0o644)
    return path


@pytest.mark.usefixtures("root")
def test_what_the_puller_can_read_is_said_to_be_readable(host: Host) -> None:
    """Dumps that wait, and those that are let out."""
    shown_to_all(host.dump("vm1", 1000))
    tell(host, "pass")
    shown_to_all(host.dump("vm2", {"a": 1, "deep/b": 2}))
    told = tell(host, "check", "--as", USER)
    assert told.endswith(f"{USER} can read the export trees, and the 2 dumps that wait or are let out\n")


@pytest.mark.usefixtures("root")
def test_each_dump_that_the_puller_cannot_read_is_named(host: Host) -> None:
    """A script with a umask of its own: rsync would leave them out every day."""
    shown_to_all(host.dump("vm1", 1000))
    closed = host.dump("vm2", 1000)
    closed.chmod(0o600)
    folder = host.dump("vm3", {"a": 1, "deep/b": 2})
    (folder / "deep").chmod(0o700)
    told = tell(host, "check", "--as", USER, code=1).splitlines()
    assert told[-3:] == [
        f"{USER} cannot read {closed}: permission denied",
        f"{USER} cannot read {folder}/deep: permission denied",
        f"what {USER} cannot read does not arrive: let its dump script open it to him",
    ]


@pytest.mark.usefixtures("root")
def test_a_tree_that_the_puller_cannot_enter_is_named(host: Host) -> None:
    """Though each of its links would be readable."""
    shown_to_all(host.dump("vm1", 1000))
    tell(host, "pass")
    host.dumps.chmod(0o711)
    assert tell(host, "check", "--as", USER).endswith("let out\n")
    host.dumps.chmod(0o700)
    told = tell(host, "check", "--as", USER, code=1)
    shut = f"since {host.dumps} does not let him through"
    assert f"{USER} cannot read {host.tree}: permission denied, {shut}" in told


@pytest.mark.usefixtures("root")
def test_a_dump_in_a_folder_that_is_closed_leaves_all_the_same(tmp_path: Path) -> None:
    """The puller goes by the tree: only the rights of the file count."""
    host = Host(tmp_path / "host", watch={"export": "out"})
    open_the_way(host.dumps)
    (host.folder / "out").mkdir(mode=0o755)
    shown_to_all(host.dump("vm1", 1000))
    host.dumps.chmod(0o700)
    assert "can read the export trees, and the 1 dumps" in tell(host, "check", "--as", USER)


@pytest.mark.usefixtures("root")
def test_of_many_ten_are_named(host: Host) -> None:
    """The rest is counted."""
    for number in range(13):
        host.dump(f"vm{number}", 10).chmod(0o600)
    told = tell(host, "check", "--as", USER, code=1).splitlines()
    assert sum(" cannot read " in line for line in told) == 11
    assert "… and 3 more" in told


@pytest.mark.usefixtures("root")
def test_the_command_itself_stays_who_it_is(host: Host) -> None:
    """What another user may do is tried in a child."""
    before = (os.geteuid(), os.getegid(), os.getgroups())
    tell(host, "check", "--as", USER)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


def test_a_user_that_does_not_exist_is_said_to_be_unknown(host: Host) -> None:
    """A typing mistake is no dump that cannot be read."""
    ended = host.run("check", "--as", "nobdy", code=2)
    assert "there is no user 'nobdy' on this host" in ended.stderr


def test_the_programs_of_a_sync_are_looked_for(tmp_path: Path) -> None:
    """Before the first night on which it is needed. A daemon needs no ssh."""
    sync = {"rsync": "no-such-rsync", "ssh": ["no-such-ssh", "-q"]}
    over_ssh = Host(tmp_path / "one", sync={"destination": "backup@storage:/srv", **sync})
    told = tell(over_ssh, "check")
    assert "[sync]: no-such-rsync is not found on the PATH here" in told
    assert "[sync]: no-such-ssh is not found on the PATH here" in told
    daemon = Host(tmp_path / "two", sync={"destination": "storage::dumps", **sync})
    assert "no-such-ssh" not in tell(daemon, "check")


def test_strict_is_about_the_newest_dump_of_each_vm(host: Host) -> None:
    """A failure that a good dump has followed is over."""
    host.mark("vm1-1", "failed", vm="vm1", finished="2026-01-01T00:00:00Z")
    tell(host, "pass", "--strict", code=1)
    host.dump("vm1-2", 100, vm="vm1")
    tell(host, "pass", "--strict")
    host.mark("vm1-3", "failed", vm="vm1")
    tell(host, "pass", "--strict", code=1)


def test_who_marks_nothing_is_told_what_is_missing(tmp_path: Path) -> None:
    """The first look of somebody whose dump scripts say nothing yet; and a VM that a set names and nobody dumps."""
    host = Host(tmp_path / "host", backup_sets={"weekly": {"vms": ["vm2"]}})
    host.dump("vm1", 10, marked=False)
    assert tell(host, "plan").startswith("no dump is known: one counts from when X.done stands beside X")
    said = host.run("explain", "vm2", code=2).stderr
    assert "vm2 is in [backup_sets.weekly], and no dump of it was ever marked" in said


def test_a_vm_of_a_backup_set_that_nobody_ever_marked_is_named(tmp_path: Path) -> None:
    """Its script may have died years ago: no alarm can come from a VM that nobody has heard of."""
    host = Host(tmp_path / "host", backup_sets={"weekly": {"vms": ["vm1", "vm2", "vm3"]}})
    host.dump("vm1", 100)
    host.dump("vm3", 100)
    tell(host, "pass")
    tell(host, "retire", "vm3")
    for command in ("check", "status"):
        assert "vm2: in a backup set, and no dump of it was marked" in " ".join(tell(host, command).split())
    host.mark("vm2", "failed")
    tell(host, "pass")
    assert "was marked" not in tell(host, "check")
