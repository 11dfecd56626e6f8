"""A state that was lost comes back from what was carried away, and what cannot be known is held against the line."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from core.enums import DayEnd, Evidence, Storage
from core.errors import UsageError
from core.state.backup import export, read_header
from core.state.database import DryRunState, State
from exporters import health, json_shapes
from policy.passes import run
from policy.recovery.rebuild import Found, rebuild
from policy.sync.report import Report
from tests.cli.terminal import shown
from tests.clock import DAY, HOUR
from tests.host import Host, host_with_papers
from tests.policy.histories import World
from tidegate.cli import shapes
from watcher.scanner import scan_and_record

REPORT: dict[str, Any] = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}
_AGES = ("offsite_age_seconds", "detail", "as_of")
VMS = ["vm1", "vm2", "vm3"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Four VMs, three of them off-site, one on hold, one link outstanding, one dump a folder."""
    host = host_with_papers(tmp_path / "host", **REPORT)
    for name in ("vm1", "vm2"):
        host.dump(name, 1000)
    host.dump("vm3", {"disk0": 100, os.fsdecode(b"disk\xff"): 200})
    host.run("pass")
    host.run("sync-started")
    host.run("synced")
    host.dump("vm4", 3000)
    host.run("pass")
    host.run("hold", "vm1")
    host.dump("vm2", 2000)
    return host


def lose(host: Host) -> None:
    for file in host.folder.glob("state.db*"):
        file.unlink()


def timeless(shape: Any) -> Any:
    """Without the ages, which grow from one command to the next, and the sentences that tell them."""
    if isinstance(shape, dict):
        return {key: timeless(value) for key, value in shape.items() if key not in _AGES}
    return [timeless(one) for one in shape] if isinstance(shape, list) else shape


def told(host: Host) -> tuple[Any, Any]:
    """What the last pass decided is not exported: the next one decides anew."""
    status = host.json("status")
    vms = [{**one, "newest_dump": None} for one in status["vms"]]
    return timeless(host.json("plan")), timeless({**status, "vms": vms})


def test_a_lost_state_comes_back_from_the_tree_and_the_markers(host: Host) -> None:
    """A hold that came after the last pass is not in the tree; what was not known is said."""
    host.run("pass")
    before = told(host)
    lose(host)
    done = host.run("state", "rebuild")
    assert "4 VMs, 5 links came back" in done.stdout
    assert "hold" in done.stdout
    assert told(host) == before
    host.run("pass")
    assert not (host.tree / ".tidegate" / "state.before.json.gz").exists()


def test_a_state_that_was_begun_anew_gives_way_to_the_lost_one(host: Host) -> None:
    """The service made an empty one and passes ran: what it let out meanwhile counts."""
    host.run("pass")
    lose(host)
    host.run("pass")
    assert "is not empty" in host.run("state", "rebuild", code=2).stderr
    done = host.json("state", "rebuild", "--replace")
    assert done["source"].endswith("state.before.json.gz")
    assert Path(done["kept"]).stat().st_size > 0
    assert host.json("status")["day"]["left_bytes"] == 0
    assert {one["vm"]: one["offsite_by"] for one in host.json("status")["vms"]}["vm1"] == "report"


def test_what_was_carried_away_by_hand_brings_back_the_hold_too(host: Host, tmp_path: Path) -> None:
    host.run("state", "export", "--output", str(tmp_path / "away"))
    before = told(host)
    lose(host)
    host.run("state", "rebuild", "--from", str(tmp_path / "away"))
    assert told(host)[0] == before[0]  # a status tells what is recorded, and the marker of today was not yet
    assert {one["reason"] for one in before[0]["decisions"] if one["vm"] == "vm1"} <= {"on_hold", "already_offsite"}


def test_an_export_goes_to_no_terminal_and_leaves_nothing_half_written(host: Host, tmp_path: Path) -> None:
    assert "say --output FILE" in shown(host.command("state", "export"), columns=200, code=2)
    (tmp_path / "away").mkdir()
    assert "cannot be written" in host.run("state", "export", "--output", str(tmp_path / "away"), code=3).stderr
    assert not (tmp_path / "away.new").exists()


