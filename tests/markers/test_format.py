"""The format of completion markers: names, precedence, bodies, and what no marker may do."""

import codecs
import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.markers.format import (
    MAX_BYTES,
    BadMarker,
    MarkerBody,
    MarkerFile,
    MarkerKind,
    aside_name,
    in_order,
    is_aside,
    look,
    look_at_all,
    marker_name,
    parse_body,
    read_body,
    read_text,
    signature,
    signature_of_one,
    split_name,
    write,
)
from tests.users import as_nobody, open_the_way

DONE, FAILED, RUNNING = MarkerKind.DONE, MarkerKind.FAILED, MarkerKind.RUNNING
SHA256 = "0123456789abcdef" * 4


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


# --- names


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("vm1.done", ("vm1", DONE)),
        ("vm1.qcow2.failed", ("vm1.qcow2", FAILED)),
        ("vm1.done.running", ("vm1.done", RUNNING)),
        ("vm1.DONE", None),
        ("done", None),
        (".done", None),
        (".vm1.done", None),
        ("vm1.done.bak", None),
        ("vm1", None),
    ],
)
def test_a_marker_is_known_by_its_name(name: str, parts: tuple[str, MarkerKind] | None) -> None:
    """``X.done`` is of ``X``; what begins with a dot is nobody's business."""
    assert split_name(name) == parts


def test_the_name_of_a_marker_is_the_dumps_and_its_kind() -> None:
    """There and back."""
    assert split_name(marker_name("vm1.img", FAILED)) == ("vm1.img", FAILED)


# --- which one counts


def test_the_marker_changed_last_counts(folder: int, tmp_path: Path) -> None:
    """A failed dump is marked beside the marker of the good one before it."""
    for kind in (DONE, FAILED):
        (tmp_path / f"vm1.{kind}").touch()
        while look_at_all(folder, "vm1")[0].kind is not kind:  # until the kernel's coarse clock has moved
            (tmp_path / f"vm1.{kind}").touch()
    assert [marker.kind for marker in look_at_all(folder, "vm1")] == [FAILED, DONE]


def test_on_a_tie_the_safer_word_counts() -> None:
    """Failed, then running, then done."""
    markers = [MarkerFile(kind, 7, 7, inode, is_empty=True) for inode, kind in enumerate(MarkerKind)]
    assert [marker.kind for marker in in_order(markers)] == [FAILED, RUNNING, DONE]


def test_the_signature_tells_a_touched_and_a_replaced_marker_from_the_old_one(folder: int, tmp_path: Path) -> None:
    """What was said anew is read anew, even where nothing else differs."""
    marker = tmp_path / "vm1.done"
    marker.touch()
    seen = {signature(look_at_all(folder, "vm1"))}
    os.utime(marker, ns=(0, 0))
    (tmp_path / "other").touch()
    (tmp_path / "other").replace(marker)
    seen.add(signature(look_at_all(folder, "vm1")))
    (tmp_path / "vm1.failed").touch()
    seen.add(signature(look_at_all(folder, "vm1")))
    assert len(seen) == 3


def test_the_short_way_to_a_signature_gives_the_same(folder: int, tmp_path: Path) -> None:
    """Scans of very many markers take it."""
    (tmp_path / "vm1.done").touch()
    status = (tmp_path / "vm1.done").stat()
    assert signature_of_one("done", status) == signature(look_at_all(folder, "vm1"))


def test_a_folder_named_like_a_marker_is_none(folder: int, tmp_path: Path) -> None:
    """It may well be a folder of dumps."""
    (tmp_path / "vm1.done").mkdir()
    assert look(folder, "vm1", DONE) is None


def test_a_name_too_long_for_a_marker_of_another_kind_has_none(folder: int, tmp_path: Path) -> None:
    """250 bytes and ``.done`` are a name; with ``.running`` they are not."""
    name = "v" * 250
    (tmp_path / f"{name}.done").touch()
    assert [marker.kind for marker in look_at_all(folder, name)] == [DONE]


