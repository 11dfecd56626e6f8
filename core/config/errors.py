"""What is wrong with a configuration, as lines for the admin."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import UsageError

#: Where something stands in the document: keys, and indices where a section may stand several times.
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, and what is wrong with what would be right.

    ``may_pass``: it is no mistake of the file if what it names comes back, as a disk does that is plugged in later.
    """

    place: Place
    text: str
    may_pass: bool = False


class ConfigError(UsageError):
    """Everything that is wrong with one configuration file. ``errors`` holds one line for each mistake."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))
