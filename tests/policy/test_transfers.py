"""What rsync says of a transfer is read from what the real rsync writes, on either side of the line."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.sync.rsync_log import LOG_FORMAT, NoTransfer, Transfer, of_connection, read

STATS = "Literal data: 5 bytes\nTotal bytes sent: {}\nTotal bytes received: {}\n\nsent 1 bytes  received 2 bytes\n"
CONNECTION = """\
2026/11/23 05:54:43 [21264] connect from localhost (127.0.0.1)
2026/11/23 05:54:43 [21264] rsync allowed access on module vm from localhost (127.0.0.1)
2026/11/23 05:54:43 [21265] rsync on vm/{request} from localhost (127.0.0.1)
2026/11/23 05:54:43 [21265] building file list
2026/11/23 05:54:43 [21265] send <f+++++++++ 100055 100000 {name}
"""
TOTALS = "2026/11/23 05:54:43 [21265] sent 150801 bytes  received 108 bytes  total size 150500\n"


def connection(request: str = "", name: str = "vm1") -> list[str]:
    return (CONNECTION.format(request=request, name=name) + TOTALS).splitlines()


def lines_of(transfer: Transfer | None) -> tuple[int, int | None, dict[str, int]]:
    assert transfer is not None
    return transfer.sent, transfer.received, dict(transfer.files)


# --- the totals of --stats


@pytest.mark.parametrize(("out", "back"), [(103, 150_781), (150_781, 103)])
def test_what_is_more_went_to_the_storage(out: int, back: int) -> None:
    """The text is the same on either side, and dumps cross the line in one direction."""
    assert read(STATS.format(out, back)) == Transfer(150_781, 103)


@pytest.mark.parametrize("figure", ["150,781", "150.78K", "150.781 B"])
def test_figures_for_people_are_refused(figure: str) -> None:
    with pytest.raises(NoTransfer, match="--no-h"):
        read(STATS.format(103, figure))


@pytest.mark.parametrize("text", ["", "rsync: connection unexpectedly closed\n", "Total bytes received: 5\n"])
def test_a_text_without_a_transfer_is_refused(text: str) -> None:
    with pytest.raises(NoTransfer):
        read(text)


@given(st.lists(st.sampled_from([*CONNECTION.splitlines(), *STATS.splitlines()]) | st.text(max_size=40)).map("\n".join))
def test_whatever_stands_in_a_log_is_read_or_refused(text: str) -> None:
    try:
        told = read(text)
    except NoTransfer:
        return
    assert told.sent >= 0


# --- a daemon's log


def test_a_connection_is_found_by_the_process_that_hooks_know() -> None:
    """It is the parent, and its child writes what was sent."""
    assert lines_of(of_connection(connection(), 21264, "vm")) == (150_801, 108, {"vm1": 100_055})


@pytest.mark.parametrize(("process", "module"), [(21265, "vm"), (21264, "other"), (7, "vm")])
def test_a_connection_of_another_is_not_taken_for_it(process: int, module: str) -> None:
    assert of_connection(connection(), process, module) is None


def test_of_a_process_number_that_came_twice_the_later_connection_is_meant() -> None:
    """And if that one asked for nothing, nothing is told of it."""
    earlier = [line.replace("150801", "999999") for line in connection()]
    assert lines_of(of_connection(earlier + connection(), 21264, "vm"))[0] == 150_801
    assert of_connection(connection() + connection()[:2], 21264, "vm") is None


def test_two_modules_at_once_are_told_apart() -> None:
    other = [
        line.replace("2126", "3126").replace("module vm", "module other").replace("on vm/", "on other/")
        for line in connection(name="theirs")
    ]
    mixed = [line for pair in zip(connection(), other, strict=True) for line in pair]
    assert lines_of(of_connection(mixed, 21264, "vm")) == (150_801, 108, {"vm1": 100_055})


def test_a_transfer_that_was_killed_took_what_its_files_took() -> None:
    """The last line is missing then."""
    assert lines_of(of_connection(connection()[:-1], 21264, "vm")) == (100_055, None, {"vm1": 100_055})


@pytest.mark.parametrize(
    ("request_", "name", "top"),
    [
        ("", "vm2/disk", "vm2"),
        ("", "./vm2/disk", "vm2"),
        ("vm2/", "disk", "vm2"),
        ("vm2/", "inner/disk", "vm2"),
        ("vm2", "vm2/disk", "vm2"),
        ("vm2/inner", "inner/disk", "vm2"),
        ("", "a b|c", "a b|c"),
        ("", r"caf\#303\#251", "café"),
        ("", r"line\#012break", "line\nbreak"),
        ("", "sent 5 bytes  received 6 bytes  total size 7", "sent 5 bytes  received 6 bytes  total size 7"),
        ("", "rsync on vm/ from here", "rsync on vm"),
    ],
)
def test_a_file_counts_for_the_name_of_the_tree_that_it_is_under(request_: str, name: str, top: str) -> None:
    assert lines_of(of_connection(connection(request_, name), 21264, "vm")) == (150_801, 108, {top: 100_055})


# --- the real rsync


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Names that would break a careless reader."""
    tree = tmp_path / "tree"
    (tree / "vm2").mkdir(parents=True)
    for name, size in (("vm1", 100_000), ("vm2/a b|c", 50_000), ("vm2/new\nline", 500), ("caf\xe9 #1", 700)):
        (tree / name).write_bytes(os.urandom(size))
    os.truncate(tree / "vm1", 200_000)
    return tree


