"""File names as they come from a disk: any bytes. What may be shown, and what may be taken as a name."""

import os

_MAX_NAME_BYTES = 255


def printable(name: str) -> str:
    """``name`` with control characters and undecodable bytes escaped, safe for a terminal, a log and JSON."""
    if name.isprintable():  # nearly every name, and all at once
        return name
    return "".join(
        character if character.isprintable() or character == " " else _escape(character) for character in name
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that surrogateescape carried over
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def is_clean(name: str) -> bool:
    """True when ``name`` is UTF-8 and holds no control character: such a name may be linked and shown as it is."""
    if name.isprintable():  # then there is neither a control character nor an undecodable byte in it
        return True
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in name)


def is_single_component(name: str) -> bool:
    """True when ``name`` can be one visible entry of a folder: no slash, no leading dot or dash."""
    return (
        bool(name)
        and is_clean(name)
        and "/" not in name
        and name[0] not in ".-"
        and len(os.fsencode(name)) <= _MAX_NAME_BYTES
    )
