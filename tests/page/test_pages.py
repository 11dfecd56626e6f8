"""What the pages show, and what becomes of them when the state cannot be read: nothing old, and in time."""

import threading
import time
from pathlib import Path

import pytest

from core.config.settings import Config
from core.enums import Freshness, LinkState
from core.reasons import Reason, Severity
from core.state import counters
from core.state.database import State, read_only
from exporters.page import pages
from exporters.page.look import Look, Mark, marks, midnights, past_dumps
from exporters.page.pages import Pages
from tests.acceptance.given_time import AtGivenTime
from tests.clock import GivenClock
from tests.host import Host
from tests.page.made import Made
from tests.page.world import World
from tests.waiting import until
from tidegate.daemon.http_app import HttpApplication


@pytest.fixture
def at(tmp_path: Path) -> AtGivenTime:
    return AtGivenTime(Host(tmp_path / "host", daily=1000, offsite={"confirm": "report"}), GivenClock())


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Whatever changes is seen at once."""
    monkeypatch.setattr(pages, "_REST", 0.0)
    return Made(tmp_path / "made", 12)


def pages_of(made: Made) -> Pages:
    return Pages(lambda: made.config, made.clock)


def look(at: AtGivenTime) -> Look:
    config = at.host.config()
    with read_only(config.state.path) as connection:
        return Look(connection, config, at.clock.now())


def today(at: AtGivenTime, vm: str) -> Mark:
    config = at.host.config()
    with read_only(config.state.path) as connection:
        return Mark(marks(connection, [vm], midnights(at.clock.wall, config.day.timezone))[vm][-1])


# --- what is shown


def test_what_happens_to_a_dump_is_seen_on_its_date(at: AtGivenTime) -> None:
    """First it was made, then released, then it was there; and nothing is forgotten."""
    at.host.dump("vm1", 600)
    at.run("pass")
    at.host.dump("vm2", 700)
    assert today(at, "vm1") == Mark.DUMPED | Mark.RELEASED
    at.run("pass")
    found = look(at)
    assert today(at, "vm2") == Mark.DUMPED
    assert [(one.vm, one.reason) for one in found.queue] == [("vm2", Reason.LIMIT_REACHED)]
    assert [(one.vm, one.bytes, one.state) for one in found.took] == [("vm1", 600, LinkState.LINKED)]
    assert found.day is not None
    assert (found.day.outstanding, found.day.left, found.day.used, found.took_count) == (600, 400, 0, 1)
    at.run("synced", "--all")
    found = look(at)
    assert today(at, "vm1") == Mark.DUMPED | Mark.RELEASED | Mark.CONFIRMED
    assert found.by_name["vm1"].freshness is Freshness.FRESH
    assert found.fetched == pytest.approx(at.clock.wall, abs=60)
    assert found.last_pass is not None
    with read_only(at.host.state) as connection:
        (past,) = past_dumps(connection, "vm1")
    assert past.link is not None
    assert (past.path, past.state, past.link.day, past.link.confirmed_by) == ("vm1", "confirmed", 1, "report")


def test_a_failure_is_seen_on_its_date_also_when_a_dump_has_followed_it(at: AtGivenTime) -> None:
    """It is superseded like any other; the grid does not hide it."""
    at.host.mark("vm1", "failed", error="disk full")
    at.run("pass")
    assert today(at, "vm1") == Mark.FAILED
    assert look(at).by_name["vm1"].row.last_dump_failed
    assert [one.severity for one in look(at).report.findings] == [Severity.WARNING]
    at.host.dump("vm1", 600)
    at.run("pass")
    at.run("pass")
    assert today(at, "vm1") & Mark.FAILED


def test_a_host_without_anything_is_shown_too(at: AtGivenTime) -> None:
    """Before the first marker and the first pass, and before there is a state."""
    found = look(at)
    assert (found.report.vms, found.queue, found.day, found.last_pass) == ([], [], None, None)
    State(at.host.state).close()
    answer = Pages(at.host.config, at.clock)("/")
    assert b"Nothing is protected yet." in answer.body


def test_the_order_and_the_findings_are_those_of_status(tmp_path: Path) -> None:
    """The worst first, and the same things wrong with it."""
    host = World(tmp_path / "world", 40).host
    host.run("pass")
    found = look(AtGivenTime(host, GivenClock()))
    lines = host.run("status", "--all").stdout.splitlines()
    named = [line.split()[0] for line in lines if line.split() and line.split()[0] in found.by_name]
    assert [one.name for one in found.report.vms] == named
    assert lines[0] == found.report.first_line
    assert [one["vm"] for one in host.json("status")["vms"]] == named


def test_all_vms_can_be_reached_page_by_page(tmp_path: Path) -> None:
    """Each once, the worst first, by the links alone."""
    shown = pages_of(Made(tmp_path / "made", 333))
    texts = [shown(f"/?page={number}").body.decode() for number in range(1, 8)]
    assert [text.count('<td role="cell" class="copy">') for text in texts] == [50] * 6 + [33]
    assert 'rel="next" href="/?page=2"' in texts[0]
    assert 'rel="prev" href="/?page=6"' in texts[6]
    assert "rel=next" not in texts[6]


# --- one look for all who ask


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets longer with each look."""
    taken: list[int] = []

    class Counted(Look):
        def __init__(self, *given: object) -> None:
            taken.append(1)
            super().__init__(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "Look", Counted)
    return taken


