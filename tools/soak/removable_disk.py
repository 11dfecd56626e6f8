"""A watch folder on a disk that comes and goes: unmounted, mounted over, mounted again, and written to meanwhile.

Needs root and a mount namespace of its own, so that whatever happens no mount outlives the soak.
"""

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.soak import marking_tools
from tools.soak.writer import Writer

_CLONE_NEWNS = 0x00020000
_BYTES = 64 << 20
#: What stands on a disk for a while only has to be seen in that while: longer than from one scan to the next.
_SEEN_SECONDS = 120.0


def own_mounts() -> bool:
    """Gives this process and its children a mount namespace of their own. False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_CLONE_NEWNS) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], check=False).returncode == 0


class Disk:
    """``file`` with a filesystem in it, behind a loop device, mounted at ``point``. Raises CalledProcessError."""

    def __init__(self, file: Path, point: Path) -> None:
        self._point = point
        with file.open("wb") as image:
            image.truncate(_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", file], check=True)
        found = subprocess.run(["losetup", "--find", "--show", file], check=True, capture_output=True, text=True)
        self._device = found.stdout.strip()

    def mount(self) -> None:
        """Where it is still in use after a lazy unmount, the very same filesystem comes back."""
        subprocess.run(["mount", self._device, self._point], check=True)

    def cover(self) -> None:
        """Mounts another disk over it."""
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self._point], check=True)

    def unmount(self) -> None:
        """Lazily, as is done when something still has a file open."""
        subprocess.run(["umount", "--lazy", self._point], check=True)

    def close(self) -> None:
        """Gives the loop device back."""
        while subprocess.run(["umount", "--lazy", self._point], check=False, capture_output=True).returncode == 0:
            continue
        subprocess.run(["losetup", "--detach", self._device], check=False)


class Plug:
    """Has the disk's writer write, and takes the disk away in between."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def turn(self, writer: Writer) -> None:
        """Writes for a while, then takes the disk away in one of the three ways."""
        for _ in range(writer.dice.randrange(3, 8)):
            _write(writer, "on a disk that comes and goes")
            time.sleep(writer.dice.uniform(0, 0.5))
        way: Callable[[Writer], None] = writer.dice.choice((self.unplug, self.unmount_in_use, self.cover))
        way(writer)
        writer.journal.did(f"remount: {(way.__doc__ or '').partition('.')[0]}")

    def unplug(self, writer: Writer) -> None:
        """unmounted, and mounted again later."""
        self._disk.unmount()
        _rest(writer)
        self._disk.mount()

    def unmount_in_use(self, writer: Writer) -> None:
        """lazily unmounted under a script that writes on, and mounted again."""
        with _standing_in(writer):
            self._disk.unmount()
            _write(writer, "on a disk that was lazily unmounted")
            _rest(writer)
            self._disk.mount()
            _write(writer, "on a disk that was lazily unmounted")

    def cover(self, writer: Writer) -> None:
        """covered by another disk with dumps of its own while a script writes on below."""
        with _standing_in(writer):
            self._disk.cover()
            _write(writer, "below another mount")
        path, fingerprint = _write(writer, "on a disk mounted over it")
        deadline = time.monotonic() + _SEEN_SECONDS
        while time.monotonic() < deadline and not writer.seen.has(writer.place.watch, path, fingerprint):
            time.sleep(0.1)
        self._disk.unmount()


def _write(writer: Writer, way: str) -> tuple[str, str]:
    path = writer.dump(writer.names.fresh())
    return writer.mark(writer.dice.choice((marking_tools.touch, marking_tools.rename_beside)), path, way)


def _rest(writer: Writer) -> None:
    time.sleep(writer.dice.uniform(0, 2))


@contextmanager
def _standing_in(writer: Writer) -> Iterator[None]:
    """As a script does whose working folder it is: what is mounted or unmounted there does not touch it."""
    folder = os.open(writer.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with writer.within(f"/proc/{os.getpid()}/fd/{folder}"):
            yield
    finally:
        os.close(folder)
