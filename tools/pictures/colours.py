"""Two themes, and what the dashboard's names of colours look like in each."""

from collections.abc import Mapping
from typing import NamedTuple


class Theme(NamedTuple):
    """Ground, panels and their borders, words, words that are less, lines of a grid; name of a colour -> colour."""

    ground: str
    panel: str
    border: str
    words: str
    less: str
    grid: str
    named: Mapping[str, str]

    def colour(self, name: str) -> str:
        """Names that are not known are colours themselves."""
        return self.named.get(name, name)

    def nth(self, number: int) -> str:
        """For a series of which nobody has said anything."""
        return self.colour(_ORDER[number % len(_ORDER)])


_ORDER = ("green", "yellow", "light-blue", "orange", "red", "blue", "purple", "teal")

LIGHT = Theme(
    "#f4f5f5",
    "#ffffff",
    "#e1e3e6",
    "#24292e",
    "#6b7077",
    "#e9ebee",
    {
        "green": "#56a64b",
        "yellow": "#e0b400",
        "orange": "#ff780a",
        "red": "#e02f44",
        "blue": "#3274d9",
        "light-blue": "#8ab8ff",
        "purple": "#a352cc",
        "teal": "#3aa6a0",
    },
)
DARK = Theme(
    "#111217",
    "#181b1f",
    "#2b2e34",
    "#d6d8de",
    "#8e9097",
    "#26292f",
    {
        "green": "#73bf69",
        "yellow": "#f2cc0c",
        "orange": "#ff9830",
        "red": "#f2495c",
        "blue": "#5794f2",
        "light-blue": "#8ab8ff",
        "purple": "#b877d9",
        "teal": "#5ac8c2",
    },
)
THEMES = {"light": LIGHT, "dark": DARK}
