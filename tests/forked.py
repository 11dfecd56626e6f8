"""Commands forked from a process that has loaded everything: nine tenths of a command's time is the loading.

What runs is the real ``main`` in a process of its own, with its own stdin, stdout, stderr, environment and umask, and
several at a time where several are asked for. Tests of how the program starts run it with ``Host.start``.

``python -m tests.forked SOCKET`` listens there until its stdin is closed. Each connection brings one order, and the
three files with it; the answer is the exit code.
"""

import array
import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
#: Seconds for a command; a slow machine takes a tenth of them.
IO_TIMEOUT = 120
#: What commands load late besides their own modules.
_LATE = ("concurrent.futures.thread", "encodings.utf_8_sig", "rich.table", "sqlite3")


def load_everything() -> None:
    """Every module of every package, so that a command that is forked from here has nothing left to load."""
    packages: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["packages"]
    for package in packages:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else each command copies every page that its first collection touches


def run(words: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
    """Runs ``tidegate`` with these words to its end, in ROOT and as who calls this."""
    if os.geteuid() != os.getuid():  # the others are forked from one who is not that user
        return subprocess.run(
            [sys.executable, "-m", "tidegate", *words], cwd=ROOT, input=stdin, capture_output=True, text=True,
            check=False, timeout=IO_TIMEOUT,
        )  # fmt: skip
    umask = os.umask(0)
    os.umask(umask)
    order = {"words": list(words), "environment": dict(os.environ), "umask": umask}
    with (
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        said.write(stdin)
        said.seek(0)
        connection.settimeout(IO_TIMEOUT)
        connection.connect(str(_server()))
        files = array.array("i", [said.fileno(), stdout.fileno(), stderr.fileno()])
        connection.sendmsg([b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        connection.sendall(json.dumps(order).encode() + b"\n")
        code = int(connection.makefile().readline())
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(words, code, stdout.read(), stderr.read())


@cache
def _server() -> Path:
    """Started once by each process that runs tests, and ended with it."""
    place = Path(tempfile.mkdtemp(prefix="tidegate-forked-")) / "socket"
    command = [sys.executable, "-m", "tests.forked", str(place)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    atexit.register(_end, process)
    return place


def _end(process: subprocess.Popen[str]) -> None:
    """It ends with its stdin, and so also when this process is killed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait(IO_TIMEOUT)
    process.stdout.close()


# --- in the process that has loaded everything


def serve(place: Path) -> None:
    load_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([sys.stdin, listening], [], [])
            if sys.stdin in ready:
                break
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _attend(connection)
            connection.close()
    place.unlink()
    place.parent.rmdir()


def _attend(connection: socket.socket) -> NoReturn:
    """Runs one command and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as reading:
        order = json.loads(reading.readline())
    command = os.fork()
    if command == 0:
        connection.close()
        _be_the_command(order, files)
    _, status = os.waitpid(command, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _be_the_command(order: dict[str, Any], files: Sequence[int]) -> NoReturn:
    for descriptor, file in enumerate(files):
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.umask(order["umask"])
    become(order["words"])


def become(words: Sequence[str]) -> NoReturn:
    """The command with these words, from its ``main`` to the exit code."""
    from tidegate.cli.main import main

    sys.argv = ["tidegate", *words]
    code: Any = 1
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        gc.collect()  # as at the end of any program: who is no longer needed closes his files
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
