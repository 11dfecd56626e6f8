"""No byte crosses that was not lent, whatever the sizes and wherever the cut; and each attempt goes on."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import FaultError
from core.state import syncs
from core.state.database import State
from policy.sync import rsync as running
from policy.sync.quota import ByteBudget
from policy.sync.rsync import Job, Ran
from tests.host import Host
from tests.push import storage

#: What a run needs for its own words before the first byte of a file can cross.
WORDS = 3000


class Line:
    """A host, a folder that is sent, and a storage that is a folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.there = folder / "storage"
        self.there.mkdir()
        host = Host(folder / "host", sync={"destination": str(self.there)})
        host.tree.mkdir()
        config = host.config()
        assert config.push is not None
        self.folder, self.tree = folder, host.tree
        self.push, self._watch = config.push, config.watches[0]
        self._state = State(host.state)
        with self._state.write() as connection:
            self._sync = syncs.add_sync(connection, day=1)
        self._attempts = 0

    def send(self, limit: int) -> Ran:
        """One run that may send so many bytes."""
        self._attempts += 1
        log = self.folder / f"log{self._attempts}"
        job = Job(self.push, self._watch, f"{self.tree}/", log)
        byte_budget = ByteBudget(self._state, self._sync, limit)
        ran = running.run(job, byte_budget, limit, lambda _: None)
        assert self.recorded() == ran.sent == byte_budget.spent
        return ran

    def recorded(self) -> int:
        with self._state.read() as connection:
            return int(connection.execute("SELECT leased_bytes FROM sync").fetchone()[0])

    def close(self) -> None:
        self._state.close()


MakeLine = Callable[[], Line]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> MakeLine:
    return lambda: Line(tmp_path_factory.mktemp("line"))


@given(
    sizes=st.lists(st.integers(0, 400_000), min_size=1, max_size=4),
    limits=st.lists(st.integers(0, 300_000), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
@settings(max_examples=12)
def test_each_attempt_sends_at_most_what_it_may_and_the_last_one_ends_it(
    line: MakeLine, sizes: list[int], limits: list[int], seed: int
) -> None:
    """However often it was cut, what arrives is what was sent."""
    here = line()
    for number, size in enumerate(sizes):
        (here.tree / f"vm{number}").write_bytes(random.Random(seed + number).randbytes(size))
    for limit in limits:
        ran = here.send(limit)
        assert ran.sent <= limit
        assert ran.was_cut == (ran.status != 0)
        assert all(path.stat().st_size in sizes for path in storage.arrived(here.there).values()), "no torso"
    last = here.send(10_000_000)
    assert (last.status, last.was_cut) == (0, False)
    assert storage.is_mirror(here.tree, here.there)
    assert storage.parts(here.there) == []
    here.close()


def test_what_was_cut_is_kept_and_not_sent_again(line: MakeLine) -> None:
    here = line()
    (here.tree / "vm1").write_bytes(os.urandom(3_000_000))
    first = here.send(1_000_000)
    assert (first.was_cut, first.sent) == (True, 1_000_000)
    [part] = storage.parts(here.there)
    assert part.stat().st_size > 800_000
    second = here.send(10_000_000)
    assert second.status == 0
    assert second.sent < 3_000_000 - part_of(first) + WORDS
    assert storage.is_mirror(here.tree, here.there)
    here.close()


def part_of(ran: Ran) -> int:
    """Of what a run has sent, what the storage has surely kept: it is written in blocks."""
    return ran.sent - 200_000


def test_what_takes_no_more_than_its_bytes_is_not_cut(line: MakeLine) -> None:
    """The end of the file is no byte."""
    lines = [line() for _ in range(3)]
    for one in lines:
        (one.tree / "vm1").write_bytes(random.Random(1).randbytes(100_000))
        for path in (one.tree / "vm1", one.tree):
            os.utime(path, (1_790_000_000, 1_790_000_000))
    needed = lines[0].send(10_000_000).sent
    enough = lines[1].send(needed + 20)  # its numbers are of varying length
    assert (enough.status, enough.was_cut) == (0, False)
    short = lines[2].send(needed - 100)
    assert (short.was_cut, short.sent) == (True, needed - 100)
    for one in lines:
        one.close()


def test_an_rsync_that_is_not_there_is_a_fault_and_sends_nothing(line: MakeLine) -> None:
    here = line()
    here.push = here.push.replace(rsync="/no/such/rsync")
    with pytest.raises(FaultError, match="/no/such/rsync: rsync cannot be started"):
        here.send(1000)
    assert here.recorded() == 0
    here.close()
