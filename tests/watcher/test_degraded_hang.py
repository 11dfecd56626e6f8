"""A watch folder on a mount that does not answer: the others go on, in the service and in the pass."""

import time
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.config.load import load
from core.config.messages import ConfigError
from core.preflight import folders
from core.reasons import Reason
from core.state import mount_identity
from core.state.database import DryRunState, State
from policy.passes import run
from policy.sync import report
from tests.host import Host, reasons
from tests.waiting import until
from tests.watcher.hung import Hung
from tests.watcher.site import Site, done
from watcher import folder, scanner, service, watch_tree


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes two minutes until a folder counts as silent; in a test that is sooner."""
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.5)
    monkeypatch.setattr(service, "_LONGEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(service, "_READY_SECONDS", 0.5)
    monkeypatch.setattr(service, "_END_SECONDS", 0.5)
    monkeypatch.setattr(folder, "_ROOT_SECONDS", 0.1)
    monkeypatch.setattr(watch_tree, "_IO_TIMEOUT_SECONDS", 0.2)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.beside("second")
    return site


def test_a_folder_that_hangs_from_the_start_stops_neither_the_others_nor_the_end(site: Site, hung: Hung) -> None:
    """The service is ready without it, tells of it, and ends on time."""
    hung.mount(site.dumps)
    second = site.host.folder / "second"
    with site.watched():
        done(second, "vm1")
        site.records("vm1", "second")
        assert "does not answer" in site.goes_down()
        done(second, "vm2")
        site.records("vm2", "second")
        assert site.is_up("second")
    hung.release()


def test_a_folder_that_begins_to_hang_is_followed_again_when_it_answers(site: Site, hung: Hung) -> None:
    """What it knew stays, what was marked meanwhile is found, and nothing of the other one waited."""
    done(site.dumps, "vm1")
    second = site.host.folder / "second"
    with site.watched():
        hung.mount(site.dumps)
        assert "does not answer" in site.goes_down()
        for number in range(20):
            done(second, f"vm{number}")
        site.records("vm19", "second")
        assert site.waiting() == {"vm1"}
        hung.release()
        site.comes_up()
        done(site.dumps, "vm2")
        until(lambda: site.waiting() == {"vm1", "vm2"})
    assert dict(site.times().buckets)["10"] == 21


@pytest.fixture
def two(tmp_path: Path) -> Host:
    """A host with two watch folders for the real commands."""
    host = Host(tmp_path)
    host.file.write_text(host.file.read_text() + '[[watch]]\npath = "second"\n')
    (tmp_path / "second").mkdir()
    return host


def test_a_pass_leaves_a_folder_that_hangs_alone_and_lets_the_others_out(two: Host, hung: Hung) -> None:
    """Its links stay outstanding and its dumps are held."""
    second = two.folder / "second"
    done(two.dumps, "vm1")
    two.run("pass")
    hung.mount(two.dumps)
    done(second, "vm9")
    begun = time.monotonic()
    shape = two.json("pass")
    assert time.monotonic() - begun < 60  # it asks once, for 10 s
    assert reasons(shape) == {"vm1": "outstanding", "vm9": "released"}
    assert shape["day"]["outstanding_bytes"] == 2
    assert (second / ".rsync/vm9").exists()
    hung.release()
    done(two.dumps, "vm2")
    assert reasons(two.json("pass")) == {"vm1": "outstanding", "vm2": "released", "vm9": "outstanding"}


def test_what_looks_at_the_trees_looks_past_a_folder_that_hangs(
    two: Host, hung: Hung, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan, and a report that the storage has everything: what cannot be looked at stays as it is."""
    monkeypatch.setattr(scanner, "_ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(mount_identity, "_ANSWER_SECONDS", 0.3)
    done(two.dumps, "vm1")
    done(two.folder / "second", "vm9")
    two.run("pass")
    done(two.dumps, "vm2")
    config, clock = two.config(), SystemClock()
    state = State(config.state.path)
    scanner.scan_and_record(config, state, clock)
    hung.mount(two.dumps)
    dry_run = DryRunState(config.state.path)
    scanner.scan_and_record(config, dry_run, clock)
    planned = run.preview(config, dry_run, clock)
    assert {one.dump.path: one.reason for one in planned.plan.decisions} == {
        "vm1": Reason.OUTSTANDING,
        "vm2": Reason.MISSING,
        "vm9": Reason.OUTSTANDING,
    }
    assert planned.down == ("dumps",)
    reported = report.report(config, state, clock, report.Report(everything=True), wait=0)
    assert {link.vm for link in reported.confirmed} == {"vm9"}


def test_check_tells_of_it_and_the_service_starts_all_the_same(
    two: Host, hung: Hung, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is down must not keep the local dumps from leaving."""
    monkeypatch.setattr(folders, "_ANSWER_SECONDS", 0.3)
    hung.mount(two.dumps)
    with pytest.raises(ConfigError, match="it does not answer"):
        load(two.file)
    assert [watch.name for watch in load(two.file, waits=True).watches] == ["dumps", "second"]
