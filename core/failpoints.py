"""Trace points: names for the dangerous instants, so that a race is tested at its instant and no test sleeps."""

from collections.abc import Callable

#: What is called at each point; a test puts a function here that kills, swaps or notes.
hook: Callable[[str], None] | None = None


def point(name: str) -> None:
    """Here things are half done: ``name`` is which half."""
    if hook is not None:
        hook(name)
