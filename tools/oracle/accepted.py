"""Differences from the recordings that were asked for. All others are mistakes.

Each entry is a predicate and one sentence why. A renamed word is no difference: it belongs into ``terms.py``.
An example::

    Accepted(
        lambda one: one.section == "freshness" and one.expected == "never" and one.got == "new",
        "A VM that waits for its first copy is called new until its target has passed.",
    )
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One value that is not as recorded. ``name`` "": the section is a list. None: it is not there."""

    recording: str
    number: int
    at: str
    section: str
    name: str
    expected: Any
    got: Any


class Accepted(NamedTuple):
    """A kind of differences that were asked for."""

    holds: Callable[[Difference], bool]
    why: str


ACCEPTED: tuple[Accepted, ...] = (
    Accepted(
        lambda one: (
            one.section == "metrics" and one.name in ('tidegate_vms{state="never"}', 'tidegate_vms{state="new"}')
        ),
        "A VM that waits for its first copy is counted as new, and no more as never, until its target has passed.",
    ),
)
