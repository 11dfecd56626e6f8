"""The export tree and the staging folder beside it: found, judged, and made when they are not there."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from core.errors import FaultError
from core.fs.openat import open_folder, open_folder_at
from policy.export.errors import explain

#: The puller comes as a user of its own and must get in. What it may read is a matter of each dump's own mode and of
#: the folders above the tree; here only the names of VMs can be seen.
_TREE_MODE = 0o755
#: Links are made here before they are checked: nobody else may look or put anything in.
_STAGING_MODE = 0o700


class ExportFolders:
    """Where an export tree and its staging folder are: two names in one parent folder.

    All methods raise FaultError when one of them is a symbolic link or no folder, cannot be opened, or when others
    could put things into the staging folder.
    """

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.staging = tree.parent / f".{tree.name.lstrip('.')}.staging"  # a dot name: scans skip it

    @contextmanager
    def open_tree(self) -> Iterator[int | None]:
        """A descriptor of the tree, None when there is none."""
        with self._parent() as parent:
            if parent is None:
                yield None
                return
            with _opened(parent, self.tree) as tree, _faults_of(self.tree):
                yield tree

    @contextmanager
    def open_staging(self) -> Iterator[int | None]:
        """A descriptor of the staging folder, None when there is none."""
        with self._parent() as parent:
            if parent is None:
                yield None
                return
            with _opened(parent, self.staging) as staging:
                if staging is not None:
                    self._refuse_others(parent, staging)
                with _faults_of(self.staging):
                    yield staging

    @contextmanager
    def open_both(self) -> Iterator[tuple[int, int]]:
        """Descriptors of the tree and the staging folder, made if they are not there."""
        with self._parent() as parent:
            if parent is None:
                raise FaultError(f"{self.tree.parent}: there is no such folder to hold the export tree")
            _make(parent, self.tree, _TREE_MODE)
            _make(parent, self.staging, _STAGING_MODE)
        with self.open_staging() as staging, self.open_tree() as tree:
            if tree is None or staging is None:
                raise FaultError(f"{self.tree} or {self.staging} was removed as soon as it was made")
            yield tree, staging

    @contextmanager
    def _parent(self) -> Iterator[int | None]:
        with ExitStack() as stack:
            try:
                parent = stack.enter_context(open_folder(self.tree.parent))
            except FileNotFoundError:
                parent = None
            except OSError as error:
                raise FaultError(f"{self.tree.parent}: {explain(error)}") from None
            yield parent

    def _refuse_others(self, parent: int, staging: int) -> None:
        """The owner of the tree may own it too: who can write in the tree needs no staging folder to do harm."""
        status = os.fstat(staging)
        if status.st_uid not in self._trusted(parent):
            raise FaultError(f"{self.staging} belongs to user id {status.st_uid}: remove it, Tidegate makes its own")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise FaultError(f"{self.staging} can be written by others: remove it, Tidegate makes its own")

    def _trusted(self, parent: int) -> set[int]:
        trusted = {0, os.geteuid()}
        with suppress(FileNotFoundError):
            trusted.add(os.stat(self.tree.name, dir_fd=parent, follow_symlinks=False).st_uid)
        return trusted


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """A disk that fails in the midst of a look is a fault outside, as one is that cannot be opened."""
    try:
        yield
    except OSError as error:
        raise FaultError(f"{path}: {explain(error)}") from error


@contextmanager
def _opened(parent: int, path: Path) -> Iterator[int | None]:
    try:
        folder = open_folder_at(parent, path.name)
    except FileNotFoundError:
        yield None
        return
    except NotADirectoryError:
        raise FaultError(f"{path} is not a folder, or is a symbolic link: nothing is linked through it") from None
    except OSError as error:
        raise FaultError(f"{path}: {explain(error)}") from None
    try:
        yield folder
    finally:
        os.close(folder)


def _make(parent: int, path: Path, mode: int) -> None:
    try:
        os.mkdir(path.name, mode, dir_fd=parent)
    except FileExistsError:
        return
    except OSError as error:
        raise FaultError(f"{path}: {explain(error)}") from None
    descriptor = open_folder_at(parent, path.name)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask: a puller that cannot get in pulls nothing, without an error
        os.fsync(parent)  # the tree's own name must survive a power cut as what will be in it
    finally:
        os.close(descriptor)
