"""What stands in ``[sync]``: where the export trees are pushed to, and with which words.

Each function raises ValueError with a sentence that says what would be right.
"""

import re

from core.config import types

_PLACEHOLDER = "{watch}"
#: rsync's own rule: a colon before the first slash makes it a host's.
_OF_A_HOST = re.compile(r"[^/]*:")
_TAKES_A_VALUE = "BTfM"

#: Set by Tidegate itself, or: what they leave out would be held to have arrived.
_REFUSED = frozenset(
    (
        *("--rsh", "--partial-dir", "--out-format", "--log-format", "--log-file", "--log-file-format", "--stats"),
        *("--human-readable", "--progress", "--info", "--quiet", "--files-from", "--from0", "--relative"),
        *("--dry-run", "--list-only", "--write-batch", "--only-write-batch", "--read-batch", "--delay-updates"),
        *("--size-only", "--ignore-existing", "--existing", "--ignore-non-existing", "--update", "--compare-dest"),
    )
)
#: What they do to the dumps here, or to the storage's last good copy.
_HARMFUL = frozenset(("--remove-source-files", "--remove-sent-files", "--inplace", "--append", "--append-verify"))
_REFUSED_LETTERS = frozenset("enhPqRu0")


def destination(value: object) -> str:
    """What rsync takes as its destination; ``{watch}`` in it stands for the watch folder's name."""
    written = types.text(value)
    if written.startswith("-"):
        raise ValueError(f"{written!r} begins with a dash; rsync would take it for an option")
    bare = written.replace(_PLACEHOLDER, "")
    if "{" in bare or "}" in bare:
        raise ValueError(f"{written!r}: of the words in braces only {_PLACEHOLDER} is known")
    if bare.startswith("~"):
        raise ValueError(f"{written!r}: ~ is not understood here; write the whole path")
    return written


def is_of_a_host(written: str) -> bool:
    """Whether the destination lies on a host, and not in a folder of this one."""
    return _OF_A_HOST.match(written) is not None


def is_over_ssh(written: str) -> bool:
    """Whether rsync starts its remote shell for it, and does not speak to a daemon."""
    return is_of_a_host(written) and "::" not in written and not written.startswith("rsync://")


def options(value: object) -> tuple[str, ...]:
    """Options for rsync beside those that Tidegate sets."""
    found = words(value)
    for word in found:
        if not word.startswith("-") or word in ("-", "--"):
            raise ValueError(f'{word!r} is not an option; write it as one word, like "--bwlimit=10M"')
        long = word.partition("=")[0]
        if long in _HARMFUL:
            raise ValueError(f"{word!r} endangers dumps or the last good copy; leave it out")
        if long in _REFUSED or (not word.startswith("--") and _letters(word) & _REFUSED_LETTERS):
            raise ValueError(f"{word!r} is set by Tidegate, or would hide what did not arrive; leave it out")
    return found


def words(value: object) -> tuple[str, ...]:
    """A list of words."""
    if not isinstance(value, list):
        raise ValueError(f'{value!r} is not a list; write it like ["ssh", "-p", "2222"]')  # noqa: TRY004
    return tuple(types.text(word) for word in value)


def command(value: object) -> tuple[str, ...]:
    """A list of words of which the first is a program."""
    if not (found := words(value)):
        raise ValueError('is empty; write it like ["ssh", "-p", "2222"]')
    return found


def _letters(word: str) -> set[str]:
    """Of ``-avB4096`` those that are options."""
    letters = word[1:]
    end = next((at for at, letter in enumerate(letters) if letter in _TAKES_A_VALUE), len(letters))
    return set(letters[: end + 1])