def test_from_an_export_older_than_the_last_pass_nothing_more_leaves_today(host: Host, tmp_path: Path) -> None:
    """What stands in the tree is charged; and what may have gone from it since counts as let out."""
    host.run("state", "export", "--output", str(tmp_path / "away"))
    host.run("pass")
    assert host.json("status")["day"]["left_bytes"] > 0
    lose(host)
    done = host.run("state", "rebuild", "--from", str(tmp_path / "away"))
    assert "count as released" in done.stdout
    day = host.json("status")["day"]
    assert (day["left_bytes"], day["outstanding_bytes"]) == (0, 5000)
    assert [one["verdict"] for one in host.json("pass")["decisions"] if one["verdict"] == "released"] == []


def test_without_an_export_markers_trees_and_manifest_tell_what_they_can(host: Host) -> None:
    host.run("pass")
    stood = host.exported()
    lose(host)
    (host.tree / ".tidegate" / "state.json.gz").write_bytes(b"no export")
    done = host.run("state", "rebuild")
    assert "vm4: no copy off-site is known" in done.stdout
    assert "holds, forces" in done.stdout
    status = host.json("status")
    assert {one["vm"]: (one["freshness"], one["offsite_by"]) for one in status["vms"]} == {
        "vm1": ("fresh", "report"),
        "vm2": ("new", None),  # its newer dump took the place of the one that is off-site
        "vm3": ("fresh", "report"),
        "vm4": ("new", None),
    }
    assert (status["day"]["left_bytes"], status["day"]["outstanding_bytes"]) == (0, 5000)
    host.run("pass")
    assert host.exported() == stood


def test_a_rebuild_refuses_beside_a_watcher(host: Host) -> None:
    with State(host.state).watch_lock():
        assert "stop it first" in host.run("state", "rebuild", "--replace", code=75).stderr


@pytest.mark.parametrize("damage", [b"not a database" * 500, None])
def test_a_damaged_state_file_names_the_command_that_helps(host: Host, damage: bytes | None) -> None:
    """Not a database at all, or one whose pages are gone."""
    host.run("pass")
    whole = host.state.read_bytes()
    host.state.write_bytes(damage or whole[:4096] + b"\xff" * (len(whole) - 4096))
    for command in (["status"], ["pass"], ["plan"], ["hold", "vm1"], ["export-metrics", "--output", "-"]):
        assert "tidegate state rebuild --replace" in host.run(*command, code=3).stderr
    host.run("state", "rebuild", "--replace")
    assert len(host.json("status")["vms"]) == 4


def changed(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[bytes], bytes]:
    def apply(packed: bytes) -> bytes:
        lines = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
        change(lines)
        return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    return apply