def test_that_a_folder_cannot_be_read_does_not_say_that_there_is_no_marker(tmp_path: Path) -> None:
    """A fault must never look like a marker that was removed."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "vm1.done").touch()
    open_the_way(closed)
    closed.chmod(0o600)
    descriptor = os.open(closed, os.O_PATH)
    with as_nobody(), pytest.raises(PermissionError):
        look(descriptor, "vm1", DONE)
    os.close(descriptor)


# --- bodies


@pytest.mark.parametrize(
    "text", [b"", b" \n", b"\r\n", b"{}", b'{"format": 1}', codecs.BOM_UTF8 + b"\r\n", "\r\n".encode("utf-16")]
)
def test_a_body_that_says_nothing_is_a_body(text: bytes) -> None:
    """``touch X.done`` is enough."""
    assert parse_body(text) == MarkerBody()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"Sat Nov 28 03:00:11 CET 2026\n", "Sat Nov 28 03:00:11 CET 2026"),
        (b"1", "1"),
        (b'"done"', '"done"'),
        (codecs.BOM_UTF8 + b"done\r\n", "done"),
        ("no space left".encode("utf-16"), "no space left"),
        (b"\xcd\xc5", "\ufffd\ufffd"),
        (b"x" * 1000, "x" * 500),
    ],
)
def test_plain_text_is_a_sentence(text: bytes, sentence: str) -> None:
    """`date > X.done` marks a complete dump, and `echo "disk full" > X.failed` says why."""
    assert parse_body(text) == MarkerBody(error=sentence)


def test_json_behind_a_mark_of_its_encoding_is_json() -> None:
    """PowerShell writes one."""
    assert parse_body(codecs.BOM_UTF8 + b'{"size": 12}\r\n') == MarkerBody(size=12)


def test_a_body_says_what_it_says_and_keeps_what_is_not_known_here() -> None:
    """Another tool's keys are neither an error nor lost."""
    text = {
        "format": 1,
        "vm": "web",
        "backup_set": "weekly",
        "started": "2026-11-22T03:00:00+01:00",
        "finished": "2026-11-22T02:30:00Z",
        "size": 12,
        "sha256": SHA256,
        "kind": "full",
        "error": "no",
        "exit_status": 3,
        "files": {"disk0": {"size": 12}},
        "host": "pve1",
    }
    assert parse_body(json.dumps(text).encode()) == MarkerBody(
        vm="web",
        backup_set="weekly",
        started=1795312800.0,
        finished=1795314600.0,
        size=12,
        sha256=SHA256,
        kind="full",
        error="no",
        exit_status=3,
        files={"disk0": {"size": 12}},
        extra={"host": "pve1"},
    )


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "cut off": (b'{"vm": "we', "broken JSON"),
    "not UTF-8": (b'{"vm": "\xff"}', "not UTF-8"),
    "a list": (b"[]", "not an object"),
    "NaN": (b'{"size": NaN}', "NaN is no JSON number"),
    "a number of thousands of digits": (b'{"size": ' + b"9" * 5000 + b"}", "broken JSON"),
    "nested too deep": (b'{"x":' * 100_000, "nested too deep"),
    "another format": (b'{"format": 2}', "marker format '2' is not known here"),
    "true as format": (b'{"format": true}', "marker format 'True' is not known here"),
    "vm is a number": (b'{"vm": 100}', "'vm' is not a text"),
    "vm leads out": (b'{"vm": "../etc"}', "'vm' is not a usable name"),
    "vm is hidden": (b'{"vm": ".ssh"}', "'vm' is not a usable name"),
    "vm looks like an option": (b'{"vm": "-rf"}', "'vm' is not a usable name"),
    "vm holds a newline": (b'{"vm": "a\\nb"}', "'vm' is not a usable name"),
    "vm holds half a character": (b'{"vm": "\\ud800"}', "'vm' is not a usable name"),
    "vm is empty": (b'{"vm": ""}', "'vm' is not a usable name"),
    "vm is too long": (b'{"vm": "' + b"v" * 256 + b'"}', "'vm' is not a usable name"),
    "no offset": (b'{"started": "2026-11-22T03:00:00"}', "'started' is not an RFC 3339 time"),
    "no time": (b'{"finished": "yesterday"}', "'finished' is not an RFC 3339 time"),
    "a time before there were dumps": (b'{"finished": "1850-01-01T00:00:00Z"}', "'finished' is not"),
    "a size below nothing": (b'{"size": -1}', "'size' is not a number of bytes"),
    "a size past everything": (b'{"size": 9223372036854775808}', "'size' is not a number of bytes"),
    "half a byte": (b'{"size": 1.5}', "'size' is not a whole number"),
    "true as size": (b'{"size": true}', "'size' is not a whole number"),
    "a checksum that is none": (b'{"sha256": "abc"}', "'sha256' is not 64 hexadecimal digits"),
    "a checksum of half characters": (b'{"sha256": "\\ud800"}', "'sha256' is not 64 hexadecimal digits"),
    "a list of files that is none": (b'{"files": ["disk0"]}', "'files' is not an object"),
}