def count_a_pass(made: Made) -> None:
    with made.state.write() as connection:
        counters.count(connection, "passes")


def test_nothing_new_is_no_new_look(made: Made, looks: list[int]) -> None:
    shown = pages_of(made)
    assert {shown("/").status for _ in range(3)} == {200}
    assert len(looks) == 1


def test_news_age_and_another_configuration_are_a_new_look_each(
    made: Made, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[Config] = [made.config]
    shown = Pages(lambda: configs[0], made.clock)
    shown("/")
    count_a_pass(made)
    shown("/")
    assert len(looks) == 2
    configs[0] = made.host.config()
    shown("/")
    assert len(looks) == 3
    monkeypatch.setattr(pages, "FRESH_SECONDS", 0.0)
    shown("/")
    assert len(looks) == 4


def test_after_a_look_there_is_a_rest(made: Made, looks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """In which the last one is shown, however much news there is: pages must not take the recorder's processor."""
    monkeypatch.setattr(pages, "_REST", 1e9)
    shown = pages_of(made)
    shown("/")
    count_a_pass(made)
    shown("/")
    assert len(looks) == 1


# --- what cannot be known


def test_a_state_that_is_gone_is_never_shown_as_it_was(made: Made) -> None:
    """Unknown is no all-clear; and what comes back is shown again."""
    made.heal()
    shown = pages_of(made)
    assert b"You can sleep." in shown("/").body
    away = made.config.state.path.rename(made.host.folder / "away")
    for target in ("/", "/queue", "/vm/vm0001"):
        answer = shown(target)
        assert (answer.status, b"You can sleep." in answer.body) == (503, False)
        assert b"I cannot say whether all is well." in answer.body
    assert shown("/api/v1/status").body.startswith(b"UNKNOWN: ")
    assert shown("/static/page.js").status == 200
    away.rename(made.config.state.path)
    assert b"You can sleep." in shown("/").body


def test_a_state_that_hangs_is_said_in_time_and_a_few_may_wait(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other connections are for the scrapes."""
    gate = threading.Event()
    began = threading.Event()
    monkeypatch.setattr(pages, "WAIT_SECONDS", 0.2)

    class Hung(Look):
        def __init__(self, *given: object) -> None:
            began.set()
            gate.wait(30)
            super().__init__(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "Look", Hung)
    shown = pages_of(made)
    first = threading.Thread(target=shown, args=("/",))
    first.start()
    began.wait(10)
    assert b"a disk may hang" in shown("/").body
    monkeypatch.setattr(pages, "WAIT_SECONDS", 20.0)
    others = [threading.Thread(target=shown, args=("/",)) for _ in range(pages._MAX_WAITING - 1)]
    for one in others:
        one.start()
    until(lambda: shown._places._value == 0)
    start = time.monotonic()
    assert shown("/").body == b"Too many ask for pages at once; ask again in a moment.\n"
    assert time.monotonic() - start < 5
    gate.set()
    for one in (first, *others):
        one.join()
    assert shown("/").status == 200


def test_a_state_that_cannot_be_read_is_not_ready(tmp_path: Path) -> None:
    """Neither is a service that has not scanned yet. Whether its loop works is another question."""
    host = Host(tmp_path / "host")
    state = State(host.state)
    clock = GivenClock()
    application = HttpApplication(lambda: b"", host.config, state, clock)
    assert application("/-/ready")[::2] == (503, b"The first scan is not done yet.\n")
    application.has_scanned()
    assert application("/-/ready").status == 200
    state.close()
    for file in host.folder.glob("state.db*"):
        file.write_bytes(b"no database")
    assert application("/-/ready").status == 503
    assert b"state.db: the state file is damaged" in application("/-/ready").body
    assert application("/-/healthy")[::2] == (200, b"OK\n")
    clock.advance(121)
    assert application("/-/healthy").status == 503
    application.alive()
    assert application("/-/healthy").status == 200
