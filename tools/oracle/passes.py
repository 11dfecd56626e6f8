"""What is kept of each pass: the admin's commands run as always, and after each pass the host is looked at."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.acceptance.given_time import AtGivenTime
from tests.clock import GivenClock
from tests.host import Host
from tools.oracle import terms

#: One pass: section -> its list, or its mapping of names to plain values; and ``at``, the given time.
Pass = Mapping[str, Any]


class RecordingAdmin(AtGivenTime):
    """Runs commands like ``AtGivenTime``, and appends what came of each pass to ``passes``."""

    def __init__(self, host: Host, clock: GivenClock) -> None:
        super().__init__(host, clock)
        self.passes: list[Pass] = []

    def run(self, *arguments: str, code: int = 0) -> str:
        """What the command prints; a pass always prints its JSON."""
        if arguments[0] != terms.PASS:
            return super().run(*arguments, code=code)
        json = () if terms.JSON in arguments else (terms.JSON,)
        printed = super().run(*arguments, *json, code=code)
        self.passes.append(self._look(printed))
        return printed

    def _look(self, printed: str) -> Pass:
        decided = terms.of_pass(printed)
        status = terms.of_status(super().run(*terms.STATUS))
        return {
            "at": datetime.fromtimestamp(self.clock.wall, UTC).isoformat(),
            **decided._asdict(),
            **status._asdict(),
            "tree": terms.of_tree(self.host.tree),
            "metrics": terms.of_metrics(super().run(*terms.METRICS_TEXT)),
        }
