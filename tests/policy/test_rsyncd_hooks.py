"""What an rsync daemon's hooks do with a state: who is sealed, who is refused, whose bytes they are."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import UsageError
from core.state.database import State
from policy.passes import run
from policy.sync import report, rsyncd_hooks
from policy.sync.rsyncd_hooks import Request, UsedUp
from tests.clock import DAY, HOUR, GivenClock
from tests.host import Host
from watcher.scanner import scan_and_record

REPORT: dict[str, Any] = {"confirm": "report"}
WHOLE = ("rsyncd", "--server", "--sender", "-tre.iLsfxCIvu", ".", ".")
LOG = """\
2026/11/23 05:54:43 [{process}] rsync allowed access on module vm from localhost (127.0.0.1)
2026/11/23 05:54:43 [{child}] rsync on vm/ from localhost (127.0.0.1)
2026/11/23 05:54:43 [{child}] send <f+++++++++ {size} 100 vm1
2026/11/23 05:54:43 [{child}] sent {size} bytes  received 108 bytes  total size 150500
"""


class Served:
    """A host whose export tree a daemon serves, at a given time."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.host = Host(folder, **{"offsite": REPORT, **how})
        self.clock = GivenClock()
        self.state = State(self.host.state)
        self.log = folder / "log"
        self.log.write_text("")

    def released(self, **sizes: int) -> None:
        for name, size in sizes.items():
            self.host.dump(name, size)
        config = self.host.config()
        scan_and_record(config, self.state, self.clock)
        run.run(config, self.state, self.clock, wait=0)

    def request(self, process: int, arguments: tuple[str, ...] = WHOLE) -> Request:
        return Request(process, "vm", str(self.host.tree), arguments)

    def begin(self, process: int = 1, arguments: tuple[str, ...] = WHOLE) -> report.Announced | None:
        request = self.request(process, arguments)
        return rsyncd_hooks.begin(self.host.config(), self.state, self.clock, request, wait=0)

    def end(self, sent: int, process: int = 1) -> None:
        with self.log.open("a") as log:
            log.write(LOG.format(process=process, child=process + 1000, size=sent))
        rsyncd_hooks.end(self.host.config(), self.state, self.clock, self.request(process), self.log)

    def attempt(self, sent: int, process: int = 1) -> None:
        self.begin(process)
        self.end(sent, process)

    def sent(self) -> list[int | None]:
        with self.state.read() as connection:
            rows = connection.execute("SELECT sent_bytes FROM sync ORDER BY id")
            return [sent for (sent,) in rows]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path / "host")


# --- what is refused


def test_attempts_share_the_day_and_the_one_after_the_limit_is_refused(served: Served) -> None:
    served.released(vm1=9000)
    served.attempt(6000)
    served.attempt(3999)
    served.attempt(1)
    with pytest.raises(UsedUp, match=r"used up: 10 kB of 10 kB were transferred; try again after 20\d\d-"):
        served.begin()


@pytest.mark.parametrize("arguments", [("rsyncd", "--server", "--sender", "-ntre.i", ".", "."), (), ("-n",)])
def test_then_nothing_at_all_is_served(served: Served, arguments: tuple[str, ...]) -> None:
    """A client that says that it only looks may still fetch."""
    served.released(vm1=9000)
    served.attempt(10_000)
    with pytest.raises(UsedUp):
        served.begin(arguments=arguments)


def test_an_attempt_of_yesterday_does_not_count_though_no_report_has_ended_the_day(served: Served) -> None:
    """Else a storage that could not store would never be served again."""
    served.released(vm1=9000)
    served.attempt(6000)
    served.clock.advance(10 * HOUR)
    served.attempt(6000)
    served.clock.advance(9 * HOUR)
    with pytest.raises(UsedUp):
        served.begin()
    served.clock.advance(2 * HOUR)
    assert served.begin() is not None


def test_a_clock_that_jumps_ahead_gives_no_second_limit(served: Served) -> None:
    served.released(vm1=9000)
    served.attempt(10_000)
    served.clock.jump_wall(2 * DAY)
    with pytest.raises(UsedUp):
        served.begin()


def test_a_dump_that_is_heavier_than_a_day_and_was_let_out_may_cross_the_line(tmp_path: Path) -> None:
    served = Served(tmp_path / "host", limit={"oversize": "spread"}, staleness={"target": "1d"})
    served.released(vm1=25_000)
    served.attempt(24_000)
    assert served.begin() is not None
    served.end(1100)
    with pytest.raises(UsedUp, match=r"25\.1 kB of 25 kB"):
        served.begin()


def test_a_report_that_ends_the_day_opens_the_line(tmp_path: Path) -> None:
    served = Served(tmp_path / "host", day={"at_least": "0s"})
    served.released(vm1=9000)
    served.attempt(10_000)
    report.report(served.host.config(), served.state, served.clock, report.Report(), wait=0)
    assert served.begin() is not None


# --- whose bytes they are


def test_bytes_are_those_of_the_process_s_own_sync(served: Served) -> None:
    """Its number may come again: a sync that has ended keeps what it has."""
    served.released(vm1=9000)
    served.attempt(100, process=7)
    served.attempt(200, process=8)
    served.end(300, process=7)
    assert served.sent() == [100, 200, 300]


def test_a_sync_whose_end_was_never_told_does_not_take_the_bytes_of_another_day(served: Served) -> None:
    served.released(vm1=9000)
    served.begin(process=7)
    served.clock.advance(DAY)
    served.end(300, process=7)
    assert served.sent() == [None, 300]


def test_a_log_that_tells_nothing_records_nothing(served: Served) -> None:
    served.released(vm1=9000)
    served.begin(process=7)
    rsyncd_hooks.end(served.host.config(), served.state, served.clock, served.request(7), served.log)
    assert served.sent() == [None]


# --- which tree


def test_of_two_trees_each_module_seals_its_own(tmp_path: Path) -> None:
    served = Served(tmp_path / "host")
    second = served.host.folder / "second"
    (second / ".rsync").mkdir(parents=True)
    text = served.host.file.read_text()
    served.host.file.write_text(text + '[[watch]]\npath = "second"\n')
    served.released(vm1=9000)
    seal = served.begin()
    assert seal is not None
    assert [link.vm for link in seal.links] == ["vm1"]
    other = rsyncd_hooks.Request(2, "other", f"{second}/.rsync/", WHOLE)
    seal = rsyncd_hooks.begin(served.host.config(), served.state, served.clock, other, wait=0)
    assert seal is not None
    assert list(seal.links) == []


def test_a_module_that_is_no_tree_is_refused(served: Served) -> None:
    for path in ("", "/", str(served.host.dumps)):
        with pytest.raises(UsageError, match="which is the export tree of no"):
            rsyncd_hooks.begin(
                served.host.config(), served.state, served.clock, rsyncd_hooks.Request(1, "vm", path, WHOLE), wait=0
            )
