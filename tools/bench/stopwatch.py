"""How long the parts of one call take: each for itself, without the other parts that it calls."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

#: Where a part is called: the module or class, and its name there.
Place = tuple[Any, str]


class Stopwatch:
    """Adds up the seconds of each part in ``took``."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self._inside: list[float] = []

    @contextmanager
    def on(self, parts: Mapping[str, Sequence[Place]]) -> Iterator[None]:
        """Times every call of the parts as long as the block runs."""
        self.took = dict.fromkeys(parts, 0.0)
        with ExitStack() as stack:
            for name, places in parts.items():
                for owner, attribute in places:
                    timed = self._timed(name, getattr(owner, attribute))
                    stack.enter_context(mock.patch.object(owner, attribute, timed))
            yield

    def _timed(self, name: str, part: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            self._inside.append(0.0)
            try:
                return part(*arguments, **named)
            finally:
                whole = time.perf_counter() - begun
                self.took[name] += whole - self._inside.pop()
                if self._inside:
                    self._inside[-1] += whole

        return call
