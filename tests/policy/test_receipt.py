"""A receipt of the storage confirms what it names, of the one list that it answers to; it is never trusted further."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from policy.sync.receipt import MOST_BYTES, read
from policy.sync.rsync_log import Transfer
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, GivenClock
from tests.host import Host

DIGEST = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
HEAD = f"tidegate-receipt 1\nexpected {DIGEST}\n"
REPORT: dict[str, Any] = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}


# --- as a text


def test_it_tells_what_arrived_and_what_crossed() -> None:
    told = read(f"{HEAD}Total bytes sent: 5\nTotal bytes received: 900\narrived vm1\narrived caf\xe9 #1\n".encode())
    assert (told.expected, told.arrived, told.transfer) == (DIGEST, frozenset({"vm1", "café #1"}), Transfer(900, 5))


def test_nothing_may_have_arrived() -> None:
    assert read(HEAD.encode()).arrived == frozenset()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not a receipt: its first two lines must be"),
        ("tidegate-receipt 2\n" + HEAD.partition("\n")[2], "not a receipt: its first two lines must be"),
        (HEAD.replace(DIGEST, DIGEST[1:]), "not a receipt: its first two lines must be"),
        (HEAD + "arrived vm1\nmissing vm2\n", "line 4 of the receipt is no line of a receipt: missing vm2"),
        (HEAD + "arrived ../etc\n", "line 3 of the receipt"),
        (HEAD + "arrived .tidegate\n", "line 3 of the receipt"),
        (HEAD + "arrived \n", "line 3 of the receipt"),
        (HEAD + "arrived a\x1b[2J\n", r"line 3 of the receipt .*: arrived a\\x1b"),
        (HEAD + "Total bytes sent: 1e3\n", "line 3 of the receipt"),
        (HEAD + "Total bytes sent: 10\n", "has no transfer"),
        (HEAD + "\n\n", "line 3 of the receipt"),
        (HEAD + "x" * 10_000, "receipt: x{80}…$"),
    ],
)
def test_what_is_none_is_refused_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read(text.encode())


def test_one_without_end_is_not_read() -> None:
    with pytest.raises(UsageError, match="larger than 64 MiB"):
        read(b"x" * (MOST_BYTES + 1))


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda end: HEAD.encode() + end))
def test_whatever_is_sent_is_read_or_refused(sent: bytes) -> None:
    try:
        told = read(sent)
    except UsageError:
        return
    assert all("/" not in name and not name.startswith(".") for name in told.arrived)


# --- as a report


@pytest.fixture
def at(tmp_path: Path) -> AtGivenTime:
    host = Host(tmp_path / "host", **REPORT)
    for name in ("vm1", "vm2"):
        host.dump(name, 1000)
    at = AtGivenTime(host, GivenClock())
    at.run("pass")
    at.run("sync-started")
    return at


def receipt(host: Host, *arrived: str) -> str:
    """What the storage would write now."""
    digest = hashlib.sha256((host.tree / ".tidegate" / "EXPECTED").read_bytes()).hexdigest()
    text = f"tidegate-receipt 1\nexpected {digest}\nTotal bytes sent: 30\nTotal bytes received: 900\n"
    file = host.folder / "receipt"
    file.write_text(text + "".join(f"arrived {name}\n" for name in arrived))
    return str(file)


def test_the_list_names_each_file_that_is_to_arrive_and_no_other(at: AtGivenTime) -> None:
    """Size, whole seconds of its last change, sum, path; a name that no shell reads is like no file."""
    host = at.host
    at.run("synced", "--all")
    sha256 = "A" * 64
    host.dump("vm3", 10, marked=False)
    host.mark("vm3", sha256=sha256, size=10)
    host.dump("vm4", {"disk": 10, "new\nline": 20})
    at.run("pass")
    at.run("sync-started")
    heading, *lines = (host.tree / ".tidegate" / "EXPECTED").read_text().splitlines()
    assert heading.split()[:2] == ["tidegate-expected", "1"]
    changed = [int((host.dumps / name).stat().st_mtime) for name in ("vm3", "vm4/disk")]
    assert lines == [f"10 {changed[0]} {sha256.lower()} vm3", f"10 {changed[1]} - vm4/disk", "? ? - vm4"]


def test_what_it_names_is_confirmed_and_the_rest_stays(at: AtGivenTime) -> None:
    shape = at.json("synced", "--receipt", receipt(at.host, "vm1", "stranger"))
    assert [one["vm"] for one in shape["confirmed"]] == ["vm1"]
    assert [one["vm"] for one in shape["outstanding"]] == ["vm2"]
    assert shape["unknown"] == ["stranger"]
    assert at.json("history")["syncs"][0]["sent_bytes"] == 900


def test_one_that_is_sent_twice_is_refused_the_second_time(at: AtGivenTime) -> None:
    """By then the list is another; so it cannot confirm what stands under the same names later."""
    file = receipt(at.host, "vm1", "vm2")
    at.run("synced", "--receipt", file)
    at.host.dump("vm1", 1000)
    at.run("pass")
    at.run("sync-started")
    with pytest.raises(UsageError, match="is for another list"):
        at.run("synced", "--receipt", file)
    assert at.status()["vm1"]["newest_dump"]["state"] == "linked"


def test_a_dump_that_was_let_out_after_the_seal_is_not_confirmed_by_its_name(at: AtGivenTime) -> None:
    at.host.dump("vm3", 1000)
    at.run("pass")
    shape = at.json("synced", "--receipt", receipt(at.host, "vm1", "vm3"))
    assert [one["vm"] for one in shape["confirmed"]] == ["vm1"]


def test_one_that_answers_to_no_sync_is_refused(at: AtGivenTime) -> None:
    """A seal is forgotten after a day; the storage pulls again then."""
    at.clock.advance(2 * DAY)
    with pytest.raises(UsageError, match="no sync was announced in the last 24 hours"):
        at.run("synced", "--receipt", receipt(at.host, "vm1"))


def test_it_says_all_and_goes_with_no_other_option(at: AtGivenTime) -> None:
    for others in (["--all"], ["--watch", "dumps"], ["--stats", "-"]):
        with pytest.raises(UsageError, match="leave the rest out"):
            at.run("synced", "--receipt", receipt(at.host, "vm1"), *others)
