"""Whether a finished dump is what it seems, before it costs a day's traffic."""

from collections.abc import Sequence
from pathlib import Path

from core.config.dump_settings import SHA256, SIZE, Check
from core.filenames import printable
from dumps.commands import Commands
from dumps.contents import Contents, look, sha256_of
from dumps.failure import DumpFailed

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
    found, expected = look(out).bytes, contents.identity.bytes
    if found != expected:
        raise DumpFailed(f"verify: size: {found} bytes are there, {expected} were written")


def _sha256(out: Path, contents: Contents, commands: Commands) -> None:
    sums = contents.sums or {}
    for one in contents.identity.members:
        path = out / one.name if one.name else out
        if one.name not in sums:  # a check that looks at nothing must not pass
            raise DumpFailed(f"verify: sha256: nobody has said the sum of {printable(path.name)}")
        try:
            found = sha256_of(path, commands.unless_stopped)
        except DumpFailed as error:
            error.sentence = f"verify: sha256: {error.sentence}"
            raise
        if found != sums[one.name].lower():
            raise DumpFailed(f"verify: sha256: {printable(path.name)} is not what was summed")


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
