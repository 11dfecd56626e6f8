"""The cheap look at dumps before anything is granted. What is granted is looked at again when it is linked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from core.enums import Reason
from core.fs.fingerprint import DumpRejected, Identity, allowed_owners
from policy.export.dump_files import Opener, opened_dump, opened_parent, own_descriptors, part, recorded_folders
from policy.export.errors import explain
from policy.export.model import LinkFailure

#: A dump: the watch folder, the path below it, and what was recorded.
Dump = tuple[Path, str, Identity]
_ANY: Mapping[int, int] = MappingProxyType({})


def check_all(dumps: Sequence[Dump], most_names: Mapping[int, int] = _ANY) -> list[LinkFailure | None]:
    """For each dump None when it could be linked now, else why not. Raises FaultError when /proc is missing.

    ``most_names``: place in ``dumps`` -> how many hard links each of its files may have, where that matters.
    """
    outcomes: list[LinkFailure | None] = [None] * len(dumps)
    with own_descriptors() as proc:
        for (source, parent), numbers in _by_folder(dumps).items():
            try:
                with opened_parent(source, parent) as folder:
                    opener = Opener(allowed_owners(folder), proc)
                    for number in numbers:
                        mine = replace(opener, most_names=most_names[number]) if number in most_names else opener
                        outcomes[number] = _check(mine, folder, dumps[number])
            except DumpRejected as hindrance:
                for number in numbers:
                    outcomes[number] = failure(hindrance, proven_absent=True)
    return outcomes


def failure(error: DumpRejected | OSError, *, proven_absent: bool) -> LinkFailure:
    """The failure that ``error`` makes of one request."""
    if isinstance(error, DumpRejected):
        return LinkFailure(error.reason, error.detail, proven_absent)
    return LinkFailure(Reason.LINK_ERROR, explain(error), proven_absent)


def _by_folder(dumps: Iterable[Dump]) -> dict[tuple[Path, str], list[int]]:
    folders: dict[tuple[Path, str], list[int]] = {}
    for number, (source, path, _) in enumerate(dumps):
        folders.setdefault((source, path.rpartition("/")[0]), []).append(number)
    return folders


def _check(opener: Opener, folder: int, dump: Dump) -> LinkFailure | None:
    _, path, identity = dump
    try:
        name = part(path.rpartition("/")[2])
        if identity.is_folder:
            _check_folder(opener, folder, name, identity)
        else:
            opener.look(folder, name, identity.members[0])
    except (DumpRejected, OSError) as error:
        return failure(error, proven_absent=True)
    return None


def _check_folder(opener: Opener, folder: int, name: str, identity: Identity) -> None:
    with opened_dump(folder, name) as dump:
        for inside, _, files, _ in recorded_folders(dump, identity):
            for each, member in files:
                opener.look(inside, each, member)
