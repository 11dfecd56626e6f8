"""What is true of a host, known without Tidegate: which dumps were made, and what the storage has had."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

#: (Inner name, inode) of each file; the inner name of a dump that is one file is "".
Made = frozenset[tuple[str, int]]

#: Tidegate's own folder in the export tree: nothing of it is charged.
OWN = ".tidegate"


class Dump(NamedTuple):
    """One dump that was made. Path and bytes together name it: no two have both in common."""

    vm: str
    path: str
    bytes: int
    is_finished: bool


@dataclass
class Truth:
    """``gone``: links that somebody else has taken out of the tree."""

    limit: int
    dumps: dict[Made, Dump] = field(default_factory=dict)
    had: set[Made] = field(default_factory=set)
    gone: set[Made] = field(default_factory=set)

    def copy(self) -> "Truth":
        """As it is now."""
        return copy.deepcopy(self)

    def finished(self) -> list[Dump]:
        """The dumps that a marker calls finished."""
        return [dump for dump in self.dumps.values() if dump.is_finished]


def standing(folder: Path) -> dict[str, Made]:
    """What stands visibly in the export tree of the host in this folder, by its name there."""
    tree = folder / "dumps" / ".rsync"
    entries = sorted(tree.iterdir()) if tree.exists() else []
    return {path.name: made_of(path) for path in entries if path.name != OWN}


def made_of(path: Path) -> Made:
    """The files of a dump or a link."""
    if path.is_dir() and not path.is_symlink():
        inner = [file for file in path.rglob("*") if not file.is_dir()]
        return frozenset((str(file.relative_to(path)), file.lstat().st_ino) for file in inner)
    return frozenset({("", path.lstat().st_ino)})


def written(path: Path, content: int | Mapping[str, int], letter: str) -> Made:
    """A dump of so many bytes; for a folder they are said for each of its files."""
    if isinstance(content, int):
        path.write_text(letter * content)
    else:
        for inner, size in content.items():
            file = path / inner
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(letter * size)
    return made_of(path)
