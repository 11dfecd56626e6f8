"""A dump leaves once more over its own kept link, since the storage has dropped it; and the pass dies there."""

from pathlib import Path

import pytest

from core import failpoints
from core.enums import LinkState
from core.state import ledger
from core.state.database import State
from policy.passes import run
from policy.sync.report import Report, report
from tests.clock import DAY, GivenClock
from tests.host import Host
from watcher.scanner import scan_and_record


class Killed(BaseException):
    """As SIGKILL: nothing of the pass runs after it but what unwinds."""


def killed_at(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def hook(name: str) -> None:
        if name == point:
            monkeypatch.setattr(failpoints, "hook", None)
            raise Killed

    monkeypatch.setattr(failpoints, "hook", hook)


@pytest.mark.parametrize("point", ["released", "before rename", "after rename"])
def test_killed_on_the_way_the_next_pass_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    host = Host(
        tmp_path / "host",
        watch={"links": "strict"},  # its own kept link is no foreign name
        offsite={"confirm": "report", "retention": "30d"},
        day={"at_least": "0s"},
    )
    config, clock = host.config(), GivenClock()
    state = State(config.state.path)
    host.dump("vm1", 300)
    scan_and_record(config, state, clock)
    run.run(config, state, clock, wait=0)
    clock.advance(DAY)
    report(config, state, clock, Report(everything=True), wait=0)
    clock.advance(31 * DAY)
    killed_at(point, monkeypatch)
    with pytest.raises(Killed):
        run.run(config, state, clock, wait=0)
    run.run(config, state, clock, wait=0)
    with state.read() as connection:
        links = ledger.in_tree(connection)
    assert [(link.state, link.linked_ctime_ns == int(clock.wall * 1e9)) for link in links] == [(LinkState.LINKED, True)]
    assert host.exported() == {"vm1": 300}
    state.close()
