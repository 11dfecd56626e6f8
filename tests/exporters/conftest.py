"""What the tests of the exporters stand on: a configuration, a state filled by hand, and texts to compare with.

``RENEW=1 pytest tests/exporters`` writes those texts anew; look at the difference before committing it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import exporters.exposition
from core.clock import Clock, Instant
from core.config.load import read
from core.config.settings import Config
from core.state.database import State
from exporters.exposition import Exposition
from exporters.server import HttpServer
from tests.exporters.client import serving
from tests.exporters.filled import DAY, START, fill


@pytest.fixture
def config(tmp_path: Path) -> Config:
    watches = [{"path": f"/srv/{name}", "layout": "{vm}", "min_free": "10 kB"} for name in ("dumps", "second")]
    document = {
        "state": {"path": "state.db"},
        "watch": watches,
        "limit": {"daily": "10 GB"},
        "day": {"timezone": "UTC"},
        "pass": {"at": "12:00"},
        "offsite": {"storage": "mirror"},
        "exporters": {"http": {"listen": "127.0.0.1:1"}},
    }
    config, problems = read(document, tmp_path / "config.toml")
    assert not problems
    return config


@pytest.fixture
def state(config: Config) -> Iterator[State]:
    """A new state: nothing ever happened."""
    state = State(config.state.path)
    yield state
    state.close()


@pytest.fixture
def filled(state: State) -> State:
    """A state with something in every table that is exported."""
    with state.write() as connection:
        fill(connection)
    return state


#: When the texts are made.
NOW = START + 4 * DAY


class SteppingClock:
    """Each look at it is a quarter of a second after the one before."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def now(self) -> Instant:
        self._seconds += 0.25
        return Instant(NOW + self._seconds, "boot", self._seconds)

    def pass_by(self, seconds: float) -> None:
        """As if nobody had looked at it for so long."""
        self._seconds += seconds


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def exposition(filled: State, clock: Clock) -> Iterator[Exposition]:
    """Of the filled state."""
    exposition = Exposition(filled, clock)
    yield exposition
    exposition.close()


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> str:
    """A release changes no text to compare with."""
    monkeypatch.setattr(exporters.exposition, "__version__", "1.2.3")
    return "1.2.3"


@pytest.fixture
def same_as() -> Callable[[Path, str], None]:
    """Compares a text with the one that a file holds, or renews the file."""

    def compare(path: Path, text: str) -> None:
        if os.environ.get("RENEW"):
            path.write_text(text)
        assert text == path.read_text()

    return compare


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with serving(lambda: b"x 1\n") as server:
        yield server
