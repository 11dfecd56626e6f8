"""The storage's wrapper: what it has pulled and checked is confirmed, and nothing else is. Real ssh, rsync and sh."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import rsyncd
from tests.deploy.pulling import FOLDER, Storage, let_in
from tests.host import ROOT, Host
from tests.push.storage import sshd
from tests.real_parts import needs_program, needs_root
from tests.waiting import until

pytestmark = pytest.mark.slow

REPORT: dict[str, Any] = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}
COLLECT: dict[str, Any] = {**REPORT, "offsite": {"confirm": "report", "storage": "collect"}}
CORRUPT = (
    'rsync "$@" || exit; touch -r {0} {0}.time; printf X | dd of={0} conv=notrunc status=none; touch -r {0}.time {0}'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """One sshd for all tests here; each gives the key to its own host."""
    needs_root("a server of ssh")
    folder = tmp_path_factory.mktemp("server")
    with sshd(folder) as words:
        yield folder, words


@pytest.fixture
def host(tmp_path: Path, server: tuple[Path, list[str]]) -> Host:
    host = Host(tmp_path / "host", daily=10_000_000, **REPORT)
    let_in(server[0], host)
    return host


@pytest.fixture
def storage(tmp_path: Path, server: tuple[Path, list[str]]) -> Storage:
    return Storage(tmp_path / "storage", server[1], storage="mirror")


def released(host: Host, **sizes: Any) -> None:
    for name, size in sizes.items():
        host.dump(name, size)
    host.run("pass")


def summed(host: Host, name: str, size: int) -> None:
    """A dump whose marker tells its sum."""
    path = host.dump(name, size, marked=False)
    host.mark(name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def states(host: Host) -> dict[str, str | None]:
    """VM -> state of its newest dump."""
    return {one["vm"]: (one["newest_dump"] or {}).get("state") for one in host.json("status")["vms"]}


# --- what arrives


def test_a_mirror_gets_everything_and_the_host_knows(host: Host, storage: Storage) -> None:
    """A second dump under the same name is fetched as a difference, and what is kept is not fetched again."""
    released(host, vm1=300_000, vm2={"disk 0": 1000, "inner/new": 2000}, vm3=500)
    assert "3 arrived and reported" in storage.pull()
    assert storage.copies() == host.exported()
    assert set(states(host).values()) == {"confirmed"}
    assert host.exported().keys() == {"vm1", "vm2/disk 0", "vm2/inner/new", "vm3"}
    released(host, vm3=600)
    assert "1 arrived and reported" in storage.pull()
    assert storage.copies() == host.exported()
    days = host.json("history")["days"]
    assert [day["confirmed_bytes"] for day in days] == [0, 600, 303_500]
    assert 303_500 < days[2]["sent_bytes"] < 330_000
    assert days[1]["sent_bytes"] < 30_000


def test_a_collection_keeps_each_sync_in_a_folder_of_its_own(host: Host, storage: Storage) -> None:
    """What it has is taken out of the tree, and another dump may come under the same name."""
    host.configure(daily=10_000_000, **COLLECT)
    storage.settings["storage"] = "collect"
    released(host, vm1=1000, vm2={"disk": 2000})
    storage.pull()
    assert host.exported() == {}
    released(host, vm1=1500)
    storage.pull()
    kept = {(Path(path).parts[0], path.partition("/")[2]): size for path, size in storage.copies().items()}
    assert sorted(size for (_, path), size in kept.items() if path == "vm1") == [1000, 1500]
    assert {path for _, path in kept} == {"vm1", "vm2/disk"}
    assert len({folder for folder, _ in kept}) == 2
    assert set(states(host).values()) == {"confirmed"}


def test_a_sync_with_nothing_to_bring_is_told_as_well(host: Host, storage: Storage) -> None:
    host.run("pass")
    host.tree.mkdir(exist_ok=True)
    assert "0 arrived" in storage.pull()
    assert host.json("history")["syncs"][0]["reported"] is not None


# --- what is not confirmed


def test_a_file_that_could_not_be_stored_is_not_confirmed_and_the_others_are(host: Host, storage: Storage) -> None:
    """Its last copy has the same name and size; rsync says only that something went wrong."""
    released(host, vm1=1000, vm2=1000)
    storage.pull()
    os.utime(storage.target / "vm1", (1, 1))
    (host.dumps / "vm1").unlink()
    released(host, vm1=1000, vm2=2000)
    subprocess.run(["chattr", "+i", storage.target / "vm1"], check=True)
    try:
        assert "incomplete, not reported: vm1" in storage.pull(code=1)
    finally:
        subprocess.run(["chattr", "-i", storage.target / "vm1"], check=True)
    assert states(host) == {"vm1": "linked", "vm2": "confirmed"}
    storage.pull()
    assert states(host) == {"vm1": "confirmed", "vm2": "confirmed"}


def test_a_storage_that_could_store_nothing_tells_nothing(host: Host, storage: Storage) -> None:
    released(host, vm1=1000)
    subprocess.run(["chattr", "+i", storage.target], check=True)
    try:
        storage.pull(code=3)
    finally:
        subprocess.run(["chattr", "-i", storage.target], check=True)
    assert states(host) == {"vm1": "linked"}
    assert host.json("history")["syncs"][0]["reported"] is None


def test_a_copy_that_is_not_what_was_dumped_is_not_confirmed(host: Host, storage: Storage) -> None:
    """Its disk has written something else: size and time are right, and the sum of the marker is not."""
    summed(host, "vm1", 1000)
    released(host, vm2=1000)
    rsync = shutil.which("rsync") or ""
    storage.program("rsync", CORRUPT.format(storage.target / "vm1").replace("rsync", rsync, 1))
    assert "incomplete, not reported: vm1" in storage.pull(code=1)
    assert states(host) == {"vm1": "linked", "vm2": "confirmed"}


def test_a_folder_of_which_one_file_is_missing_has_not_arrived(host: Host, storage: Storage) -> None:
    released(host, vm1={"disk0": 1000, "disk1": 1000}, vm2=10)
    storage.settings["options"] = "--exclude=disk1"
    assert "incomplete, not reported: vm1" in storage.pull(code=1)
    assert states(host) == {"vm1": "linked", "vm2": "confirmed"}


def test_a_run_that_is_killed_tells_nothing_and_the_next_one_goes_on(host: Host, storage: Storage) -> None:
    released(host, vm1=2_000_000)
    storage.settings["options"] = "--bwlimit=400"
    words = storage.command
    with subprocess.Popen(words, env=storage.environment, start_new_session=True) as run:
        until(lambda: any(one.stat().st_size > 500_000 for one in storage.target.rglob("*vm1*")))
        os.killpg(run.pid, signal.SIGTERM)
    until((storage.target / ".rsync-partial" / "vm1").exists)
    assert states(host) == {"vm1": "linked"}
    storage.settings["options"] = ""
    storage.pull()
    assert states(host) == {"vm1": "confirmed"}
    assert host.json("history")["syncs"][0]["sent_bytes"] < 1_700_000


def test_a_host_that_was_not_reached_is_told_by_the_next_run(host: Host, storage: Storage) -> None:
    """Before that one pulls: what the host does not know of it would let out once more."""
    host.configure(daily=10_000_000, **COLLECT)
    storage.settings["storage"] = "collect"
    released(host, vm1=1000)
    ssh = shutil.which("ssh") or ""
    storage.program("ssh", f'case "$*" in *receipt) exit 255 ;; esac; exec {ssh} "$@"')
    assert "the host was not reached; the next run reports it" in storage.pull(code=3)
    assert "nothing new was pulled" in storage.pull(code=3)
    assert states(host) == {"vm1": "linked"}
    (storage.bin / "ssh").unlink()
    released(host, vm2=2000)
    storage.pull()
    assert states(host) == {"vm1": "confirmed", "vm2": "confirmed"}
    assert sorted(storage.copies().values()) == [1000, 2000]


def test_two_runs_at_once_are_one(host: Host, storage: Storage) -> None:
    released(host, vm1=2_000_000)
    storage.settings["options"] = "--bwlimit=400"
    words = storage.command
    with subprocess.Popen(words, env=storage.environment, start_new_session=True) as run:
        until(lambda: any(storage.target.rglob("*vm1*")))
        assert "another run is still active" in storage.pull(code=75)
        os.killpg(run.pid, signal.SIGTERM)


# --- from the daemon


@pytest.mark.parametrize("kind", ["mirror", "collect"])
def test_from_the_daemon_it_comes_the_same_and_is_not_given_twice_on_a_day(
    tmp_path: Path, server: tuple[Path, list[str]], kind: str
) -> None:
    """Here the daemon's hooks seal and count, as the service's user; a storage that has lost all comes tomorrow."""
    host = rsyncd.service_host(tmp_path, daily=3_000_000, offsite={"confirm": "report", "storage": kind})
    rsyncd.released(host, vm1=1_000_000, vm2=2_000_000)
    let_in(server[0], host)
    with rsyncd.daemon(host) as served:
        storage = Storage(tmp_path / "storage", server[1], storage=kind, source=f"{served.url}/")
        storage.pull()
        assert set(states(host).values()) == {"confirmed"}
        assert sorted(storage.copies().values()) == [1_000_000, 2_000_000]
        assert len(host.exported()) == (2 if kind == "mirror" else 0)
        until(lambda: host.json("history")["days"][0]["ratio"] is not None)
        shutil.rmtree(storage.target)
        storage.target.mkdir()
        assert "the day's limit is used up: 3 MB of 3 MB were transferred" in storage.pull(code=3)


# --- what is refused


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"host": ""}, "host= is missing"),
        ({"storage": "heap"}, "storage= must be mirror or collect"),
        ({"target": "/absent"}, "/absent does not exist"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_done(storage: Storage, change: dict[str, str], sentence: str) -> None:
    storage.settings |= change
    assert sentence in storage.pull(code=2)


def asked(server: tuple[Path, list[str]], *words: str, stdin: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [*server[1], "root@127.0.0.1", *words], input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "",
        "id",
        "sync-started; touch {0}",
        "sync-started --all",
        "receipt $(touch {0})",
        "synced --all",
        "rsync --server -tre.iLsfxCIvu . .",
        "rsync --server --sender -tre.iLsfxCIvu . ../../",
        "rsync --server --sender -tre.iLsfxCIvu . /../..; touch {0}",
        "rsync --server --sender --remove-source-files -tre.iLsfxCIvu . .",
    ],
)
def test_the_key_is_good_for_nothing_else(
    host: Host, server: tuple[Path, list[str]], words: str, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    host.tree.mkdir()
    code, _ = asked(server, words.format(made))
    assert code != 0
    assert not made.exists()
    assert host.json("history")["syncs"] == []


def test_a_receipt_that_is_none_confirms_nothing(host: Host, server: tuple[Path, list[str]]) -> None:
    released(host, vm1=1000)
    assert asked(server, "sync-started")[0] == 0
    for lie in ("arrived vm1\n", "tidegate-receipt 1\nexpected " + 64 * "0" + "\narrived vm1\n", "\0" * 1000):
        code, said = asked(server, "receipt", stdin=lie)
        assert (code, "Traceback" in said) == (2, False)
    assert states(host) == {"vm1": "linked"}


# --- the scripts


def test_shellcheck_finds_nothing_to_say_about_any_script() -> None:
    needs_program("shellcheck")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in tracked.split("\0") if name and not (ROOT / name).is_symlink()]
    scripts = [name for name in files if re.match(rb"#!/bin/(?:ba)?sh\b", (ROOT / name).read_bytes()[:20])]
    assert {"deploy/storage/tidegate-pull", "deploy/storage/tidegate-host"} <= set(scripts)
    done = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_shipped_settings_are_all_that_there_are() -> None:
    """Those that the wrapper asks for, and no other."""
    told = set(re.findall(r"^(\w+)=", (FOLDER / "tidegate-pull.conf").read_text(), re.MULTILINE))
    (known,) = re.findall(r"^(source='' .*)$", (FOLDER / "tidegate-pull").read_text(), re.MULTILINE)
    assert told == set(re.findall(r"(\w+)='", known))
