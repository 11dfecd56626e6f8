"""The shipped rsync daemon: a pull of the whole tree is sealed and counted, and nothing it tells confirms anything.

The real daemon as the service's user, over dumps that are root's, and the real rsync as the storage.
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy.sync.rsyncd_hooks import Request
from tests.deploy import units
from tests.deploy.rsyncd import CAPABILITIES, FOLDER, STATE, Daemon, daemon, released, service_host
from tests.host import Host
from tests.waiting import until

pytestmark = pytest.mark.slow

WATCH = (units.FOLDER, "tidegate-watch.service")
PULL = ("-rt", "--partial-dir=.rsync-partial")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = service_host(tmp_path, daily=3_000_000, offsite={"confirm": "report"})
    released(host, vm1=1_000_000, vm2=2_000_000)
    return host


@pytest.fixture
def served(host: Host) -> Iterator[Daemon]:
    with daemon(host) as served:
        yield served


def rows(host: Host, query: str) -> list[Any]:
    with sqlite3.connect(f"file:{host.folder.parent}/state/state.db?mode=ro", uri=True) as raw:
        found = raw.execute(query).fetchall()
    raw.close()
    return found


def syncs(host: Host) -> list[Any]:
    return rows(host, "SELECT sealed_at IS NOT NULL, reported_at IS NOT NULL, sent_bytes FROM sync ORDER BY id")


def states(host: Host) -> dict[str, str]:
    return dict(rows(host, "SELECT vm, state FROM link"))


def rsync(*words: str | Path, code: int = 0) -> str:
    """What it says. While the daemon ends its connection before, it has no place: it is asked again."""
    end = time.monotonic() + 120
    while True:
        done = subprocess.run(["rsync", *words], capture_output=True, text=True, check=False, timeout=120)
        if "max connections" not in done.stdout + done.stderr or code == 5 or time.monotonic() > end:
            assert done.returncode == code, done.stdout + done.stderr
            return done.stdout + done.stderr
        time.sleep(0.05)


def pull(served: Daemon, copy: Path, *words: str, code: int = 0) -> str:
    return rsync(*PULL, *words, f"{served.url}/", f"{copy}/", code=code)


def free(served: Daemon) -> None:
    """The hooks of all that was asked until now have ended: the one place is free."""
    rsync("--dry-run", f"{served.url}/")


# --- what is sealed


WHOLE = ("rsyncd", "--server", "--sender", "-tre.iLsfxCIvu", ".", ".")


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        (WHOLE, True),
        (("rsyncd", "--server", "--sender", "-vlogDtpre.iLsfxCIvu", "--partial-dir", ".p", ".", "./"), True),
        (("rsyncd", "--server", "--sender", "-ntre.iLsfxCIvu", ".", "."), False),
        (("rsyncd", "--server", "--sender", "-de.LsfxCIvu", ".", "."), False),
        (("rsyncd", "--server", "--sender", "-re.iLsfxCIvu", ".", "."), False),
        (("rsyncd", "--server", "--sender", "-tre.iLsfxCIvu", "--list-only", ".", "."), False),
        (("rsyncd", "--server", "--sender", "-trRe.iLsfxCIvu", "--files-from=-", "--from0", ".", "."), False),
        ((*WHOLE[:-1], "vm1"), False),
        ((*WHOLE, "vm1"), False),
        (("rsyncd", "--server", "-tre.iLsfxCIvu", ".", "."), False),
        ((), False),
        (("\n", "-tr\n", "--server", "--sender", "; reboot", ".", "$(reboot)"), False),
    ],
)
def test_a_pull_of_all_is_told_from_everything_else(arguments: tuple[str, ...], whole: bool) -> None:
    """As the real clients ask: a dry run, listings, a list of files, a part, a push, and what nobody asks."""
    assert Request(1, "vm", "/srv", arguments).is_whole_pull is whole


def test_a_pull_is_sealed_and_its_bytes_are_recorded_and_it_confirms_nothing(
    host: Host, served: Daemon, tmp_path: Path
) -> None:
    pull(served, tmp_path / "copy")
    assert (tmp_path / "copy" / "vm2").stat().st_size == 2_000_000
    assert (tmp_path / "copy" / ".tidegate" / "manifest.json").exists()
    until(lambda: syncs(host)[0][2] is not None)
    [(sealed, reported, sent)] = syncs(host)
    assert (sealed, reported) == (1, 0)
    assert 3_000_000 < sent < 3_100_000
    assert states(host) == {"vm1": "linked", "vm2": "linked"}
    crossed = dict(rows(host, "SELECT vm, c.bytes FROM transfer c JOIN link ON link.id = link_id"))
    assert [round(crossed[vm], -4) for vm in ("vm1", "vm2")] == [1_000_000, 2_000_000]


def test_where_no_report_is_to_come_a_seal_ends_with_its_transfer(host: Host, served: Daemon, tmp_path: Path) -> None:
    """Else each day's pull would keep newer dumps out of the tree until the next one."""
    host.configure(daily=3_000_000, **STATE, offsite={"confirm": "read"})
    pull(served, tmp_path / "copy")
    until(lambda: syncs(host)[0][2] is not None)
    assert syncs(host)[0][0] == 0
    assert states(host) == {"vm1": "linked", "vm2": "linked"}  # until a look at their reads


