"""A watch folder with dumps and its export tree, for the tests of the links."""

import itertools
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from core import failpoints
from core.fs.fingerprint import Identity, allowed_owners, identify
from core.fs.openat import open_folder
from core.reasons import Reason
from policy.export import ExportTree, LinkFailure, LinkRequest, Published, check_all

#: What a dump holds: bytes for a file, files by their names for a folder.
Content = bytes | Mapping[str, bytes]


class House:
    """``dumps/`` with its ``.rsync``."""

    def __init__(self, root: Path, tree: Path | None = None) -> None:
        self.source = root / "dumps"
        self.source.mkdir()
        self.tree = tree or self.source / ".rsync"
        self.staging = self.tree.parent / ".rsync.staging"
        self.export = ExportTree(self.tree)
        self._ids = itertools.count(1)

    def dump(self, path: str, content: Content = b"a dump") -> Path:
        target = self.source / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.mkdir()
            for name, inside in content.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(inside)
        return target

    def identity(self, path: str) -> Identity:
        parent, _, name = path.rpartition("/")
        with open_folder(self.source, *parent.split("/") if parent else ()) as folder:
            return identify(folder, name, allowed_owners(folder))

    def request(
        self, path: str, export_name: str | None = None, *, identity: Identity | None = None, may_replace: bool = False
    ) -> LinkRequest:
        recorded = identity or self.identity(path)
        name = export_name or path.rpartition("/")[2]
        return LinkRequest(next(self._ids), self.source, path, name, recorded, may_replace)

    def publish(self, *requests: LinkRequest) -> list[Published | LinkFailure]:
        outcomes = self.export.publish(requests)
        assert set(outcomes) == {request.link_id for request in requests}
        return [outcomes[request.link_id] for request in requests]

    def released(self, path: str, export_name: str | None = None, *, may_replace: bool = False) -> Identity:
        """Publishes what is there now, which must succeed."""
        request = self.request(path, export_name, may_replace=may_replace)
        assert isinstance(self.publish(request)[0], Published)
        return request.identity

    def visible(self) -> set[str]:
        """All that a puller finds in the tree."""
        return {str(path.relative_to(self.tree)) for path in self.tree.rglob("*")}

    def staged(self) -> list[str]:
        return os.listdir(self.staging) if self.staging.exists() else []

    def refused(self, request: LinkRequest, reason: Reason) -> LinkFailure:
        """Both looks refuse it with ``reason``, and neither leaves anything behind."""
        checked = check_all([(request.source, request.path, request.identity)])[0]
        assert checked is not None
        assert checked.reason is reason, checked
        return self.not_published(request, reason)

    def not_published(self, request: LinkRequest, reason: Reason) -> LinkFailure:
        before = self.visible()
        [outcome] = self.publish(request)
        assert isinstance(outcome, LinkFailure)
        assert outcome.reason is reason, outcome
        assert outcome.proven_absent
        assert self.visible() == before
        assert self.staged() == []
        return outcome


@contextmanager
def at(point: str, act: Callable[[], object]) -> Iterator[None]:
    """Calls ``act`` once, the first time that ``point`` is reached, which it must be."""
    acts = [act]

    def hook(name: str) -> None:
        if name == point and acts:
            acts.pop()()

    assert failpoints.hook is None
    failpoints.hook = hook
    try:
        yield
    finally:
        failpoints.hook = None
    assert not acts, f"{point!r} was not reached"


def inode(path: Path) -> int:
    return path.lstat().st_ino


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
