"""A look at a whole watch folder, compared with what is known of it. Touches no state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core import failpoints
from core.enums import DumpState, Reason
from core.state.mount_identity import filesystem_id_of
from watcher.observation import HINDRANCES
from watcher.walk import Arm, Listing, list_markers, no_arm
from watcher.watch_tree import Ground

#: The watch folder itself, and so everything in it.
ALL = ("",)
#: A dump may have changed in such a state though its markers have not.
LOOKED_AT_AGAIN = frozenset({DumpState.CHANGED, DumpState.MISSING, DumpState.BAD})


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded. ``signatures``: dump -> its markers, of all that are held to stand.

    ``hindered``: state and reason of those among them that are in a state of LOOKED_AT_AGAIN or have a reason.
    """

    signatures: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, tuple[DumpState, Reason | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was found. ``up`` False: the watch folder is not there, and nothing in it counts as removed.

    ``to_look_at`` are paths of dumps whose markers are new or changed, or that were hindered; ``gone`` are those
    whose markers stand no more. ``footing`` is the folder that was listed, None when none could be. ``signatures``:
    dump -> its markers, of all that stand there.
    """

    up: bool
    detail: str = ""
    to_look_at: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    filesystem_id: str | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)


def look_over(
    ground: Ground,
    known: Known,
    *,
    starts: Sequence[str] = ALL,
    arm: Arm = no_arm,
    retry: bool = True,
) -> Sighting:
    """Compares what stands in these folders of the watch folder, and below them, with what is ``known`` there.

    ``retry`` also looks again at dumps that the policy could not let out, so that the next pass tries them.
    """
    try:
        with ground.open_root() as root:
            failpoints.point("opened")
            filesystem_id = filesystem_id_of(root)
            listing = list_markers(ground, root, starts, arm)
            if not ground.is_root(root):
                return Sighting(up=False, detail="another folder took its place while it was scanned")
    except OSError as error:
        return Sighting(up=False, detail=f"it cannot be opened: {error.strerror}")
    if "" in listing.unsure:
        return Sighting(up=False, detail="it cannot be listed")
    if listing.is_bare and known.signatures:
        detail = f"it is empty, and {len(known.signatures)} dumps were marked in it: is its disk mounted?"
        return Sighting(up=False, detail=detail, filesystem_id=filesystem_id)
    return _compare(listing, known, filesystem_id, retry=retry)


def _compare(listing: Listing, known: Known, filesystem_id: str, *, retry: bool) -> Sighting:
    recorded = known.signatures
    again = {path for path, told in known.rejected.items() if _needs_a_look(*told, retry=retry)}
    to_look_at = [
        path for path, signature in listing.signatures.items() if recorded.get(path) != signature or path in again
    ]
    gone = [path for path in recorded if path not in listing.signatures and listing.is_sure_of(path)]
    unsure = f"{len(listing.unsure)} places in it cannot be read" if listing.unsure else ""
    return Sighting(True, unsure, tuple(to_look_at), tuple(gone), filesystem_id, listing.signatures)


def _needs_a_look(state: DumpState, reason: Reason | None, *, retry: bool) -> bool:
    if reason is Reason.DUMP_FAILED:
        return False  # the marker has said it all, whatever stands beside it
    return state in LOOKED_AT_AGAIN or reason in HINDRANCES or (retry and reason is not None)
