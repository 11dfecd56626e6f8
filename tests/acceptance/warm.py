"""The real command in processes of their own that need not load Python first: each is forked from one that has.

A command spends nine tenths of its time loading modules. Killed at any instant after that, it is killed at work.

``python -m tests.acceptance.warm`` reads one order a line from stdin and answers each with how the command ended.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.forked import become, load_everything
from tests.waiting import WAIT_SECONDS

ROOT = Path(__file__).resolve().parent.parent.parent

#: Files: what a command prints, and the trace points that it passes.
PRINTED = ("stdout", "stderr", "points")
#: A command is not killed for being new at a trace point where it has been so often.
MOST_VISITS = 4


class Point(NamedTuple):
    """A trace point, and the how-manieth time that one command comes there."""

    name: str
    visit: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended, and after how many seconds. ``code`` is negative for the signal that killed it."""

    code: int
    seconds: float
    stdout: str
    stderr: str
    passed: tuple[Point, ...]

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Warm(AbstractContextManager["Warm"]):
    """Starts commands; ``folder`` takes what they print. One command runs at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.warm"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *words: str,
        kill_after: float | None = None,
        since: str | None = None,
        kill_at: str | None = None,
        kill_but_at: Collection[Point] | None = None,
    ) -> Ended:
        """Runs ``tidegate`` with these words to its end, or kills it -9.

        ``kill_after`` so many seconds, counted from its start or from the trace point ``since``; ``kill_at`` a trace
        point, the first time that it comes there; ``kill_but_at`` the first of all points that is not one of these.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        spared = None if kill_but_at is None else [[point.name, point.visit] for point in kill_but_at]
        killing = {"kill_after": kill_after, "since": since, "kill_at": kill_at, "kill_but_at": spared}
        self._process.stdin.write(json.dumps({"words": words, "folder": str(self._folder), **killing}) + "\n")
        self._process.stdin.flush()
        code, seconds = json.loads(self._process.stdout.readline())
        stdout, stderr, points = ((self._folder / name).read_text() for name in PRINTED)
        assert "Traceback" not in stderr, stderr
        names = points.splitlines()
        assert since is None or since in names, f"it never came to {since!r}: {stderr}"
        passed = tuple(Point(name, names[: at + 1].count(name)) for at, name in enumerate(names))
        return Ended(code, seconds, stdout, stderr, passed)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def serve() -> None:
    load_everything()
    for line in sys.stdin:
        order = json.loads(line)
        for name in PRINTED:
            (Path(order["folder"]) / name).write_bytes(b"")
        begun = time.monotonic()
        process = os.fork()
        if process == 0:
            be_the_command(order)
        if order["kill_after"] is not None:
            if order["since"] is not None:
                await_point(process, Path(order["folder"]) / "points", order["since"])
            time.sleep(order["kill_after"])
            os.kill(process, signal.SIGKILL)  # a child that nobody has waited for: its number is nobody else's
        _, status = os.waitpid(process, 0)
        answer = [os.waitstatus_to_exitcode(status), time.monotonic() - begun]
        print(json.dumps(answer), flush=True)


def await_point(process: int, points: Path, name: str) -> None:
    """Returns when the command has passed there, or has ended, or will never come there."""
    give_up = time.monotonic() + WAIT_SECONDS
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < give_up:
        if name in points.read_text().splitlines():
            return
        time.sleep(0.001)


def be_the_command(order: dict[str, Any]) -> None:
    """Never returns."""
    from core import failpoints

    stdout, stderr, points = (os.open(Path(order["folder"]) / name, os.O_WRONLY) for name in PRINTED)
    for opened, descriptor in ((os.open(os.devnull, os.O_RDONLY), 0), (stdout, 1), (stderr, 2)):
        os.dup2(opened, descriptor)
        os.close(opened)
    visits: Counter[str] = Counter()
    spared = order["kill_but_at"]

    def note(name: str) -> None:
        visits[name] += 1
        os.write(points, f"{name}\n".encode())
        is_new = spared is not None and visits[name] <= MOST_VISITS and [name, visits[name]] not in spared
        if is_new or name == order["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.hook = note
    become(order["words"])


if __name__ == "__main__":
    serve()
