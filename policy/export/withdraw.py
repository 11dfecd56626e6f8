"""Links taken back: moved out of the tree whole, looked at once more, and removed where nobody sees it."""

import os
from collections.abc import Mapping

from core import failpoints
from core.fs.fingerprint import Identity
from core.fs.rename import rename_new
from core.fs.subtree import remove
from core.reasons import Reason
from policy.export.errors import explain
from policy.export.inspect import entry_at, is_made_of
from policy.export.model import LinkFailure


def withdraw(tree: int, staging: int, links: Mapping[str, Identity]) -> dict[str, bool | LinkFailure]:
    """Takes ``links`` out of the tree; descriptors of the tree and of an empty staging folder.

    True for what is gone, False where nothing of it was there, LinkFailure where it could not be moved.
    """
    outcomes: dict[str, bool | LinkFailure] = {}
    for number, (name, identity) in enumerate(links.items()):
        try:
            outcomes[name] = _move_out(tree, staging, name, _aside(number), identity)
        except OSError as error:
            outcomes[name] = LinkFailure(Reason.LINK_ERROR, explain(error), proven_absent=False)
    if True in outcomes.values():
        _settle(tree, staging, outcomes)
    return outcomes


def _aside(number: int) -> str:
    return f"withdrawn-{number}"


def _move_out(tree: int, staging: int, name: str, aside: str, identity: Identity) -> bool:
    """Judged again where nobody can swap it any more: what took the name in between goes back to where it was."""
    if not _is_ours(tree, name, identity):
        return False
    failpoints.point("before withdrawal")
    try:
        rename_new(tree, name, staging, aside)
    except FileNotFoundError:
        return False
    if not _is_ours(staging, aside, identity):
        rename_new(staging, aside, tree, name)
        return False
    return True


def _is_ours(folder: int, name: str, identity: Identity) -> bool:
    try:
        found = entry_at(folder, name)
    except FileNotFoundError:
        return False
    return is_made_of(None if found is None else found.identity, identity)


def _settle(tree: int, staging: int, outcomes: dict[str, bool | LinkFailure]) -> None:
    """The tree first: after a power cut a folder must not be back with half of its files."""
    failpoints.point("before fsync")
    try:
        os.fsync(tree)
        failpoints.point("after fsync")
        for number, outcome in enumerate(outcomes.values()):
            if outcome is True:
                # By its name: a descriptor that listed the folder before does not show on btrfs what came since.
                remove(staging, _aside(number))
    except OSError as error:
        for name, outcome in outcomes.items():
            if outcome is True:
                outcomes[name] = LinkFailure(Reason.LINK_ERROR, explain(error), proven_absent=False)
