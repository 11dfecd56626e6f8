"""Whatever is done to a real folder, in whatever order, the state ends as a scan of the folder alone would say."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.enums import DumpState
from tests.watcher.place import Place
from watcher.observation import OBSERVED_REASONS

#: A dump that is a file; one that is a file or a folder; and one that lies in that folder.
PATHS = ("vm1", "vm2", "vm2/inner")
DECIDED = [DumpState.RELEASED, DumpState.LINKED, DumpState.CONFIRMED, DumpState.SUPERSEDED, DumpState.PENDING]
#: Thousands of transactions, each of which waits for a disk elsewhere.
MEMORY = Path("/dev/shm")
#: Where a folder with that dump in it trades names with the file.
MOVED = "vm1/inner"
RELEASED_BYTES = {DumpState.RELEASED, DumpState.LINKED}

names = st.sampled_from(PATHS)
kinds = st.sampled_from(["done", "failed", "running"])
bodies = st.sampled_from(["", "{}", '{"vm": "web"}', '{"size": 1}', "no", "{"])
contents = st.sampled_from([b"", b"1", b"22"])


class Folder(RuleBasedStateMachine):
    """File operations, decisions of a policy, and scans, mixed at random."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.place = Place(self.folder)
        self.place.dump("something-else")  # a watch folder without any entry counts as not mounted
        self.is_scanned = False

    def teardown(self) -> None:
        self.place.state.close()
        shutil.rmtree(self.folder)

    def path(self, name: str) -> Path:
        """The path of a dump that is about to change, the way to it a folder."""
        self.is_scanned = False
        path = self.place.dumps / name
        if path.parent.is_file():
            path.parent.unlink()
        path.parent.mkdir(exist_ok=True)
        return path

    @rule(name=names, content=contents)
    def dump(self, name: str, content: bytes) -> None:
        """Written aside and renamed, or, where it is a folder, a file in it."""
        path = self.path(name)
        self.place.dump(f"{name}/disk" if path.is_dir() else name, content)

    @rule(name=names, content=contents)
    def rewrite_in_place(self, name: str, content: bytes) -> None:
        path = self.path(name)
        if path.is_file():
            path.write_bytes(content)

    @rule(name=names, kind=kinds, body=bodies)
    def mark(self, name: str, kind: str, body: str) -> None:
        self.path(name)
        self.place.mark(name, kind, body)

    @rule(name=names, body=bodies)
    def finish(self, name: str, body: str) -> None:
        """What most scripts do: a new dump and its marker."""
        self.dump(name, b"1")
        self.mark(name, "done", body)

    @rule(name=names, state=st.sampled_from(DECIDED))
    def finish_and_decide(self, name: str, state: DumpState) -> None:
        """A dump that is recorded at once, and let out by the next pass."""
        self.finish(name, "")
        self.look_at_one(name)
        self.decide(name, state)

    @rule(name=names, kind=kinds)
    def remove_marker(self, name: str, kind: str) -> None:
        self.path(name).with_name(f"{Path(name).name}.{kind}").unlink(missing_ok=True)

    @rule(name=names)
    def remove_dump(self, name: str) -> None:
        path = self.path(name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @rule()
    def swap(self) -> None:
        """Two dumps trade names: a dump comes back to a name that another one had."""
        one, other = self.path("vm1"), self.path("vm2")
        if one.exists() and other.exists():
            one.rename(one.with_name(".kept"))
            other.rename(one)
            one.with_name(".kept").rename(other)

    @rule(name=names, state=st.sampled_from(DECIDED))
    def decide(self, name: str, state: DumpState) -> None:
        """A policy decides on what waits, and ends what it has let out."""
        rows = self.place.rows(name)
        if rows and rows[-1].fingerprint and rows[-1].reason is None:
            waits = rows[-1].state is DumpState.PENDING
            if waits or (rows[-1].state in RELEASED_BYTES and state is not DumpState.PENDING):
                self.place.decide(name, state)

    @rule(retry=st.booleans())
    def scan(self, retry: bool) -> None:
        self.place.scan(retry=retry)
        self.is_scanned = True

    @rule(name=names)
    def look_at_one(self, name: str) -> None:
        """As after an event: this one alone, at any time."""
        self.place.record([name])

    @invariant()
    def one_row_of_a_path_has_the_markers_and_one_at_most_waits(self) -> None:
        for name in PATHS:
            rows = self.place.rows(name)
            assert sum(row.has_marker for row in rows) <= 1
            assert sum(row.ended_at is None and row.state not in RELEASED_BYTES for row in rows) <= 1

    @invariant()
    def what_may_leave_has_files_and_what_may_not_has_a_reason(self) -> None:
        for row in (row for name in PATHS for row in self.place.rows(name)):
            if row.state is DumpState.PENDING:
                assert bool(row.fingerprint) or row.reason in OBSERVED_REASONS

    @precondition(lambda self: self.is_scanned)
    @invariant()
    def after_a_scan_the_state_says_what_the_folder_says(self) -> None:
        assert self.place.standing() == {name for name in (*PATHS, MOVED) if self.place.look(name).signature}

    @precondition(lambda self: self.is_scanned)
    @invariant()
    def scanned_again_nothing_changes(self) -> None:
        before = self.place.everything(), self.place.results()
        self.place.scan(retry=True)
        assert (self.place.everything(), self.place.results()) == before


TestFolder = Folder.TestCase
TestFolder.settings = settings(max_examples=60, stateful_step_count=30)
