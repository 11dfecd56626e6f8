"""Whether a finished dump is what it seems, before it costs a day's traffic: our own, and those of others."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from core.config.dump_settings import SHA256, SIZE, Check, Verification
from core.errors import FaultError
from core.filenames import printable
from core.markers.format import MarkerBody, parse_body
from dumps.commands import Commands
from dumps.contents import Contents, identify_dump, sha256_of
from dumps.dump_folder import RUN
from dumps.failure import DumpFailed, Stop, Stopped, sentence_of

_AGAIN = "; once it is mended, mark it anew"
#: Programs that read one kind of file: of a folder they are given each file of that kind.
_READS = {
    "qemu-img": (".qcow2", ".qcow", ".vmdk", ".vdi", ".vhdx", ".qed"),
    "zstd": (".zst", ".zstd"),
    "gzip": (".gz", ".tgz"),
    "pigz": (".gz", ".tgz"),
    "xz": (".xz",),
    "bzip2": (".bz2",),
    "lz4": (".lz4",),
}


def verify(checks: Sequence[Check], out: Path, contents: Contents, commands: Commands) -> None:
    """Raises DumpFailed that names the first check that the dump at ``out`` does not pass."""
    for check in checks:
        if check == SIZE:
            _size(out, contents)
        elif check == SHA256:
            _sha256(out, contents, commands)
        else:
            _command(check, out, contents, commands)


def _size(out: Path, contents: Contents) -> None:
    found, expected = identify_dump(out).bytes, contents.identity.bytes
    if found != expected:
        raise DumpFailed(f"verify: size: {found} bytes are there, {expected} were written")


def _sha256(out: Path, contents: Contents, commands: Commands) -> None:
    sums = contents.sums or {}
    for one in contents.identity.members:
        shown = printable((one.name or out.name).rpartition("/")[2])
        if one.name not in sums:  # a check that looks at nothing must not pass
            raise DumpFailed(f"verify: sha256: no checksum of {shown} is known")
        try:
            found = sha256_of(out, one.name, commands.unless_stopped)
        except DumpFailed as error:
            error.sentence = f"verify: sha256: {error.sentence}"
            raise
        if found != sums[one.name].lower():
            raise DumpFailed(f"verify: sha256: {shown} is not what was summed")


def _command(check: Check, out: Path, contents: Contents, commands: Commands) -> None:
    for path in _files(check[0], out, contents):
        try:
            commands.run([*check, str(path)])
        except DumpFailed as error:
            error.sentence = f"verify: {error.sentence}"
            raise


def _files(program: str, out: Path, contents: Contents) -> list[Path]:
    endings = _READS.get(program.rpartition("/")[2])
    if endings is None or not contents.identity.is_folder:
        return [out]
    files = [out / one.name for one in contents.identity.members if one.name.endswith(endings)]
    if not files:  # a check that looks at nothing must not pass
        raise DumpFailed(f"verify: {program}: the dump has no file of its kind ({', '.join(endings)})")
    return files


# --- dumps that others have made: a pass asks for these checks before it releases one


def fault(
    verification: Verification, path: Path, body: str | None, environment: Mapping[str, str], stop: Stop
) -> str | None:
    """Why the dump at ``path`` does not pass; None if it does, or if `tidegate dump` has checked it as it was made.

    ``body`` is its marker's, as JSON; the commands find ``environment`` in theirs. What they print is not
    kept, but for the last line of one that fails. Raises Stopped, and FaultError where nothing can be checked.
    """
    marker = parse_body((body or "").encode())
    if not verification.checks or RUN in marker.extra:
        return None
    with _journal() as journal:
        try:
            identity = identify_dump(path)
            contents = Contents(identity, _sums(marker, is_folder=identity.is_folder))
            verify(verification.checks, path, contents, Commands(journal, stop, environment, verification.timeout))
        except Stopped:
            raise
        except (DumpFailed, OSError) as error:
            return sentence_of(error) + _AGAIN
    return None


def _journal() -> BinaryIO:
    """For what the commands print."""
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise FaultError(f"no dump can be checked: no temporary file can be made: {error.strerror}") from error


def _sums(marker: MarkerBody, *, is_folder: bool) -> dict[str, str]:
    """File -> its sum by the marker."""
    if not is_folder:
        return {} if marker.sha256 is None else {"": marker.sha256}
    files: dict[str, Any] = marker.files or {}
    sums = {name: each.get("sha256") for name, each in files.items() if isinstance(each, dict)}
    return {name: one for name, one in sums.items() if isinstance(one, str)}
