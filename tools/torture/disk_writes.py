"""Every write of a command to its disk, in order: what a power cut between two of them leaves.

A qemu-storage-daemon stands between the filesystem and its image and keeps a log of all writes, in the format of the
kernel's dm-log-writes. What is not modelled: a disk that puts writes in another order between two flushes.
"""

import filecmp
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tools.torture.forked_command import Body, run
from tools.torture.image_disk import Disk, copy

_SECTOR = 512
_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_DISCARD = 4
#: The daemon needs so long at most until its export stands, seconds.
_PATIENCE = 30


class Write(NamedTuple):
    """``data`` None: these ``length`` bytes were discarded."""

    offset: int
    length: int
    data: bytes | None


def writes_of(image: Path, body: Body, folder: Path) -> list[Write]:
    """All writes from the mount of a copy of ``image`` to its unmount, with the command in between."""
    folder.mkdir()
    device, log = folder / "device.img", folder / "log"
    copy(image, device)
    log.touch()
    with _logged(device, log, folder / "export") as export, _loop(export) as loop:
        disk = Disk(loop, folder / "mounted")
        disk.mount()
        try:
            ended = run(body, disk.point / "host")
        finally:
            disk.unmount()
        assert ended.code == 0, ended
    with log.open("rb") as file:
        writes = list(_entries(file))
    copy(image, replayed := folder / "replayed.img")
    apply(writes, replayed)
    assert filecmp.cmp(replayed, device, shallow=False), "the log does not tell all that was written"
    return writes


def apply(writes: Sequence[Write], image: Path) -> None:
    """Brings an image to where it was after these writes."""
    with image.open("r+b") as file:
        for write in writes:
            if write.data is not None:
                file.seek(write.offset)
                file.write(write.data)


def _entries(file: BinaryIO) -> Iterator[Write]:
    """Flushes bring no bytes and are left out."""
    magic, _version, count, sector = _SUPER.unpack(file.read(_SUPER.size))
    if magic != _MAGIC:
        raise ValueError("this is no log of writes")
    file.seek(sector)
    for _ in range(count):
        where, length, flags, _data = _ENTRY.unpack(file.read(sector)[: _ENTRY.size])
        if flags & _DISCARD:
            yield Write(where * sector, length * sector, None)
        elif length:
            yield Write(where * sector, length * sector, file.read(length * sector))


@contextmanager
def _logged(device: Path, log: Path, export: Path) -> Iterator[Path]:
    export.touch()
    words = [
        "qemu-storage-daemon",
        *("--blockdev", f"driver=file,node-name=disk,filename={device},discard=unmap"),
        *("--blockdev", f"driver=file,node-name=log,filename={log}"),
        *("--blockdev", f"driver=blklogwrites,node-name=both,file=disk,log=log,log-sector-size={_SECTOR}"),
        *("--export", f"type=fuse,id=export,node-name=both,mountpoint={export},writable=on"),
    ]
    with subprocess.Popen(words) as daemon:
        try:
            give_up = time.monotonic() + _PATIENCE
            while export.stat().st_size == 0:
                if daemon.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError("qemu-storage-daemon has exported nothing")
                time.sleep(0.01)
            yield export
        finally:
            daemon.terminate()


@contextmanager
def _loop(export: Path) -> Iterator[Path]:
    """Without direct I/O: one write is done before the next begins, and the daemon mixes up those that overlap."""
    words = ["losetup", "--find", "--show", str(export)]
    device = Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
