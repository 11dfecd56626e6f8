"""Real mounts for tests: another filesystem, one that shows no reads, a bind mount.

A test module that needs them imports the fixture ``mount`` and names it in its ``__all__``.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, Protocol

import pytest


class Mount(Protocol):
    """Mounts ``kind`` (``"tmpfs"``, or ``"bind"`` with a ``source``) on a fresh folder and returns it."""

    def __call__(self, kind: str, options: str = "", *, source: Path | None = None) -> Path: ...


@pytest.fixture
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """Unmounted at the end of the test. Needs root: without it the test is skipped, and fails under CI."""
    mounted: list[Path] = []

    def make(kind: str, options: str = "", *, source: Path | None = None) -> Path:
        point = tmp_path_factory.mktemp(kind)
        how = ["--bind", str(source)] if kind == "bind" else ["-t", kind, kind]
        _run("mount", *how, str(point))
        mounted.append(point)
        if options:  # in a second step, since a bind mount takes its options only then
            _run("mount", "-o", f"remount,{'bind,' if kind == 'bind' else ''}{options}", str(point))
        return point

    yield make
    for point in reversed(mounted):
        subprocess.run(["umount", "--lazy", point], check=True)


def _run(*command: str) -> None:
    if os.geteuid() != 0:
        _cannot("a mount needs root")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        _cannot(f"{' '.join(command)}: {result.stderr.strip()}")


def _cannot(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"this must be tested here, and cannot be: {reason}")
    pytest.skip(reason)