@pytest.mark.parametrize(("text", "why"), BAD_BODIES.values(), ids=list(BAD_BODIES))
def test_a_body_that_is_none_is_refused_with_its_reason(text: bytes, why: str) -> None:
    """A bad marker, never a crash."""
    with pytest.raises(BadMarker, match=why):
        parse_body(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
known_keys = st.sampled_from([*MarkerBody._fields, "format"])


@given(st.binary() | st.dictionaries(known_keys | st.text(), json_values).map(lambda body: json.dumps(body).encode()))
def test_any_bytes_are_a_body_or_a_bad_marker(text: bytes) -> None:
    """Nothing else comes out of a body, whatever is in it."""
    with contextlib.suppress(BadMarker):
        parse_body(text)


# --- reading


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").write_text('{"vm": "web"}')
    path.symlink_to("elsewhere")


def a_socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


def too_large(path: Path) -> None:
    path.write_bytes(b" " * (MAX_BYTES + 1))


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (a_fifo, "not a plain file"),
        (a_link, "cannot be opened"),
        (a_socket, "cannot be opened"),
        (too_large, "larger than 1 MiB"),
    ],
)
def test_what_is_no_plain_small_file_is_a_bad_marker(
    make: Callable[[Path], None], why: str, folder: int, tmp_path: Path
) -> None:
    """Nobody makes the reader wait, follow a link or fill its memory."""
    make(tmp_path / "vm1.done")
    marker = look(folder, "vm1", DONE)
    assert marker is not None
    assert not marker.is_empty
    with pytest.raises(BadMarker, match=why):
        read_body(folder, "vm1", DONE)


def test_a_body_of_exactly_1_mib_is_read_whole(folder: int, tmp_path: Path) -> None:
    """The limit itself is allowed."""
    text = json.dumps({"vm": "web"}).encode().ljust(MAX_BYTES)
    (tmp_path / "vm1.done").write_bytes(text)
    assert read_body(folder, "vm1", DONE).vm == "web"


def test_a_marker_that_is_gone_is_no_bad_marker(folder: int) -> None:
    """Between the look and the reading it may have been removed: whoever reads looks again."""
    with pytest.raises(FileNotFoundError):
        read_text(folder, "vm1", DONE)


def test_a_marker_that_may_not_be_read_is_a_bad_one(tmp_path: Path) -> None:
    """It says so, rather than being held for an empty one."""
    (tmp_path / "vm1.done").write_text("{}")
    (tmp_path / "vm1.done").chmod(0)
    open_the_way(tmp_path / "vm1.done")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with as_nobody(), pytest.raises(BadMarker, match="Permission denied"):
        read_text(descriptor, "vm1", DONE)
    os.close(descriptor)


# --- writing


def test_a_written_marker_takes_the_place_of_its_opposites(folder: int, tmp_path: Path) -> None:
    """What was said before is no longer so."""
    for kind in MarkerKind:
        write(folder, "vm1", kind, {"vm": "web"})
        assert [path.name for path in tmp_path.iterdir()] == [f"vm1.{kind}"]
    assert json.loads((tmp_path / "vm1.running").read_text()) == {"format": 1, "vm": "web"}


@pytest.mark.parametrize("name", ["v" * 250, "ü" * 125])
def test_a_marker_is_written_for_the_longest_name_that_can_have_one(name: str, folder: int, tmp_path: Path) -> None:
    """In letters of one byte and of two."""
    write(folder, name, DONE, {})
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.done"]


def test_a_marker_with_the_longest_name_can_be_held_aside(folder: int, tmp_path: Path) -> None:
    """Else it would stand for ever, and two of them would be one."""
    names = ["v" * 250 + ".done", "v" * 249 + "w.done", "vm1.done"]
    for name in names:
        (tmp_path / name).touch()
        os.rename(name, aside_name(name), src_dir_fd=folder, dst_dir_fd=folder)
    assert len(list(tmp_path.glob(".*.ended"))) == len(names)
    assert all(is_aside(folder, name.removesuffix(".done")) for name in names)


def test_a_marker_that_cannot_be_written_leaves_nothing(folder: int, tmp_path: Path) -> None:
    """Neither half a marker nor the file it was written into aside."""
    body: dict[str, Any] = {"vm": object()}
    with pytest.raises(TypeError):
        write(folder, "vm1", DONE, body)
    assert list(tmp_path.iterdir()) == []
