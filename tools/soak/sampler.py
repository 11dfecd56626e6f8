"""Notes when each dump came to stand in a state file, by looking at it all the time from outside."""

import threading
import time
from pathlib import Path

from tools.soak.state_reader import Row, StateFile

_LOOK_SECONDS = 0.005
#: Service, watch, path, fingerprint.
Key = tuple[str, str, str, str]


class Clerk:
    """Looks at the state of one service, in a thread of its own."""

    def __init__(self, service: str, state: Path) -> None:
        self._service = service
        self._state = state
        self._first: dict[Key, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"clerk of {service}", daemon=True)
        self._thread.start()

    def first_seen(self) -> dict[Key, float]:
        """When each was first seen, in seconds since the epoch; with an empty fingerprint the path itself."""
        return dict(self._first)

    def stop(self) -> None:
        """Looks no more."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        state, version, last = StateFile(self._state), 0, 0
        while not self._stop.wait(_LOOK_SECONDS):
            if (now := state.version()) == version:
                continue
            version = now
            for row in state.rows(after=last):
                last = row.id
                self._note(row)

    def _note(self, row: Row) -> None:
        now = time.time()
        self._first.setdefault((self._service, row.watch, row.path, row.fingerprint), now)
        self._first.setdefault((self._service, row.watch, row.path, ""), now)
