"""Taking over from a script that links by itself, both kinds of storage, and the admin's word."""

import os
from pathlib import Path

import pytest

from tests.host import Host, reasons


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def _vms(host: Host) -> dict[str, dict[str, object]]:
    return {one["vm"]: one for one in host.json("status")["vms"]}


def _link_by_hand(host: Host, *names: str) -> None:
    """What the earlier script did: `ln vm1 .rsync/vm1`."""
    host.tree.mkdir(exist_ok=True)
    for name in names:
        os.link(host.dumps / name, host.tree / name)


def test_what_an_earlier_script_linked_is_adopted_and_counts_against_the_limit(host: Host) -> None:
    """It may still cost traffic: nothing more than one limit leaves together with it."""
    for name in ("vm1", "vm2", "vm3"):
        host.dump(name, 4000, marked=False)
    _link_by_hand(host, "vm1", "vm2")
    adopted = host.json("adopt")["adopted"]
    assert {one["vm"]: one["bytes"] for one in adopted} == {"vm1": 4000, "vm2": 4000}
    host.mark("vm3")
    assert reasons(host.json("pass")) == {"vm1": "outstanding", "vm2": "outstanding", "vm3": "limit_reached"}
    host.run("synced", "--all")
    assert _vms(host)["vm1"]["offsite_by"] == "report"


def test_adopted_as_sent_is_off_site_at_once(host: Host) -> None:
    """The storage had it before Tidegate came."""
    host.dump("vm1", 4000, marked=False)
    _link_by_hand(host, "vm1")
    host.run("adopt", "--sent")
    assert _vms(host)["vm1"]["offsite_by"] == "mark-sent"
    host.mark("vm1")  # the marker of what was adopted changes nothing
    assert reasons(host.json("pass")) == {"vm1": "already_offsite"}


def test_a_link_of_a_recorded_dump_is_adopted_by_the_pass_itself(host: Host) -> None:
    """Same inode, same dump: no second charge."""
    host.dump("vm1", 4000)
    _link_by_hand(host, "vm1")
    shape = host.json("pass")
    assert reasons(shape) == {"vm1": "outstanding"}
    assert shape["day"]["outstanding_bytes"] == 4000


def test_copies_at_the_storage_are_told_one_by_one_or_by_its_list(host: Host) -> None:
    """`rsync --list-only` is taken as it is printed."""
    host.run("mark-sent", "vm1", "--time", "2026-11-20T03:00:00Z")
    listing = (
        "drwxr-xr-x          4,096 2026/11/20 03:00:00 .\n"
        "-rw-r--r--  1,234,567,890 2026/11/19 04:00:00 vm2.qcow2\n"
        "-rw-r--r--          1,234 2026/11/18 04:00:00 vm2-2026-11-18.qcow2\n"
    )
    assert "1 of 1 VMs" in host.run("mark-sent", "--from", "-", stdin=listing).stdout
    vms = _vms(host)
    assert vms["vm1"]["offsite_time"] == "2026-11-20T03:00:00Z"
    assert str(vms["vm2"]["offsite_time"]).startswith("2026-11-19")
    assert "1: this is no line" in host.run("mark-sent", "--from", "-", stdin="nonsense\n", code=2).stderr


def test_a_plan_is_set_beside_what_another_script_linked_and_nothing_is_written(host: Host) -> None:
    """A week of it shows the difference before anything is switched over."""
    for name, size in (("vm1", 6000), ("vm2", 6000), ("vm3", 3000)):
        host.dump(name, size)
    _link_by_hand(host, "vm1", "vm2")
    before = sorted(host.folder.rglob("*"))
    told = host.run("plan", "--compare", str(host.tree)).stdout
    assert sorted(host.folder.rglob("*")) == before
    lines = {line.split()[0]: line for line in told.splitlines()}
    assert "released" in lines["vm3"]
    assert "not there" in lines["vm3"]
    assert "linked" in lines["vm1"]
    assert "only by Tidegate" in told.splitlines()[-1]


def test_a_mirror_keeps_a_confirmed_link_until_a_newer_one_takes_its_place(host: Host) -> None:
    """Nothing is sent twice, and rsync finds the old name to send the difference to."""
    host.dump("vm1-2026-11-21.img", 1000)
    host.run("pass")
    host.run("synced", "--all")
    host.run("pass")
    assert host.exported() == {"vm1.img": 1000}
    host.dump("vm1-2026-11-22.img", 2000)
    host.run("pass")
    assert host.exported() == {"vm1.img": 2000}


def test_a_mirrors_old_link_of_another_name_goes_when_the_newer_is_confirmed(host: Host) -> None:
    """Not before: the storage might drop its last copy."""
    host.dump("vm1.img", 1000)
    host.run("pass")
    host.run("synced", "--all")
    host.dump("vm1.img.zst", 500)
    host.run("pass")
    assert host.exported() == {"vm1.img": 1000, "vm1.img.zst": 500}
    host.run("synced", "--all")
    assert host.exported() == {"vm1.img.zst": 500}


