"""What the service manager is sent, over real datagram sockets."""

import os
import secrets
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core.state import dumps
from core.state.database import State
from tests.clock import GivenClock
from tests.host import Host
from tests.service.running import Manager, service
from tests.waiting import until
from tidegate.daemon.systemd import ServiceManager
from watcher.schedule import DailyPass
from watcher.service import Watcher


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@tidegate-test-{secrets.token_hex(8)}"


def test_it_is_told_in_the_words_of_sd_notify(address: str) -> None:
    """Ready, reloading, a status line and stopping, one datagram each."""
    with Manager(address) as manager:
        service_manager = ServiceManager(GivenClock(), {"NOTIFY_SOCKET": address})
        service_manager.ready()
        service_manager.reloading()
        service_manager.status("2 VMs")
        service_manager.stopping()
        assert [manager.next().splitlines()[0] for _ in range(4)] == [
            "READY=1",
            "RELOADING=1",
            "STATUS=2 VMs",
            "STOPPING=1",
        ]
        assert manager.told[1].splitlines()[1].startswith("MONOTONIC_USEC=")


def test_the_same_status_is_not_sent_twice(address: str) -> None:
    """A line that is shown already is no news."""
    with Manager(address) as manager:
        service_manager = ServiceManager(GivenClock(), {"NOTIFY_SOCKET": address})
        for line in ("1 VMs", "1 VMs", "2 VMs"):
            service_manager.status(line)
        assert [manager.next(), manager.next()] == ["STATUS=1 VMs", "STATUS=2 VMs"]
        assert manager.heard_nothing_more()


def test_a_name_in_the_status_cannot_say_that_the_service_is_ready(address: str) -> None:
    """What follows a newline would be a word of its own."""
    with Manager(address) as manager:
        ServiceManager(GivenClock(), {"NOTIFY_SOCKET": address}).status("vm\nREADY=1")
        assert manager.next() == "STATUS=vm\\nREADY=1"


@pytest.mark.parametrize("said", [None, "", "vsock:2:1234", "relative/path"])
def test_without_a_socket_that_is_known_nothing_happens(said: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """The service also runs in a terminal, and under others than systemd."""
    service_manager = ServiceManager(GivenClock(), {} if said is None else {"NOTIFY_SOCKET": said})
    service_manager.ready()
    assert caplog.messages == []


def test_a_manager_that_is_gone_is_told_in_the_log_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The work goes on."""
    ServiceManager(GivenClock(), {"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert caplog.messages == ["the service manager cannot be notified: No such file or directory"]


# --- the watchdog


def pings(manager: Manager, environment: dict[str, str]) -> int:
    """How many are sent by a loop that is alive once a second for 100 seconds."""
    clock = GivenClock()
    service_manager = ServiceManager(clock, {"NOTIFY_SOCKET": manager.address, **environment})
    for _ in range(100):
        clock.advance(1)
        service_manager.alive()
    while not manager.heard_nothing_more():
        pass
    assert set(manager.told) <= {"WATCHDOG=1"}
    return len(manager.told)


def test_signs_of_life_are_passed_on_twice_in_the_time_that_the_watchdog_waits(address: str) -> None:
    """More often would be noise, at 6,000 of them a second."""
    with Manager(address) as manager:
        assert pings(manager, {"WATCHDOG_USEC": "20000000"}) == 10


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}]
)
def test_who_waits_for_no_ping_gets_none(address: str, environment: dict[str, str]) -> None:
    """No watchdog is set, or it is for another process."""
    with Manager(address) as manager:
        assert pings(manager, environment) == 0


def test_a_ping_that_names_this_process_is_for_it(address: str) -> None:
    """As systemd says it."""
    with Manager(address) as manager:
        assert pings(manager, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}) == 10


def test_a_loop_that_hangs_sends_no_ping_whatever_else_still_lives(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads of the watch folders go on recording meanwhile, and prove nothing."""
    hanging, freed = threading.Event(), threading.Event()

    def hang(_daily: DailyPass) -> None:
        hanging.set()
        freed.wait()

    monkeypatch.setattr(DailyPass, "run_if_due", hang)
    host = Host(tmp_path / "host")
    clock = GivenClock()
    with Manager(address) as manager, closing(State(host.state)) as state:
        service_manager = ServiceManager(clock, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000"})
        watcher = Watcher(host.config(), state, clock, on_alive=service_manager.alive)
        thread = threading.Thread(target=watcher.run)
        thread.start()
        hanging.wait()
        host.dump("vm1", 100)
        until(lambda: recorded(state) == ["vm1"])
        clock.advance(1000)
        assert manager.heard_nothing_more()
        freed.set()
        assert manager.next() == "WATCHDOG=1"
        watcher.stop()
        thread.join()


def recorded(state: State) -> list[str]:
    with state.read() as connection:
        return [dump.path for dump in dumps.without_end(connection)]


# --- the service


def test_ready_is_said_when_the_first_scan_is_recorded(tmp_path: Path) -> None:
    """Who starts after it finds all that stood there."""
    host = Host(tmp_path / "host")
    host.dump("vm1", 100)
    with service(host) as running:
        assert running.manager.told[-2:] == [
            "STATUS=OK: 0 of 1 VM off-site; 1 new VM waits for its first copy",
            "READY=1",
        ]
        assert [vm["vm"] for vm in host.json("status")["vms"]] == ["vm1"]


def test_the_status_line_tells_what_an_admin_asks_first(tmp_path: Path) -> None:
    """VMs, stale ones, and what of the limit was let out."""
    host = Host(tmp_path / "host", daily=10_000)
    host.dump("vm1", 3000)
    host.run("pass")
    with service(host) as running:
        status, ready = running.manager.told[-2:]
        assert status.startswith("STATUS=OK: 0 of 1 VM off-site; 1 new VM waits for its first copy (due by ")
        assert (status.endswith("; 3 kB of 10 kB released"), ready) == (True, "READY=1")


def test_the_end_is_told_before_it_comes(tmp_path: Path) -> None:
    """So that the manager knows that nothing has failed."""
    with service(Host(tmp_path / "host")) as running:
        assert running.end() == 0
        assert running.manager.wait_for("STOPPING=1").splitlines()[1] == "STATUS=recording the last markers"
