"""The real commands in processes of their own, forked from this one, which has loaded all their modules."""

import ctypes
import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest import mock

#: What a command does on the host in this folder.
Body = Callable[[Path], object]
#: Gives a command something: a defect.
Having = Callable[[Body], Body]

#: A command that takes longer hangs, seconds.
_HANGS = 100
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, negative for the signal that ended it, and what it printed."""

    code: int
    stdout: str
    stderr: str

    def told(self) -> str:
        return (self.stderr or self.stdout).strip()[-600:]


def nothing(body: Body) -> Body:
    """The command as it is."""
    return body


def tidegate(*words: str) -> Body:
    """The command line with these words; ``{}`` in one of them is the host's folder."""

    def body(folder: Path) -> None:
        from tidegate.cli.main import main

        given = [word.replace("{}", str(folder)) for word in words]
        with mock.patch.object(sys, "argv", ["tidegate", "--config", str(folder / "config.toml"), *given]):
            main()

    return body


def record(folder: Path) -> None:
    """What the watcher does when the kernel has told it of each marker that stands."""
    from core.clock import SystemClock
    from core.config.load import load
    from core.errors import TidegateError
    from core.state.database import State
    from watcher.recorder import Recorder

    try:
        config = load(folder / "config.toml")
        state = State(config.state.path)
        paths = sorted({marker.stem for marker in (folder / "dumps").glob("*.*") if marker.suffix in _MARKERS})
        for watch in config.watches:
            Recorder(config, watch, state, SystemClock()).record(paths)
        state.close()
    except TidegateError as error:
        sys.exit(error.exit_code)


_MARKERS = {".done", ".failed", ".running"}


class Command:
    """One command. With ``waits`` it stands still, before its first step, until ``go``."""

    def __init__(self, body: Body, folder: Path, papers: Path, *, waits: bool = False) -> None:
        """``papers`` is a folder for what it prints."""
        papers.mkdir(exist_ok=True)
        self._papers = [papers / "stdout", papers / "stderr"]
        self.process = os.fork()
        if self.process == 0:
            _be(body, folder, self._papers, waits=waits)
        if waits:
            os.waitpid(self.process, os.WUNTRACED)

    def go(self) -> None:
        """Lets it begin."""
        os.kill(self.process, signal.SIGCONT)

    def end(self) -> Ended:
        """Waits for its end."""
        _, status = os.waitpid(self.process, 0)
        stdout, stderr = (paper.read_text(errors="replace") for paper in self._papers)
        return Ended(os.waitstatus_to_exitcode(status), stdout, stderr)


def run(body: Body, folder: Path) -> Ended:
    """Runs it to its end in this very process, which is quicker: nobody disturbs it."""
    from tidegate.daemon import logs

    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr), mock.patch.object(logs, "set_up"), _no_longer_than(_HANGS):
        code = _code(body, folder)
    gc.collect()  # as at the end of a process: a state that is no longer needed closes its file
    return Ended(code, stdout.getvalue(), stderr.getvalue())


def _code(body: Body, folder: Path) -> int:
    try:
        body(folder)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _no_longer_than(seconds: int) -> Iterator[None]:
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _hang(number: int, frame: object) -> NoReturn:
    raise TimeoutError("it hangs")


def _be(body: Body, folder: Path, papers: list[Path], *, waits: bool) -> None:
    """In the child: never returns."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # it must not outlive who disturbs it
        for paper, descriptor in zip(papers, (1, 2), strict=True):
            opened = os.open(paper, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        if waits:
            os.kill(os.getpid(), signal.SIGSTOP)
        signal.alarm(_HANGS)
        code = _code(body, folder)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def with_hook(hook: Callable[[str], None]) -> Iterator[None]:
    """``hook`` is called at each trace point."""
    from core import failpoints

    with mock.patch.object(failpoints, "hook", hook):
        yield