def test_a_collecting_storage_sees_a_link_only_until_it_is_confirmed(host: Host) -> None:
    """And under the dump's own name, since it keeps every one."""
    host.configure(offsite={"storage": "collect"})
    host.dump("vm1-2026-11-21.img", 1000)
    host.run("pass")
    assert host.exported() == {"vm1-2026-11-21.img": 1000}
    host.run("synced", "--all")
    assert host.exported() == {}
    assert (host.dumps / "vm1-2026-11-21.img").exists()


def test_markers_go_when_their_dumps_have_their_end_and_not_before(host: Host) -> None:
    """The older one goes with the newer one's confirmation: until then it is the fallback."""
    host.dump("vm1-2026-11-21", 1000)
    host.dump("vm1-2026-11-22", 1000)
    host.run("pass")
    assert (host.dumps / "vm1-2026-11-21.done").exists()
    host.run("synced", "--all")
    host.run("pass")
    assert not list(host.dumps.glob("*.done"))
    assert reasons(host.json("pass")) == {"vm1-2026-11-22": "already_offsite"}


def test_markers_that_may_not_be_removed_are_remembered(host: Host) -> None:
    """`[markers] remove = false`: what is done is not done again."""
    host.configure(markers={"remove": False})
    host.dump("vm1", 1000)
    host.run("pass")
    host.run("synced", "--all")
    assert reasons(host.json("pass")) == {"vm1": "already_offsite"}
    assert (host.dumps / "vm1.done").exists()


def test_a_sealed_sync_confirms_what_stood_then_and_nothing_later(host: Host) -> None:
    """What was let out while the storage pulled is fetched by the next one."""
    host.dump("vm1", 1000)
    host.run("pass")
    host.run("sync-started")
    host.dump("vm2", 1000)
    host.run("pass")
    outcome = host.json("synced")
    assert [one["vm"] for one in outcome["confirmed"]] == ["vm1"]
    assert [one["vm"] for one in outcome["outstanding"]] == ["vm2"]


def test_while_a_sync_is_sealed_nothing_is_replaced(host: Host) -> None:
    """The puller must find what it has listed."""
    host.dump("vm1", 1000)
    host.run("pass")
    host.run("synced", "--all")
    host.run("sync-started")
    host.dump("vm1", 2000)
    shape = host.json("pass")
    assert [one["reason"] for one in shape["decisions"]] == ["outstanding"]
    host.run("synced", "--all")
    assert reasons(host.json("pass")) == {"vm1": "released"}


def test_a_list_of_what_arrived_leaves_the_rest_outstanding(host: Host) -> None:
    """Names of the tree, of folders too; what does not stand there is told."""
    host.dump("vm1", {"a": 500, "b": 500})
    host.dump("vm2", 1000)
    host.run("pass")
    (host.folder / "list").write_text("vm1/a\nvm1/b\nvm9\n")
    outcome = host.json("synced", "--arrived", str(host.folder / "list"))
    assert [one["vm"] for one in outcome["confirmed"]] == ["vm1"]
    assert [one["vm"] for one in outcome["outstanding"]] == ["vm2"]
    assert outcome["unknown"] == ["vm9"]


def test_a_hold_takes_an_unread_link_back_and_a_release_gives_the_vm_its_turn_again(host: Host) -> None:
    """What it took of the day stays used: it may have been on its way."""
    host.dump("vm1", 1000)
    host.run("pass")
    assert "removed" in host.run("hold", "vm1").stdout
    assert host.exported() == {}
    shape = host.json("pass")
    assert reasons(shape) == {"vm1": "on_hold"}
    assert shape["day"]["used_bytes"] == 1000
    host.run("unhold", "vm1")
    assert reasons(host.json("pass")) == {"vm1": "released"}


def test_a_retired_vm_vanishes_from_status_and_metrics_until_it_is_dumped_again(host: Host) -> None:
    """Nothing else ends a VM: one dropped from its job by mistake goes on alerting."""
    host.dump("vm1", 1000)
    host.run("pass")
    host.run("retire", "vm1")
    assert host.exported() == {}
    assert _vms(host) == {}
    assert 'vm="vm1"' not in host.run("export-metrics", "--output", "-").stdout
    assert reasons(host.json("pass")) == {}
    host.dump("vm1", 2000)
    assert reasons(host.json("pass")) == {"vm1": "released"}


def test_explain_answers_in_sentences_why_a_vm_did_not_leave(host: Host) -> None:
    """With figures, and when it is expected to."""
    host.dump("vm1", 9000)
    host.run("pass")
    host.dump("vm7", 3000)
    host.run("pass")
    told = host.run("explain", "vm7").stdout
    assert "vm7 has no off-site copy" in told
    assert "3 kB does not fit into the 1 kB left today" in told
    assert "Expected to leave on " in told
    shape = host.json("explain", "vm7")
    assert [one["reason"] for one in shape["decisions"]] == ["limit_reached"]
