"""Every way in which a script marks its dumps. Each takes one turn of a writer."""

import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.soak.marking_tools import (
    PLAIN,
    REPEATABLE,
    STARTED,
    Mark,
    hard_link,
    redirect,
    rename_beside,
    rename_in,
    touch,
)
from tools.soak.writer import Writer, fingerprint_of

Way = Callable[[Writer, str], None]


def _one(writer: Writer, way: str, *, mark: Mark) -> None:
    path = writer.dump(writer.names.fresh())
    writer.mark(mark, path, way)


def _deep(writer: Writer, way: str) -> None:
    folder = f"{writer.root}/{writer.names.folder()}/b"
    os.makedirs(folder)
    writer.mark(touch, writer.dump(writer.names.fresh(), folder), way)


def _odd(writer: Writer, way: str) -> None:
    path = writer.dump(writer.names.odd())
    mark = writer.dice.choice((touch, rename_beside, rename_in, hard_link))
    # Whether such a name can be a VM's is not the matter here: it is recorded, be it as a bad one.
    writer.mark(mark, path, way, is_taken=False)


def _symbolic(writer: Writer, way: str) -> None:
    path = writer.dump(writer.names.fresh())
    writer.mark(lambda _tools, marker: os.symlink("nowhere", marker), path, way, is_taken=False)


def _failed(writer: Writer, way: str) -> None:
    path = f"{writer.root}/{writer.names.fresh()}"
    mark = writer.dice.choice((touch, redirect, rename_beside, hard_link))
    writer.mark(mark, path, way, kind="failed", is_taken=False)


def _running(writer: Writer, way: str) -> None:
    path = f"{writer.root}/{writer.names.fresh()}"
    touch(writer.place.tools, f"{path}.running")
    time.sleep(writer.dice.choice((0, 0.01, 1.0)))
    writer.write(path)
    writer.mark(touch, path, way)
    os.unlink(f"{path}.running")


def _folder(writer: Writer, way: str) -> None:
    path = f"{writer.root}/{writer.names.fresh().removesuffix('.img')}"
    os.makedirs(f"{path}/disks")
    for name in ("config", "disks/a.img", "disks/b.img"):
        writer.write(f"{path}/{name}")
    writer.mark(touch, path, way)


def _again(writer: Writer, way: str) -> None:
    """The same name again, by another file or into the same one, once the dump before it is recorded.

    Sooner, nobody could tell a marker that was lost from one that had no time to be seen.
    """
    name = writer.names.again()
    path = f"{writer.root}/{name}"
    before = writer.again.get(name)
    if before is not None and not writer.seen.has(writer.place.watch, name, before):
        return
    if before is None or writer.dice.random() < 0.7:
        writer.dump(name)
    else:
        writer.write(path)
    fingerprint = fingerprint_of(path)
    writer.dice.choice(REPEATABLE)(writer.place.tools, f"{path}.done")
    writer.wrote(path, fingerprint, way, time.time(), is_kept=True)
    writer.again[name] = fingerprint


def _moved(writer: Writer, way: str) -> None:
    source, target = _tree(writer)
    source.rename(target)
    _note(writer, target, way)


def _copied(writer: Writer, way: str, *, command: tuple[str, ...]) -> None:
    source, target = _tree(writer)
    subprocess.run([*command, f"{source}/.", f"{target}/"], check=True)
    subprocess.run(["rm", "-r", source], check=True)
    _note(writer, target, way)


def _tree(writer: Writer) -> tuple[Path, Path]:
    """A folder of dumps with their markers where nobody looks, and where it is to come to stand."""
    name = writer.names.folder()
    source = writer.place.tools.elsewhere / name
    (source / "inner").mkdir(parents=True)
    for folder in ("", "inner", "inner"):
        path = writer.dump(writer.names.fresh(), f"{source}/{folder}".rstrip("/"))
        touch(writer.place.tools, f"{path}.done")
    return source, Path(writer.root, name)


def _note(writer: Writer, target: Path, way: str) -> None:
    now = time.time()
    for marker in sorted(target.rglob("*.done")):
        path = str(marker).removesuffix(".done")
        writer.wrote(path, fingerprint_of(path), way, now)


#: Way -> (how often, what it does).
WAYS: dict[str, tuple[float, Way]] = {
    **{name: (3.0, partial(_one, mark=mark)) for name, mark in PLAIN.items()},
    **{name: (0.2, partial(_one, mark=mark)) for name, mark in STARTED.items()},
    "mkdir -p a/b and touch at once": (2.0, _deep),
    "a folder with markers moved in": (1.0, _moved),
    "rsync of a folder of dumps": (0.4, partial(_copied, command=("rsync", "-a"))),
    "cp of a folder of dumps": (0.4, partial(_copied, command=("cp", "-a", "-T"))),
    "dumped again under the same name": (4.0, _again),
    "failed": (2.0, _failed),
    "running, then done": (1.0, _running),
    "a dump that is a folder": (1.0, _folder),
    "a name of any bytes": (2.0, _odd),
    "a symbolic link as marker": (0.3, _symbolic),
}
#: What a pass takes its time over and a limit is kept by, without names that are no VM's.
CLEAN = {name: way for name, way in WAYS.items() if name not in ("a name of any bytes", "a symbolic link as marker")}


def turn(ways: dict[str, tuple[float, Way]], writer: Writer) -> None:
    """One turn: one of these ways, by chance."""
    (name,) = writer.dice.choices(list(ways), [often for often, _ in ways.values()])
    ways[name][1](writer, name)


def everything(ways: dict[str, tuple[float, Way]], writer: Writer) -> None:
    """Each of these ways once."""
    for name, (_, way) in ways.items():
        way(writer, name)
