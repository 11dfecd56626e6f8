"""What a marker's body declares of its dump, set against what is there."""

from typing import Any

from core.enums import Reason
from core.fs.fingerprint import DumpRejected, Identity
from core.markers.format import BadMarker, MarkerBody


def check(identity: Identity, body: MarkerBody) -> None:
    """Raises Hindered(``verify_failed``) with both figures, or BadMarker for a list of files that is none."""
    if body.size is not None and body.size != identity.bytes:
        raise _differs(f"its marker declares {body.size} bytes and it has {identity.bytes}")
    if body.files is not None and identity.is_folder:
        _check_files(identity, body.files)


def _check_files(identity: Identity, files: dict[str, Any]) -> None:
    sizes = {member.name: member.size for member in identity.members}
    for name, size in sizes.items():
        if name not in files:
            raise _differs(f"{name} is not among the {len(files)} files that its marker declares")
        declared = _size_of(name, files[name])
        if declared is not None and declared != size:
            raise _differs(f"its marker declares {declared} bytes of {name} and it has {size}")
    for name in files:
        if name not in sizes:
            raise _differs(f"its marker declares {name}, which is not there")


def _size_of(name: str, declared: object) -> int | None:
    size = declared.get("size") if isinstance(declared, dict) else declared
    if isinstance(size, bool) or not isinstance(size, int | None):
        raise BadMarker(f"the marker's 'files' gives no usable size of {name!r}")
    return size


def _differs(detail: str) -> DumpRejected:
    return DumpRejected(Reason.VERIFY_FAILED, detail)
