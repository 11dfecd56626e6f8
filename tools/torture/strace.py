"""strace on a command that was forked: which system calls it makes on its host, and one of them disturbed.

strace counts the calls of each thread for itself, and disturbs the thread which comes to its n-th call first. So a
command that is traced does all its work in one thread.
"""

import builtins
import contextlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from core.fs.io_timeout import IoTimeout
from policy.export import publish
from tools.torture.forked_command import Body, Command, Ended

#: "4711  linkat(10</proc/4711/fd>, "12", 5</mounted/host/dumps/.rsync>, "vm1", AT_SYMLINK_FOLLOW) = 0"
_CALL = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<words>.*)")


class Call(NamedTuple):
    """The ``nth`` call of this name, and its arguments as strace shows them."""

    name: str
    nth: int
    words: str = ""


def calls(body: Body, folder: Path, papers: Path, names: Sequence[str]) -> list[Call]:
    """The calls of these names that concern the host in ``folder``, in their order."""
    papers.mkdir(exist_ok=True)
    trace = papers / "trace"
    ended = _run(body, folder, papers, "-y", "-s", "500", "-o", str(trace), "-e", _set(names))
    if "Traceback" in ended.stderr:  # it would have no calls to disturb, and all of none would pass
        raise RuntimeError(f"the command fails undisturbed: {ended.told()}")
    return list(_concerning(trace.read_text(errors="replace").splitlines(), str(folder)))


def disturbed(body: Body, folder: Path, papers: Path, call: Call, how: str) -> Ended:
    """Runs it with ``how`` (``signal=SIGKILL``, ``error=EIO``) in place of this call."""
    words = ("-o", "/dev/null", "-e", _set([call.name]), "-e", f"inject={call.name}:{how}:when={call.nth}")
    return _run(body, folder, papers, *words)


def _set(names: Sequence[str]) -> str:
    return f"trace={','.join(f'?{name}' for name in names)}"


def _concerning(lines: Sequence[str], folder: str) -> Iterator[Call]:
    counts: Counter[str] = Counter()
    threads = set()
    for line in lines:
        found = _CALL.match(line)
        if found is None:  # a signal, an end
            continue
        threads.add(found["thread"])
        counts[found["name"]] += 1
        if folder in found["words"]:
            yield Call(found["name"], counts[found["name"]], found["words"])
    if len(threads) > 1:
        raise RuntimeError("the command has worked in several threads: what is the n-th call cannot be told")


def _run(body: Body, folder: Path, papers: Path, *how: str) -> Ended:
    command = Command(partial(_in_one_thread, body), folder, papers, waits=True)
    with _attached(command.process, how):
        command.go()
        return command.end()


@contextmanager
def _attached(process: int, how: Sequence[str]) -> Iterator[None]:
    words = ["strace", "-f", "-p", str(process), *how]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()  # it stands at the first call only when strace has said so
        if "attached" not in said:
            raise RuntimeError(f"strace does not attach: {said}{strace.stderr.read()}")
        yield
        strace.stderr.read()


def _in_one_thread(body: Body, folder: Path) -> None:
    """What the command asks of other threads it does itself, at once."""
    with (
        mock.patch.object(IoTimeout, "ask", lambda _self, question: question()),
        mock.patch.object(publish, ThreadPoolExecutor.__name__, return_value=contextlib.nullcontext(builtins)),
    ):
        body(folder)