def rsync(*words: str | Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(["rsync", "-rt", *words], capture_output=True, check=True, env=environment)
    return os.fsdecode(done.stdout)


def near(transfer: Transfer, size: int) -> bool:
    """rsync's own words are a few hundred bytes here."""
    return size < transfer.sent < size + 1500


def test_a_pull_and_a_push_are_read_alike(tree: Path, tmp_path: Path) -> None:
    """The receiver's words and the sender's: of the same files nearly the same bytes."""
    said = []
    for number, direction in enumerate(("recv", "send")):
        copy, log = tmp_path / f"copy{number}", tmp_path / f"log{number}"
        told = rsync(
            *(["--whole-file", "--stats", "--no-h"]),
            f"--log-file={log}",
            f"--log-file-format={LOG_FORMAT}",
            *pulled_or_pushed(direction, tree, copy),
        )
        assert f"] {direction} " in log.read_text()
        said += [read(told), read(os.fsdecode(log.read_bytes())), read(told + os.fsdecode(log.read_bytes()))]
    for transfer in said:
        assert near(transfer, 251_200)
    for transfer in (said[1], said[2], said[4], said[5]):
        assert transfer.files.keys() == {"vm1", "vm2", "café #1"}
        assert 50_500 < transfer.files["vm2"] < 51_000


def pulled_or_pushed(direction: str, tree: Path, copy: Path) -> list[str]:
    """Through a pipe, as by ssh: between two local paths rsync would be its own other side."""
    remote = "--rsh=sh -c 'shift; exec \"$@\"' -"
    return [remote, f"host:{tree}/", f"{copy}/"] if direction == "recv" else [remote, f"{tree}/", f"host:{copy}/"]


def test_out_format_tells_the_files_too(tree: Path, tmp_path: Path) -> None:
    transfer = read(rsync(f"--out-format={LOG_FORMAT}", "--stats", "--no-h", f"{tree}/", f"{tmp_path}/copy/"))
    assert transfer.files.keys() == {"vm1", "vm2", "café #1"}
    assert near(transfer, 251_200)


def test_a_second_run_finds_nothing_and_says_so(tree: Path, tmp_path: Path) -> None:
    """Of a log that holds both the last one is read."""
    log = tmp_path / "log"
    for _ in range(2):
        rsync(f"--log-file={log}", f"--log-file-format={LOG_FORMAT}", f"{tree}/", f"{tmp_path}/copy/")
    transfer = read(os.fsdecode(log.read_bytes()))
    assert transfer.sent < 1000
    assert transfer.files == {}
