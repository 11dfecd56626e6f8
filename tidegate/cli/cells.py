"""Texts in cells of a terminal: some letters take two, and some none. No letter is parted from its accents.

A width is never below 2: a wide letter has no room in less.
"""

from collections.abc import Iterator, Sequence


def width_of(text: str) -> int:
    """How many cells ``text`` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, width: int, *, to_the_right: bool = False) -> str:
    """``text`` with blanks up to ``width``."""
    blanks = " " * (width - width_of(text))
    return blanks + text if to_the_right else text + blanks


def cut(text: str, width: int, mark: str) -> str:
    """``text``, or as much of its start as fits with the mark behind it."""
    if width_of(text) <= width:
        return text
    return _first(_letters(text), width - len(mark)).rstrip() + mark


def shortened(text: str, width: int, mark: str) -> str:
    """``text``, or its start and its end with the mark in between: names differ at either."""
    if width_of(text) <= width:
        return text
    room = width - len(mark)
    if text.isascii():
        return text[: room - room // 2] + mark + text[len(text) - room // 2 :]
    letters = _letters(text)
    end = _first(letters[::-1], room // 2, backwards=True)
    return _first(letters, room - room // 2) + mark + end


def folded(text: str, width: int) -> list[str]:
    """All of ``text`` in lines of ``width`` cells; at least one."""
    lines, used = [""], 0
    for letter, size in _letters(text):
        if used + size > width:
            lines.append("")
            used = 0
        lines[-1] += letter
        used += size
    return lines


def wrapped(sentence: str, width: int, indent: str = "  ") -> Iterator[str]:
    """``sentence`` in lines of ``width``, broken between words, and within one that is too long for any line."""
    line = ""
    for each in sentence.split(" "):
        longer = f"{line} {each}" if line else each
        if width_of(longer) <= width:
            line = longer
            continue
        if line.strip():
            yield line
        *whole, line = folded(indent + each, max(2, width)) if width > 2 * len(indent) else folded(each, max(2, width))
        yield from whole
    yield line


def _letters(text: str) -> Sequence[tuple[str, int]]:
    """Each letter with its accents, and its cells."""
    if text.isascii():
        return [(letter, 1) for letter in text]
    from rich.cells import split_graphemes

    return [(text[start:end], size) for start, end, size in split_graphemes(text)[0]]


def _first(letters: Sequence[tuple[str, int]], room: int, *, backwards: bool = False) -> str:
    """As many of ``letters`` as have ``room``."""
    taken: list[str] = []
    for letter, size in letters:
        if size > room:
            break
        room -= size
        taken.append(letter)
    return "".join(taken[::-1] if backwards else taken)
