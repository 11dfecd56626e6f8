"""What the writers say that they wrote: one line for each marker, appended when the marker stands."""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

_MODE = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@dataclass(frozen=True, slots=True)
class Written:
    """One marker. ``fingerprint`` is the dump's, empty where no dump can be taken (it failed, or its name is bad).

    ``path`` is relative to the watch folder, undecodable bytes as surrogates. ``at`` is seconds since the epoch.
    """

    service: str
    watch: str
    path: str
    fingerprint: str
    way: str
    at: float


class Journal:
    """Two files of one writer in ``folder``. Whoever is killed leaves whole lines behind."""

    def __init__(self, folder: Path, writer: str) -> None:
        self._markers = os.open(folder / f"{writer}.markers", _MODE, 0o644)
        self._doings = os.open(folder / f"{writer}.doings", _MODE, 0o644)

    def add(self, written: Written) -> None:
        """Notes a marker that stands."""
        os.write(self._markers, json.dumps(asdict(written)).encode() + b"\n")

    def did(self, what: str) -> None:
        """Notes something else that is counted in the end."""
        os.write(self._doings, f"{what}\n".encode())


def markers(folder: Path) -> list[Written]:
    """All that was written, of all writers."""
    return [Written(**json.loads(line)) for line in _lines(folder, "markers")]


def doings(folder: Path) -> Counter[str]:
    """How often each other thing was done."""
    return Counter(_lines(folder, "doings"))


def _lines(folder: Path, kind: str) -> list[str]:
    return [line for file in sorted(folder.glob(f"*.{kind}")) for line in file.read_text().splitlines()]