def test_what_is_no_pull_of_all_seals_nothing(host: Host, served: Daemon, tmp_path: Path) -> None:
    """A dry run, a listing, a single file: of the last one the bytes are recorded all the same."""
    rsync("-rtn", f"{served.url}/", f"{tmp_path}/copy/")
    rsync(f"{served.url}/")
    free(served)
    assert syncs(host) == []
    rsync("-t", f"{served.url}/vm1", f"{tmp_path}/copy/")
    until(lambda: syncs(host) != [])
    [(sealed, reported, sent)] = syncs(host)
    assert (sealed, reported) == (0, 0)
    assert 1_000_000 < sent < 1_100_000
    assert states(host) == {"vm1": "linked", "vm2": "linked"}


def test_a_receiver_that_could_store_nothing_is_not_believed(host: Host, served: Daemon, tmp_path: Path) -> None:
    """The daemon's own status is 0 then."""
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["chattr", "+i", copy], check=True)
    try:
        pull(served, copy, code=23)
    finally:
        subprocess.run(["chattr", "-i", copy], check=True)
    until(lambda: syncs(host)[0][2] is not None)
    assert states(host) == {"vm1": "linked", "vm2": "linked"}
    assert syncs(host)[0][1] == 0


def test_a_client_that_is_killed_has_taken_what_it_took(host: Host, served: Daemon, tmp_path: Path) -> None:
    """And what it has of a file is gone on with: the rest crosses the line, and not all of it again."""
    command = ["rsync", *PULL, "--bwlimit=500", "--no-whole-file", f"{served.url}/", f"{tmp_path}/copy/"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as client:
        until(lambda: any(one.stat().st_size > 500_000 for one in (tmp_path / "copy").glob(".vm*")))
        client.send_signal(signal.SIGTERM)
    until(lambda: syncs(host)[0][2] is not None)
    first = syncs(host)[0][2]
    assert 500_000 < first < 3_000_000
    pull(served, tmp_path / "copy")
    until(lambda: syncs(host)[1][2] is not None)
    assert syncs(host)[1][2] < 3_000_000 - 400_000
    assert (tmp_path / "copy" / "vm2").read_bytes() == (host.dumps / "vm2").read_bytes()


# --- what is refused


def test_a_second_client_is_refused_while_one_pulls(host: Host, served: Daemon, tmp_path: Path) -> None:
    command = ["rsync", *PULL, "--bwlimit=300", f"{served.url}/", f"{tmp_path}/copy/"]
    with subprocess.Popen(command) as client:
        until(lambda: bool(list((tmp_path / "copy").glob(".vm*"))))
        assert "max connections (1) reached" in pull(served, tmp_path / "other", code=5)
        client.terminate()


def test_after_the_limit_has_crossed_the_line_nothing_more_is_served(
    host: Host, served: Daemon, tmp_path: Path
) -> None:
    """The storage lost what it had fetched and asks anew: the sentence reaches it, and no byte of a dump."""
    pull(served, tmp_path / "copy")
    until(lambda: syncs(host)[0][2] is not None)
    said = pull(served, tmp_path / "other", code=10)
    assert "the day's limit is used up: 3 MB of 3 MB were transferred; try again after 20" in said
    assert not (tmp_path / "other").exists() or list((tmp_path / "other").iterdir()) == []
    assert len(syncs(host)) == 1


def test_pushes_and_removals_are_refused_by_the_module(host: Host, served: Daemon, tmp_path: Path) -> None:
    (tmp_path / "vm9").write_bytes(b"x")
    assert "read-only" in rsync(str(tmp_path / "vm9"), f"{served.url}/", code=1).replace("read only", "read-only")
    free(served)
    rsync("-rt", "--remove-source-files", f"{served.url}/", f"{tmp_path}/copy/", code=1)
    assert host.exported().keys() == {"vm1", "vm2"}


def test_a_storage_at_another_address_is_refused(host: Host) -> None:
    """The lines of the shipped file, with the address that stands in it."""
    text = (FOLDER / "rsyncd.conf").read_text()
    assert re.findall(r"^ +hosts (\w+) = (.*)$", text, re.MULTILINE) == [("allow", "192.0.2.10"), ("deny", "*")]


# --- hooks by hand


def hook(host: Host, name: str, *words: str, code: int, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **{key: value for key, value in environment.items() if value}}
    done = subprocess.run(host.command(name, *words), capture_output=True, text=True, check=False, env=given)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_a_hook_that_no_daemon_calls_says_so(host: Host) -> None:
    for pid in ("", "12; reboot", "-1", "\u0661"):
        done = hook(host, "pre-xfer", code=2, RSYNC_PID=pid)
        assert "it is called by rsyncd.conf" in done.stdout
        assert "it is called by rsyncd.conf" in done.stderr


def test_a_module_that_is_no_export_tree_is_refused(host: Host) -> None:
    done = hook(host, "pre-xfer", code=2, RSYNC_PID="7", RSYNC_MODULE_NAME="x\ny", RSYNC_MODULE_PATH=str(host.dumps))
    assert "the module 'x\\ny' serves" in done.stdout.replace("\\\\", "\\")


def test_a_log_that_is_not_there_is_named(host: Host) -> None:
    given = {"RSYNC_PID": "7", "RSYNC_MODULE_NAME": "vm", "RSYNC_MODULE_PATH": str(host.tree)}
    done = hook(host, "post-xfer", "--log", "/absent", code=2, **given)
    assert "the daemon's log /absent cannot be read: No such file" in done.stderr


# --- the unit


def settings(unit: Path) -> list[str]:
    return [line for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#")]


def test_the_unit_is_one_that_systemd_knows_and_as_closed_as_the_others(tmp_path: Path) -> None:
    unit = tmp_path / "tidegate-rsyncd.service"
    unit.write_text((FOLDER / unit.name).read_text().replace("/usr/bin/rsync", shutil.which("true") or ""))
    for words in (["verify"], ["security", "--offline=yes", "--threshold=20"]):
        done = subprocess.run(["systemd-analyze", *words, str(unit)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_the_service_s_user_and_stands_under_the_service_s_filter() -> None:
    """The daemon of these tests runs under that filter, too."""
    ours, theirs = (settings(folder / name) for folder, name in ((FOLDER, "tidegate-rsyncd.service"), WATCH))
    for key in ("User", "Group", "StateDirectory", "ReadWritePaths", "SystemCallFilter", "MemoryDenyWriteExecute"):
        # Only the service makes a page, which goes behind everything else.
        of_key = [line for line in theirs if line.startswith(f"{key}=") and not line.endswith("=setpriority")]
        assert of_key, key
        assert [line for line in ours if line.startswith(f"{key}=")] == of_key
    given = {f"CAP_{one.upper()}" for one in CAPABILITIES} | {"CAP_NET_BIND_SERVICE"}
    assert [set(line.partition("=")[2].split()) for line in ours if line.startswith("AmbientCap")] == [given]
