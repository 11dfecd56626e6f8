"""A dump below half of its VM's usual size leaves, and people are told."""

import json
from pathlib import Path

from tests.dumps.house import dump, house, released, shell, tell


def test_a_dump_that_is_suspiciously_small_leaves_and_is_told(tmp_path: Path) -> None:
    """By `status`, `check` and Nagios; the next whole one ends it."""
    host = house(tmp_path / "host", script=f"head -c $(cat {tmp_path}/size) /dev/zero > $OUT", post=shell("true"))
    for size in (1_000_000, 1_000_000, 400_000):
        (tmp_path / "size").write_text(str(size))
        dump(host)
        assert "released" in released(host).values()
        tell(host, "synced", "--all")
    [vm] = json.loads(tell(host, "status", "--json"))["vms"]
    assert (vm["last_dump_shrunk_from_bytes"], vm["freshness"]) == (1_000_000, "fresh")
    told = "vm1: its last dump is much smaller than usual: 400 kB instead of 1 MB"
    assert told in tell(host, "status")
    assert told in tell(host, "check")
    assert "WARNING - last dump much smaller than usual: vm1" in tell(host, "status", "--check", code=1)
    (tmp_path / "size").write_text("1000000")
    dump(host, "--then-pass")
    assert "smaller" not in tell(host, "status")
