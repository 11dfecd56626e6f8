"""Everything that reads what others wrote, each as a function of bytes that may fail in its documented way alone.

What a reader lets through must be what it promises; anything else is a finding, and so is any other exception.
"""

import gzip
import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC

from core.errors import UsageError
from core.filenames import is_clean, is_single_component, printable
from core.fs.fingerprint import DumpRejected
from core.markers.format import BadMarker, MarkerKind, aside_name, marker_name, parse_body, split_name
from core.markers.vm_name import Naming, export_name, parse, stem
from core.state.backup import NotAnExport, read_header
from core.state.migrations import SCHEMA_VERSION
from core.units import format_time
from policy.export.publish import refuse_name
from policy.reconcile import manifest
from policy.sync import receipt as receipts
from policy.sync import rsync_log
from tidegate.cli.admin import listed_copies

_LAYOUTS = ("{vm}{suffixes}", "{name}", "{backup_set}-{vm}{suffixes}")


def marker(given: bytes) -> None:
    """A marker's body, and the names in it."""
    with suppress(BadMarker):
        body = parse_body(given)
        for name in (body.vm, body.backup_set):
            assert name is None or is_single_component(name)
        for moment in (body.started, body.finished):
            assert moment is None or format_time(moment)
        assert body.size is None or 0 <= body.size < 1 << 63
        json.dumps({**body.extra, "files": body.files}).encode("ascii")


def names(given: bytes) -> None:
    """A dump's file name, of any bytes, on its way to the tree and to the screen."""
    path = os.fsdecode(given.replace(b"\0", b""))
    shown = printable(path)
    assert shown.isprintable()
    shown.encode("utf-8")
    name = path.rpartition("/")[2]
    told = split_name(name)
    assert told is None or marker_name(*told) == name
    assert len(os.fsencode(aside_name(marker_name(name, MarkerKind.DONE)))) <= 255
    stem(name, Naming())
    with suppress(BadMarker):
        vm = parse(path, Naming()).vm
        assert is_single_component(vm)
        for layout in _LAYOUTS:
            _release_all(export_name(layout, vm=vm, path=path, backup_set=vm))


def _release_all(name: str) -> None:
    with suppress(DumpRejected):
        refuse_name(name)
        assert is_clean(name)
        assert "/" not in name
        assert name[0] not in ".-"


def manifests(given: bytes) -> None:
    """The manifest that stands in a tree, which its owner may have written."""
    manifest.is_same(given, b"{}")
    with suppress(manifest.UnreadableManifest):
        for link in manifest.read_manifest(given, "dumps").values():
            assert is_clean(link.vm)
            assert format_time(link.dump_time)
            assert format_time(link.confirmed_at)


def exports(given: bytes) -> None:
    """The export of the state that stands in a tree, packed and not."""
    for packed in (given, gzip.compress(given, compresslevel=1)):
        with suppress(NotAnExport):
            header = read_header(packed)
            assert format_time(header.written)
            assert min(header.passes, header.syncs, header.links) >= 0


def receipt(given: bytes) -> None:
    """What a storage says that it has."""
    with suppress(UsageError):
        assert all(is_single_component(name) for name in receipts.read(given).arrived)


def transfer(given: bytes) -> None:
    """What rsync printed and logged."""
    with suppress(rsync_log.NoTransfer):
        rsync_log.read(os.fsdecode(given))


def listing(given: bytes) -> None:
    """A list of the copies at the storage."""
    with suppress(UsageError):
        for vm, moment in listed_copies(os.fsdecode(given), UTC, Naming(), "list").items():
            assert is_single_component(vm)
            assert format_time(moment)


def _header(begun: bytes) -> bytes:
    rest = b'"written":1,"passes":1,"syncs":1,"links":1,"digest":""'
    return b'{"format":1,"schema":%d,"begun":%b,%b}\n' % (SCHEMA_VERSION, begun, rest)


READERS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (marker, names, manifests, exports, receipt, transfer, listing)
}
#: What each may look like when it is right: where a search may begin.
SAMPLES: dict[str, tuple[bytes, ...]] = {
    "marker": (
        b'{"format":1,"vm":"vm1","backup_set":"weekly","started":"2026-11-22T01:00:00+01:00","size":1,'
        b'"sha256":"' + b"a" * 64 + b'","files":{"disk0":{"size":1,"sha256":"' + b"b" * 64 + b'"}},"x":[1e999,null]}',
        b"[" * 2000,
    ),
    "names": (b"a/vzdump-qemu-100-2026_11_22-03_00_00.vma.zst", b"vm1-2026-11-22.img.zst.done", b"..", b"-rf\n\xff"),
    "manifests": (
        b'{"format":1,"links":[{"vm":"vm1","dump_time":"2026-11-22T01:00:00Z","export_name":"vm1","fingerprint":"1:2:3",'
        b'"evidence":"report","confirmed":"2026-11-22T01:00:00Z"}]}',
        b"[" * 2000,
    ),
    "exports": (_header(b"1e3"), _header(b"19999999999999999999"), _header(b"-1"), _header(b"1e999")),
    "receipt": (b"tidegate-receipt 1\nexpected " + b"a" * 64 + b"\nTotal bytes sent: 1\narrived vm1\n",),
    "transfer": (b"Total bytes sent: 1,043\nTotal bytes received: 18\nsent 1 bytes  received 2 bytes  total size 3\n",),
    "listing": (b"-rw-r--r--      1,000 2026/11/22 01:02:03 vm1/disk.img\n",),
}
