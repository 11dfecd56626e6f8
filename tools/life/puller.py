"""The storage that pulls once a day: what it says of it afterwards, in the words of rsync's log."""

import datetime
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.given_time import AtGivenTime

#: Of a dump rsync sends what differs from the copy of before, and now and then all of it.
_LEAST_SENT = 0.35
_OWN_WORDS = 40_000


@dataclass
class Puller:
    """``is_down``: it does not come. ``pulls_twice``: it fetches a link that it has, once."""

    admin: AtGivenTime
    log: Path
    dice: random.Random
    is_down: bool = False
    pulls_twice: bool = False
    #: What it pulls just now; None: it is not there.
    sealed: list[dict[str, Any]] | None = None
    #: What it has: VM -> bytes of its copy.
    has: dict[str, int] = field(default_factory=dict)
    #: Bytes of the links that each sync found and did not have.
    found: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """Says that it comes."""
        if not self.is_down:
            self.sealed = self.admin.json("sync-started")["sealed"]
            self.found.append(sum(link["bytes"] for link in self.sealed))

    def end(self) -> None:
        """Says what it has brought over."""
        if self.sealed is None:
            return
        crossed = {link["export_name"]: self._crossing(link["bytes"]) for link in self.sealed}
        new = {link["export_name"]: link["bytes"] for link in self.sealed}
        if self.pulls_twice and (again := sorted(self.has.keys() - new.keys())):
            crossed[again[0]] = self.has[again[0]]
            self.pulls_twice = False
        self.has |= new
        self._write(crossed)
        self.admin.run("synced", "--log", str(self.log))
        self.sealed = None

    def _crossing(self, size: int) -> int:
        return int(size * min(1.001, self.dice.uniform(_LEAST_SENT, 1.2)))

    def _write(self, crossed: Mapping[str, int]) -> None:
        """Of this transfer alone: Tidegate reads the last one of a log."""
        time = datetime.datetime.fromtimestamp(self.admin.clock.wall, datetime.UTC)
        stamp = f"{time:%Y/%m/%d %H:%M:%S} [4711]"
        lines = ["receiving file list"]
        lines += [f"recv >f+++++++++ {size} {size} {name}" for name, size in crossed.items()]
        total = sum(crossed.values())
        lines.append(f"sent {_OWN_WORDS} bytes  received {total + _OWN_WORDS} bytes  total size {total}")
        self.log.write_text("".join(f"{stamp} {line}\n" for line in lines))
