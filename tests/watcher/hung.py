"""A mount that does not answer, as that of a server that is gone: FUSE with nobody behind it. Only root can."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_parts import cannot, needs_root

_libc = ctypes.CDLL(None, use_errno=True)


class Hung:
    """Whoever asks anything of what is mounted waits, until it is released: then it fails, since it is gone."""

    def __init__(self) -> None:
        self._points: list[Path] = []
        self._descriptors: list[int] = []

    def mount(self, point: Path) -> None:
        """Hangs from now on."""
        needs_root("a mount")
        try:
            descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            cannot(f"no FUSE: {error.strerror}")
        self._descriptors.append(descriptor)
        options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0".encode()
        if _libc.mount(b"hung", os.fsencode(point), b"fuse", 0, options) != 0:
            cannot(f"no FUSE: {os.strerror(ctypes.get_errno())}")
        self._points.append(point)

    def release(self) -> None:
        """What waits fails, and what was there before shows again."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        while self._points:
            subprocess.run(["umount", "--lazy", self._points.pop()], check=True)


@pytest.fixture
def hung() -> Iterator[Hung]:
    """Released at the end of the test, however it ends: a forgotten one would hang whoever walks by."""
    made = Hung()
    try:
        yield made
    finally:
        made.release()
