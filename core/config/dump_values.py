"""Typed values of the keys that say how VMs are dumped; as ``values``, each raises ValueError with what is right."""

import shlex

from core.config.dump_settings import SHA256, SIZE, Check
from core.config.types import did_you_mean, text
from core.markers.format import SUFFIXES

#: Endings that say "not finished yet" to whoever looks for dumps.
_UNFINISHED = (".tmp", ".partial", ".part", *SUFFIXES)
_LONGEST_SUFFIX_BYTES = 64
_MOST_AT_ONCE = 64


def command(value: object) -> tuple[str, ...]:
    """The words of a command, the program first. A text is refused: no shell takes it apart."""
    right = 'write its words as a list, like ["dump-vm", "--all"]; for a shell: ["sh", "-c", "dump-vm > $OUT"]'
    if not isinstance(value, list) or not value:
        raise ValueError(f"{_told(value)} is not a command; {right}")
    for word in value:
        if not isinstance(word, str) or "\0" in word:
            raise ValueError(f"{_told(word)} is not a word of a command; {right}")
    if not value[0].strip():
        raise ValueError(f"its first word names no program; {right}")
    return tuple(value)


def command_or_none(value: object) -> tuple[str, ...]:
    """The words of a command; an empty list: none, also where the set has one."""
    return () if value == [] else command(value)


def suffix(value: object) -> str:
    """What follows the VM and the time in a dump's name: ``".img.zst"``."""
    written = text(value)
    if not written.startswith(".") or "/" in written or len(written.encode()) > _LONGEST_SUFFIX_BYTES:
        raise ValueError(f'{written!r} is no ending of a file name; write it like ".qcow2" or ".img.zst"')
    if written.endswith(_UNFINISHED):
        raise ValueError(f"{written!r} ends as markers and unfinished files do; write what the dump is, like .qcow2")
    return written


def uri(value: object) -> str:
    """Where libvirt is reached, as `virsh --connect` has it."""
    written = text(value)
    if "://" not in written or not written.isprintable():
        raise ValueError(f'{written!r} is no address of libvirt; write it like "qemu:///system"')
    return written


def at_once(value: object) -> int:
    """How many dumps run at the same time."""
    return _count(value, 1, _MOST_AT_ONCE)


def retries(value: object) -> int:
    """How often a dump that failed is made again."""
    return _count(value, 0, 10)


def keep(value: object) -> int:
    """How many dumps of a VM stay: at least the last good one."""
    return _count(value, 1, 10_000)


def checks(value: object) -> tuple[Check, ...]:
    """What a finished dump has to pass, in this order."""
    if not isinstance(value, list):
        raise ValueError(f'{_told(value)} is not a list; write it like ["sha256", "qemu-img check"]')  # noqa: TRY004
    return tuple(_check(each) for each in value)


def _check(value: object) -> Check:
    written = text(value)
    try:
        words = tuple(shlex.split(written))
    except ValueError as error:
        raise ValueError(f"{written!r} is not a command: {str(error).lower()}") from None
    if not words:
        raise ValueError(f'{written!r} is not a command; write it like "zstd -t"')
    own = [*SIZE, *SHA256]
    if len(words) == 1 and words[0] not in own and (right := did_you_mean(words[0], own, '"{}"')):
        raise ValueError(f"{written!r} is not known here{right}")
    return words


def _count(value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{_told(value)} is not a whole number from {least} to {most}; write it without quotes")
    return value


def _told(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "an empty list" if value == [] else "a section" if isinstance(value, dict) else repr(value)
