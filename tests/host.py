"""A host in a temporary folder: dumps with their markers, a configuration, and the real commands on both."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.config.load import load
from core.config.settings import Config
from tests import forked

ROOT = Path(__file__).resolve().parent.parent

Sections = Mapping[str, Any]


class Host:
    """``folder/dumps`` with its export tree, ``folder/config.toml`` and ``folder/state.db``.

    Everything but paths, limit and storage has its default; ``sections`` say what has not.
    """

    def __init__(self, folder: Path, *, daily: int = 10_000, **sections: Sections) -> None:
        self.folder = folder
        self.dumps = folder / "dumps"
        self.tree = self.dumps / ".rsync"
        self.file = folder / "config.toml"
        self.state = folder / "state.db"
        self.dumps.mkdir(parents=True)
        self.configure(daily=daily, **sections)

    def configure(self, *, daily: int = 10_000, **sections: Sections) -> None:
        """Writes the configuration anew."""
        given: dict[str, Any] = {
            "state": {"path": "state.db"},
            "limit": {"daily": f"{daily} B", **sections.pop("limit", {})},
            "offsite": {"storage": "mirror", **sections.pop("offsite", {})},
            **sections,
        }
        watch = {"path": "dumps", **given.pop("watch", {})}
        self.file.write_text("".join(_section("[[watch]]", watch)) + "".join(_sections(given)))

    def config(self) -> Config:
        """The configuration, loaded as a command loads it."""
        return load(self.file)

    # --- what dump scripts do

    def dump(self, name: str, size: int | Mapping[str, int], *, marked: bool = True, **body: Any) -> Path:
        """A dump as the README tells to make it: written aside, renamed, and then its marker.

        ``size`` is in bytes; for a dump that is a folder it is said for each of its files. ``body`` is the marker's.
        """
        path = self.dumps / name
        if isinstance(size, int):
            aside = path.with_name(path.name + ".part")
            aside.write_bytes(os.urandom(size))
            aside.replace(path)
        else:
            for inner, length in size.items():
                (path / inner).parent.mkdir(parents=True, exist_ok=True)
                (path / inner).write_bytes(os.urandom(length))
        if marked:
            self.mark(name, **body)
        return path

    def mark(self, name: str, kind: str = "done", **body: Any) -> Path:
        """A marker as a shell script writes it: ``touch``, or a body in JSON."""
        marker = self.dumps / f"{name}.{kind}"
        marker.write_text(json.dumps(body) if body else "")
        return marker

    def exported(self) -> dict[str, int]:
        """Bytes of each plain file in the export tree, by its path in it."""
        return {str(path.relative_to(self.tree)): path.stat().st_size for path in _files(self.tree)}

    # --- the real commands

    def command(self, *arguments: str) -> list[str]:
        """The words of a command on this host."""
        return [sys.executable, "-m", "tidegate", "--config", str(self.file), *arguments]

    def run(self, *arguments: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command to its end. It must end with ``code``, and never with the trace of a bug."""
        done = forked.run(["--config", str(self.file), *arguments], stdin)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command in a process of its own."""
        return subprocess.Popen(
            self.command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a command prints with ``--json``; stdout holds nothing else."""
        shape: dict[str, Any] = json.loads(self.run(*arguments, "--json", code=code).stdout)
        return shape


def host_with_papers(folder: Path, **how: Any) -> Host:
    """A host of which a sync was sealed before: its export tree tells of itself."""
    host = Host(folder, **how)
    (host.tree / ".tidegate").mkdir(parents=True)
    return host


def reasons(shape: Mapping[str, Any]) -> dict[str, str]:
    """Dump -> reason, of ``pass --json`` or ``plan --json``."""
    return {one["dump"]: one["reason"] for one in shape["decisions"]}


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and ".tidegate" not in path.parts)


def _sections(given: Mapping[str, Any], above: str = "") -> Iterable[str]:
    for name, values in given.items():
        inner = {key: value for key, value in values.items() if isinstance(value, Mapping)}
        plain = {key: value for key, value in values.items() if key not in inner}
        yield from _section(f"[{above}{name}]", plain) if plain else ()
        yield from _sections(inner, f"{above}{name}.")


def _section(heading: str, values: Mapping[str, Any]) -> Iterable[str]:
    yield f"{heading}\n"
    for key, value in values.items():
        yield f"{key} = {json.dumps(value)}\n"  # of these kinds TOML writes the same
    yield "\n"
