"""The checks of dumps that others have made: a pass asks for them before it lets one out."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from core.config.dump_settings import Verification
from core.errors import FaultError
from core.markers.format import MarkerBody, parse_body
from dumps.attempt import RUN
from dumps.commands import Commands
from dumps.contents import Contents, look
from dumps.failure import DumpFailed, Stopped, sentence_of
from dumps.stop import Stop
from dumps.verify import verify

_AGAIN = "; once it is mended, mark it anew"


def fault(verification: Verification, path: Path, body: str | None, told: Mapping[str, str], stop: Stop) -> str | None:
    """Why the dump at ``path`` does not pass; None if it does, or if `tidegate dump` has checked it as it was made.

    ``body`` is what its marker says, as JSON; the commands find ``told`` in their environment. What they print is not
    kept, but for the last line of one that fails. Raises Stopped, and FaultError where nothing can be checked.
    """
    said = parse_body((body or "").encode())
    if not verification.checks or RUN in said.extra:
        return None
    with _journal() as journal:
        try:
            identity = look(path)
            contents = Contents(identity, _sums(said, is_folder=identity.is_folder))
            verify(verification.checks, path, contents, Commands(journal, stop, told, verification.timeout))
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


def _sums(said: MarkerBody, *, is_folder: bool) -> dict[str, str]:
    """File -> what its marker says is its sum."""
    if not is_folder:
        return {} if said.sha256 is None else {"": said.sha256}
    files: dict[str, Any] = said.files or {}
    sums = {name: each.get("sha256") for name, each in files.items() if isinstance(each, dict)}
    return {name: one for name, one in sums.items() if isinstance(one, str)}
