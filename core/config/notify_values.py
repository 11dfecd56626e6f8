"""What stands in ``[notify]``: who is pinged, of what somebody is told, how long it may take.

A URL is a secret: whoever has it can say that all is well. No sentence of these shows one.
"""

import string
import urllib.parse

from core.config import types
from core.enums import Trouble

BACKUP_SET = "{backup_set}"
_LONGEST_SECONDS = 300.0
#: What may stand in a URL, and the braces of BACKUP_SET; anything else would have to be escaped.
_OF_URLS = frozenset(string.ascii_letters + string.digits + "-._~:/?[]@!$&'()*+,;=%")


def url(value: object) -> str:
    """The address of one check."""
    if isinstance(value, str) and BACKUP_SET in value:
        raise ValueError(f"{BACKUP_SET} is known in [notify.dump] alone; write the address of one check")
    return url_of_sets(value)


def url_of_sets(value: object) -> str:
    """The address of a check; with ``{backup_set}`` in it one for each set."""
    if not isinstance(value, str):
        raise ValueError("is not text; write the address in quotes")  # noqa: TRY004
    if not set(value.replace(BACKUP_SET, "")) <= _OF_URLS:
        raise ValueError("holds characters that no URL has; copy it once more, or write them as %20")
    _understand(value.replace(BACKUP_SET, "set"))
    return value


def _understand(written: str) -> None:
    """Raises ValueError for what cannot be asked."""
    try:
        parts = urllib.parse.urlsplit(written)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise ValueError('is not a URL; write it like "https://hc-ping.com/…"') from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError('is not a URL of http or https; write it like "https://hc-ping.com/…"')
    if "@" in parts.netloc:
        raise ValueError("holds a user's name or password, which is not understood; put a key into the path")


def command(value: object) -> tuple[str, ...]:
    """The words of a command."""
    if not isinstance(value, list) or not value:
        raise ValueError(
            'is not a command; write its words as a list, like ["tell-admin"]; '
            'for a shell: ["sh", "-c", "mail -s \\"$TIDEGATE_SUBJECT\\" root"]'
        )
    return tuple(map(types.text, value))


def troubles(value: object) -> frozenset[Trouble]:
    """Words of Trouble."""
    if not isinstance(value, list):
        raise ValueError('is not a list; write it like ["failed", "stale"]')  # noqa: TRY004
    return frozenset(map(types.one_of(*Trouble), value))


def timeout(value: object) -> float:
    """Seconds, at least 1: a run waits so long for its last word to arrive."""
    if not 1 <= (seconds := types.span(value)) <= _LONGEST_SECONDS:
        raise ValueError(f'{value!r} is too short or too long; write between "1s" and "5m"')
    return seconds
