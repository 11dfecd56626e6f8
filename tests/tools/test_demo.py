"""`make demo` itself: what it promises, and what it leaves behind however it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.host import ROOT
from tests.waiting import until

pytestmark = pytest.mark.slow

DEMO = ROOT / "tools" / "demo" / "demo.py"


def _play(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(DEMO), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=240, env=env)


def test_ten_days_keep_the_limit_and_every_vm_that_can_leave_is_off_site(tmp_path: Path) -> None:
    """The line that the README promises, each of its figures counted by the demo itself."""
    done = _play("--keep", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n10 of 10 days within the limit, 10 of 10 VMs off-site, 1 failed, 1 held " in done.stdout
    days = re.findall(r"^  day +(\d+) +([\d.]+) MB of 10\.0 MB .*?(\d+ wait)?$", done.stdout, re.MULTILINE)
    assert [int(number) for number, *_ in days] == list(range(1, 11))
    assert all(9.0 < float(size) <= 10.0 for _, size, waits in days if waits)
    assert sum(bool(waits) for *_, waits in days) >= 5
    assert {path.name for path in (tmp_path / "kept" / "storage").iterdir()} == {
        f"vm{number:02}" for number in range(1, 13) if number not in {8, 9}
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_whatever_ends_the_demo_ends_its_processes(tmp_path: Path, number: signal.Signals) -> None:
    """Nobody should find a watcher of a demo that he has stopped."""
    with _started(tmp_path) as demo:
        watcher = _watcher(tmp_path)
        demo.send_signal(number)
        assert demo.wait(60) != 0
        until(lambda: not Path(f"/proc/{watcher}").exists())


def test_without_rsync_it_says_so_in_one_sentence(tmp_path: Path) -> None:
    """The first thing that a bare machine lacks."""
    done = _play(env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.startswith("demo: rsync is not installed here")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    """``--keep`` names a place to play in, and somebody's files are none."""
    (tmp_path / "mine").touch()
    done = _play("--keep", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@contextmanager
def _started(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    demo = subprocess.Popen([sys.executable, str(DEMO), "--keep", str(folder)], stdout=subprocess.DEVNULL)
    try:
        yield demo
    finally:
        demo.kill()
        demo.wait()


def _watcher(folder: Path) -> int:
    """The process of the demo's watcher, once it runs; the lock file is stamped by whoever holds it."""
    stamp = folder / "state.db.watch.lock"
    until(lambda: stamp.exists() and "process" in stamp.read_text())
    number = int(stamp.read_text().split()[1])
    os.kill(number, 0)
    return number