def _set(table: str, column: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(lines: list[dict[str, Any]]) -> None:
        line = next(line for line in lines if line.get("table") == table)
        line["rows"][0][line["columns"].index(column)] = value

    return change


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda packed: packed[:-40], id="cut"),
        pytest.param(lambda packed: b"", id="empty"),
        pytest.param(lambda packed: b"hello", id="no gzip"),
        pytest.param(lambda packed: gzip.compress(b"[]\n"), id="no header"),
        pytest.param(changed(lambda lines: lines[0].update(schema=99)), id="of another version"),
        pytest.param(changed(lambda lines: lines.__setitem__(1, {"table": "sqlite_master"})), id="no table of ours"),
        pytest.param(changed(_set("dump", "path", "../../etc/passwd")), id="a path that leads out"),
        pytest.param(changed(_set("dump", "state", "great")), id="no word of ours"),
        pytest.param(changed(_set("link", "bytes", "many")), id="no number"),
        pytest.param(changed(_set("link", "dump_id", 999)), id="a link of no dump"),
        pytest.param(changed(_set("vm", "name", None)), id="a VM without a name"),
    ],
)
def test_an_export_that_is_none_is_refused_with_its_name_and_nothing_is_done(
    host: Host, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    unmounted = tmp_path / "away"
    host.run("state", "export", "--output", str(unmounted))
    unmounted.write_bytes(damage(unmounted.read_bytes()))
    lose(host)
    assert str(unmounted) in host.run("state", "rebuild", "--from", str(unmounted), code=2).stderr
    assert not host.state.exists()


class Losses(RuleBasedStateMachine):
    """One host and its storage; at any instant the state could be lost."""

    @initialize(
        ends=st.sampled_from(list(DayEnd)),
        storage=st.sampled_from(list(Storage)),
        confirm=st.sampled_from(["report", "read"]),
    )
    def begin(self, ends: DayEnd, storage: Storage, confirm: str) -> None:
        self.world = World(ends, Evidence(confirm), storage)
        (self.world.host.tree / ".tidegate").mkdir(parents=True)
        self.world.run_pass()
        self.old = [self.take_away()]

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.end()

    @rule(vm=st.sampled_from(VMS), size=st.integers(1, 110), dated=st.booleans(), folder=st.booleans())
    def dump(self, vm: str, size: int, dated: bool, folder: bool) -> None:
        self.world.dump(vm, size, dated=dated, folder=folder)

    @rule()
    def run_pass(self) -> None:
        self.world.run_pass()

    @rule(announced=st.booleans(), whole=st.booleans(), seconds=st.sampled_from([60.0, HOUR, 21 * HOUR, 3 * DAY]))
    def sync(self, announced: bool, whole: bool, seconds: float) -> None:
        sync = self.world.start_sync(announced=announced)
        self.world.pull(self.world.wants(sync)[: None if whole else 1])
        self.world.clock.advance(seconds)
        try:
            self.world.report(Report() if announced and whole else self.world.list_of(sync))
        except UsageError:
            return

    @rule(seconds=st.sampled_from([60.0, HOUR, 21 * HOUR, 3 * DAY, -2 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        if seconds < 0:
            self.world.clock.jump_wall(seconds)
        else:
            self.world.clock.advance(seconds)

    @rule(what=st.sampled_from(["hold", "unhold", "within-limit", "over-limit"]), vm=st.sampled_from(VMS))
    def the_admin_speaks(self, what: str, vm: str) -> None:
        try:
            self.world.admin(what, vm)
        except UsageError:
            return

    @rule(what=st.sampled_from(["rewrite", "remove"]), pick=st.integers(0, 5))
    def something_goes_wrong(self, what: str, pick: int) -> None:
        if what == "rewrite" and (found := self.world.dumps()):
            self.world.rewrite(found[pick % len(found)])
        elif what == "remove" and (tops := self.world.tops()):
            self.world.remove_link(tops[pick % len(tops)])

    @rule()
    def carry_away(self) -> None:
        self.old.append(self.take_away())

    @rule(pick=st.integers(0, 9))
    def an_older_export_lets_no_more_out(self, pick: int) -> None:
        rebuilt = self.rebuilt(self.old[pick % len(self.old)])
        mine = DryRunState(self.world.config.state.path)
        scan_and_record(self.world.config, mine, self.world.clock)
        left = [self.preview(one).day.account for one in (mine, rebuilt)]
        assert left[1].left <= max(0, left[0].left) or left[1].outstanding > left[0].outstanding

    @invariant()
    def what_is_exported_now_tells_the_same_plan_and_status(self) -> None:
        if not hasattr(self, "world"):
            return
        rebuilt = self.rebuilt(self.take_away())
        mine = DryRunState(self.world.config.state.path)
        scan_and_record(self.world.config, mine, self.world.clock)
        assert self.shapes(rebuilt) == self.shapes(mine)

    def take_away(self) -> bytes:
        with self.world.state.read() as connection:
            return export(connection, self.world.clock.wall).pack()

    def rebuilt(self, packed: bytes) -> DryRunState:
        world, draft = self.world, DryRunState(self.world.folder / "none.db")

        def scan() -> list[str]:
            scan_and_record(world.config, draft, world.clock)
            return []

        rebuild(world.config, draft, world.clock, Found("away", packed, read_header(packed)), scan)
        return draft

    def preview(self, state: DryRunState) -> run.PassResult:
        return run.preview(self.world.config, state, self.world.clock)

    def shapes(self, state: DryRunState) -> tuple[Any, Any]:
        plan = shapes.plan(self.preview(state))
        with state.read() as connection:
            report = health.report(connection, self.world.config, self.world.clock.now())
        # What the last pass decided is not exported: the next one decides anew.
        vms = [one._replace(newest=None, decision=None) for one in report.vms]
        return plan, [json_shapes.vm(one) for one in sorted(vms, key=lambda one: one.name)]


def test_at_any_instant_an_export_brings_back_the_same_plan_and_an_older_one_lets_no_more_out() -> None:
    """Over random histories of dumps, passes, syncs, words of the admin and mishaps."""
    run_state_machine_as_test(Losses, settings=settings(max_examples=15, stateful_step_count=20))
