"""The service's own user, with the capabilities of the shipped units, over dumps that are root's.

Real passes in processes that have exactly those capabilities, as systemd starts them.
"""

import errno
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import units
from tests.host import Host
from tests.notify.receivers import receiving
from tests.real_parts import cannot
from tests.service.running import service
from tests.users import NOBODY, as_user, become, needs_capabilities
from tests.waiting import free_port, until

pytestmark = pytest.mark.slow

CAPABILITIES = units.capabilities("tidegate-pass.service")
CONFINED = [sys.executable, "-m", "tests.deploy.confined"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """As deploy/systemd/README.md sets it up: dumps root:root 0640, the folder for the service's group to write to."""
    needs_capabilities(*CAPABILITIES)
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", NOBODY, NOBODY)
    host = Host(tmp_path / "host", state={"path": "../state/state.db"})
    os.chown(host.dumps, 0, NOBODY)
    host.dumps.chmod(0o2770)
    host.dump("vm1", 100, marked=False)
    host.dump("vm2", {"disk0": 100, "inner/disk1": 100}, marked=False)
    for path in [*host.dumps.rglob("*")]:
        os.chown(path, 0, 0)
        path.chmod(0o700 if path.is_dir() else 0o640)
    host.mark("vm1")
    host.mark("vm2")
    return host


def protected_hardlinks() -> bool:
    return Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1"


def test_with_the_capabilities_of_the_units_the_links_are_made(host: Host) -> None:
    """Of a file, and of a folder that nobody but root may look into; and the links are root's own files."""
    done = as_user(host.command("pass"), *CAPABILITIES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.exported() == {"vm1": 100, "vm2/disk0": 100, "vm2/inner/disk1": 100}
    assert (host.tree / "vm1").samefile(host.dumps / "vm1")
    assert host.tree.stat().st_uid == NOBODY


def test_without_cap_fowner_the_sentence_names_it(host: Host) -> None:
    """And the pass ends with 1: what it set out to do failed."""
    if not protected_hardlinks():
        cannot("fs.protected_hardlinks is off on this machine: the link needs no capability")
    done = as_user(host.command("pass"), "dac_read_search")
    assert done.returncode == 1
    assert "EPERM: the kernel refuses this link" in done.stdout + done.stderr
    assert "CAP_FOWNER" in done.stdout + done.stderr
    assert host.exported() == {}


def test_a_group_that_may_read_and_write_the_dumps_needs_no_capability(host: Host) -> None:
    """The other way that the README shows; the one left here is for a checkout that only root may read."""
    for path in host.dumps.rglob("*"):
        os.chown(path, 0, NOBODY)
        path.chmod(0o770 if path.is_dir() else 0o660)
    done = as_user(host.command("pass"), "dac_read_search")
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.exported() == {"vm1": 100, "vm2/disk0": 100, "vm2/inner/disk1": 100}


def test_with_cap_lease_a_dump_that_is_still_being_written_is_seen(host: Host) -> None:
    """The kernel gives a lease on somebody else's file only with it, and tells by that who writes."""
    with (host.dumps / "vm1").open("ab"):
        shape = as_user(host.command("pass", "--json"), *CAPABILITIES).stdout
    assert '"reason": "open"' in shape
    assert set(host.exported()) == {"vm2/disk0", "vm2/inner/disk1"}


def test_markers_go_when_their_dumps_have_come_to_their_end(host: Host) -> None:
    """The folder is the group's to write, as a script's own user makes them."""
    assert as_user(host.command("pass"), *CAPABILITIES).returncode == 0
    assert as_user(host.command("synced", "--all"), *CAPABILITIES).returncode == 0
    assert as_user(host.command("pass"), *CAPABILITIES).returncode == 0
    assert list(host.dumps.glob("*.done")) == []


def test_the_configuration_is_found_well_by_that_user(host: Host) -> None:
    """`check` tries a real link and a real read."""
    done = as_user(host.command("check"), *CAPABILITIES)
    assert done.returncode == 0, done.stderr


# --- under the units' filters


def test_a_pass_needs_no_system_call_that_its_unit_refuses(host: Host) -> None:
    """Nor memory that is written and executed."""
    done = as_user([*CONFINED, "tidegate-pass.service", *host.command("pass")], *CAPABILITIES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.exported() == {"vm1": 100, "vm2/disk0": 100, "vm2/inner/disk1": 100}
    assert done.stderr == ""


def test_who_is_told_is_reached_under_that_filter_too(host: Host) -> None:
    """A ping, and a command with its process group."""
    told = host.folder.parent / "state" / "told"
    with receiving() as receiver:
        notify = {"pass": {"url": receiver.url}, "command": ["sh", "-c", f"cat > {told}"]}
        host.configure(state={"path": "../state/state.db"}, notify=notify)
        host.mark("vm3", "failed")
        done = as_user([*CONFINED, "tidegate-pass.service", *host.command("pass")], *CAPABILITIES)
    assert (done.returncode, done.stderr) == (0, "tidegate: dumps: vm3: failed: its dump failed\n")
    assert receiver.paths == ["/ping/secret-key/start", "/ping/secret-key"]
    assert [one["subject"] for one in json.loads(told.read_text())["troubles"]] == ["vm3"]


def test_a_sync_reads_dumps_that_are_roots_under_its_unit(host: Host) -> None:
    """It needs no right to link, and rsync none but to read."""
    assert as_user(host.command("pass"), *CAPABILITIES).returncode == 0
    storage = host.folder / "storage"
    storage.mkdir()
    os.chown(storage, NOBODY, NOBODY)
    sync = {"destination": str(storage), "options": ["--recursive", "--times", "--perms"]}
    host.configure(state={"path": "../state/state.db"}, offsite={"confirm": "report"}, sync=sync)
    unit = "tidegate-sync.service"
    done = as_user([*CONFINED, unit, *host.command("sync")], *units.capabilities(unit))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (storage / "vm1").read_bytes() == (host.dumps / "vm1").read_bytes()
    assert {one["offsite_by"] for one in host.json("status")["vms"]} == {"report"}


def test_what_the_filter_refuses_is_refused(host: Host) -> None:
    """So that the test above tests something."""
    program = "import os, sys; os.chown(sys.argv[1], -1, -1)"
    command = [sys.executable, "-c", program, str(host.folder)]
    done = as_user([*CONFINED, "tidegate-pass.service", *command], *CAPABILITIES)
    assert os.strerror(errno.EPERM) in done.stderr


def test_the_service_becomes_ready_serves_reloads_and_runs_its_pass_under_its_filter(host: Host) -> None:
    """Its daily pass is a child of it, and stands under the same."""
    port = free_port()
    sections: dict[str, Any] = {"state": {"path": "../state/state.db"}}
    host.configure(**sections | {"exporters.http": {"listen": f"127.0.0.1:{port}"}})
    before = [*become(*CAPABILITIES), *CONFINED, "tidegate-watch.service"]
    with service(host, "--log-format", "json", before=before) as running:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert b'tidegate_collect_success{collector="vms"} 1.0' in answer.read()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/vm/vm1", timeout=60) as answer:
            assert b"vm1" in answer.read()
        host.configure(**sections | {"pass": {"at": "00:00"}})
        running.reload()
        until(lambda: len(host.exported()) == 3)
        assert running.end() == 0
        events = [json.loads(line) for line in running.log]
    assert [event for event in events if event["level"] != "info"] == []
