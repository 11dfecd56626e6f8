"""SIGHUP and SIGTERM, on the real service."""

import json
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.state import dumps
from core.state.database import State
from tests.host import ROOT, Host
from tests.service.running import Running, service
from tests.waiting import WAIT_SECONDS, free_port, until

RELOADED = "tidegate_config_last_reload_successful"
LOADED_AT = "tidegate_config_last_reload_success_timestamp_seconds"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def recorded(host: Host) -> set[str]:
    """The dumps in the state file."""
    state = State(host.state)
    with state.read() as connection:
        found = {dump.path for dump in dumps.without_end(connection)}
    state.close()
    return found


def listening(port: int, host: str = "127.0.0.1", **more: bool) -> dict[str, Any]:
    return {"exporters.http": {"listen": f"{host}:{port}", **more}}


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_SECONDS) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}


def serves(port: int) -> bool:
    try:
        return bool(metrics(port))
    except urllib.error.URLError:
        return False


# --- a good configuration


def test_a_reload_takes_a_new_watch_folder_and_leaves_an_old_one(host: Host) -> None:
    """The process stays the same, and so does the manager's idea of it."""
    other = host.folder / "other"
    other.mkdir()
    with service(host) as running:
        host.configure(watch={"path": "other"})
        running.reload()
        (other / "vm2").write_bytes(b"2")
        (other / "vm2.done").touch()
        until(lambda: "vm2" in recorded(host))
        host.dump("vm1", 10)
        host.dump("vm3", 10)
        (other / "vm4").write_bytes(b"4")
        (other / "vm4.done").touch()
        until(lambda: "vm4" in recorded(host))
        assert recorded(host) == {"vm2", "vm4"}
        assert running.process.poll() is None


def test_nothing_that_is_marked_while_reloads_follow_one_another_is_lost(host: Host) -> None:
    """Neither what the watcher that ends has seen, nor what comes before the next one listens."""
    names = {f"vm{number}" for number in range(300)}
    with service(host) as running:
        writer = threading.Thread(target=lambda: [host.dump(name, 1) for name in sorted(names)])
        writer.start()
        while writer.is_alive():
            running.reload()
        writer.join()
        running.reload()
        assert recorded(host) == names


def test_nobody_else_becomes_the_watcher_while_one_reloads(host: Host) -> None:
    """The lock is held throughout: a second one that tries all the time never gets in."""
    with service(host) as running, _rival(host) as rival:
        for _ in range(5):
            running.reload()
        assert rival.poll() is None
        assert b"got in" not in (host.folder / "rival").read_bytes()


@contextmanager
def _rival(host: Host) -> Iterator[subprocess.Popen[bytes]]:
    """Tries for the watch lock without a pause."""
    program = (
        "import sys; from pathlib import Path; from filelock import UnixFileLock\n"
        "lock = UnixFileLock(Path(sys.argv[1]), poll_interval=0.0001, fallback_to_soft=False)\n"
        "print('tries', flush=True); lock.acquire(); print('got in', flush=True)"
    )
    command = [host.command()[0], "-c", program, f"{host.state}.watch.lock"]
    said = host.folder / "rival"
    with said.open("wb") as out, subprocess.Popen(command, cwd=ROOT, stdout=out) as process:
        try:
            until(lambda: b"tries" in said.read_bytes())
            yield process
        finally:
            process.kill()


def test_the_metrics_move_to_another_address_and_tell_of_the_reload(host: Host) -> None:
    """Also to one that cannot be had while the old one is held."""
    port, other = free_port(), free_port()
    host.configure(**listening(port))
    with service(host) as running:
        first = metrics(port)
        assert first[RELOADED] == 1
        host.configure(**listening(other))
        running.reload()
        assert not serves(port)
        assert metrics(other)[LOADED_AT] > first[LOADED_AT]
        host.configure(**listening(other, "0.0.0.0", beyond_loopback=True))
        running.reload()
        assert metrics(other)[RELOADED] == 1
        host.configure()
        running.reload()
        assert not serves(other)


def test_the_daily_pass_is_run_at_the_new_time_with_the_new_limit(host: Host) -> None:
    """A pass that is due at once when it is first configured, and lets out what the old limit would not."""
    host.dump("vm1", 5000)
    host.configure(daily=1000)
    with service(host) as running:
        host.configure(daily=9000, **{"pass": {"at": "00:00"}})
        running.reload()
        until(lambda: host.exported() == {"vm1": 5000})


# --- a bad one


def test_a_broken_configuration_is_refused_with_all_its_mistakes_and_the_old_one_goes_on(host: Host) -> None:
    """The manager hears that the service is ready again, and the metrics tell what happened."""
    port = free_port()
    host.configure(**listening(port))
    with service(host, "--log-format", "json") as running:
        before = metrics(port)
        host.configure(limit={"daily": "much"}, day={"ends": "never"}, **listening(port))
        running.reload()
        told = errors(running)
        assert len(told) == 3
        assert ["[limit] daily" in told[0], "[day] ends" in told[1]] == [True, True]
        assert told[2] == "the previous configuration stays in effect"
        after = metrics(port)
        assert (after[RELOADED], after[LOADED_AT]) == (0, before[LOADED_AT])
        host.dump("vm1", 10)
        until(lambda: recorded(host) == {"vm1"})
        host.configure(**listening(port))
        running.reload()
        assert metrics(port)[RELOADED] == 1


def errors(running: Running) -> list[str]:
    """What was logged as an error."""
    events = [json.loads(line) for line in running.log]
    return [event["message"] for event in events if event["level"] == "error"]


def test_an_address_that_another_holds_is_refused_and_the_metrics_stay_where_they_are(host: Host) -> None:
    """A reload never leaves the service without the metrics that it had."""
    port = free_port()
    host.configure(**listening(port))
    with service(host, "--log-format", "json") as running, socket.create_server(("127.0.0.1", 0)) as taken:
        host.configure(**listening(taken.getsockname()[1]))
        running.reload()
        assert "cannot be served there" in errors(running)[0]
        assert metrics(port)[RELOADED] == 0


def test_another_state_file_is_refused(host: Host) -> None:
    """The lock that is held is the old one's."""
    with service(host, "--log-format", "json") as running:
        host.configure(state={"path": "other.db"})
        running.reload()
        assert errors(running)[0].endswith("[state] path cannot change while the service runs; restart it")
        assert not (host.folder / "other.db").exists()


# --- the end


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_service_ends_well_and_soon_while_markers_rain(host: Host, number: signal.Signals) -> None:
    """Exit code 0, and what it had seen is recorded; the rest stands on the disk for the next start."""
    ended = threading.Event()

    def rain() -> None:
        count = 0
        while not ended.is_set():
            host.dump(f"vm{count}", 1)
            count += 1

    with service(host) as running:
        writer = threading.Thread(target=rain)
        writer.start()
        try:
            until(lambda: len(recorded(host)) > 100)
            before = recorded(host)
            running.send(number)
            assert running.process.wait(30) == 0  # at most 20 s are given to what was seen
        finally:
            ended.set()
            writer.join()
        assert before <= recorded(host)
    standing = {path.stem for path in host.dumps.glob("*.done")}
    with service(host):
        assert recorded(host) == standing


def test_a_service_that_is_told_to_end_while_it_reloads_ends(host: Host) -> None:
    """In whatever order the two are heard."""
    with service(host) as running:
        running.send(signal.SIGHUP)
        running.send(signal.SIGTERM)
        assert running.process.wait(WAIT_SECONDS) == 0
