"""Each peer as a program that prints the name of every marker that it is told of: ``peer.py NAME FOLDER``.

Started by ``peers``, never imported: what is measured is the peer and not the interpreter around it.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import TextIO


def watchfiles(folder: str) -> None:
    from watchfiles import watch  # type: ignore[import-not-found, unused-ignore]

    for changes in watch(folder, step=5, debounce=50, rust_timeout=1000, yield_on_timeout=True):
        tell(path for _, path in changes)


def observer(folder: str) -> None:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Teller(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            tell(os.fsdecode(path) for path in (event.src_path, event.dest_path) if path)

    one = Observer()
    one.schedule(Teller(), folder, recursive=True)
    one.start()
    one.join()


def watchman(folder: str) -> None:
    with tempfile.TemporaryDirectory() as own:
        files = [f"--{name}={own}/{name}" for name in ("sockname", "logfile", "statefile", "pidfile")]
        server = subprocess.Popen(["watchman", "--foreground", *files], stderr=subprocess.DEVNULL)
        try:
            lines = _connect(f"{own}/sockname")
            print(json.dumps(["watch", folder]), file=lines, flush=True)
            lines.readline()  # it answers one command after the other, and forgets one that comes sooner
            asked = {"expression": ["suffix", "done"], "fields": ["name"], "empty_on_fresh_instance": False}
            print(json.dumps(["subscribe", folder, "markers", asked]), file=lines, flush=True)
            for line in lines:
                tell(json.loads(line).get("files", ()))
        finally:
            server.terminate()


def _connect(path: str) -> TextIO:
    one = socket.socket(socket.AF_UNIX)
    for _ in range(100):
        try:
            one.connect(path)
        except OSError:
            time.sleep(0.1)
        else:
            break
    return one.makefile("rw", encoding="utf-8")


def tell(paths: Iterable[str]) -> None:
    names = [os.path.basename(path) for path in paths if path.endswith(".done")]
    if names:
        sys.stdout.write("\n".join(names) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    {"watchfiles": watchfiles, "observer": observer, "watchman": watchman}[sys.argv[1]](sys.argv[2])
