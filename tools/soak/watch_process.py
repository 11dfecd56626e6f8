"""The real `tidegate watch` on a host of its own: started, stopped and killed from outside."""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.host import ROOT
from tools.soak.marking_tools import Tools
from tools.soak.state_reader import StateFile
from tools.soak.writer import Place

_CONFIG = """\
[state]
path = "state.db"
[limit]
daily = "1 MB"
[offsite]
storage = "mirror"
confirm = "report"
[day]
at_least = "0s"
"""
_WATCH = """\
[[watch]]
path = "{0}"
scan_interval = "{1}s"
"""
#: What was seen is recorded before it ends; on a machine with other work that may take its time.
_END_SECONDS = 60.0


class Service:
    """``folder/config.toml``, ``folder/state.db``, its watch folders in ``folder``, and the process."""

    def __init__(self, folder: Path, watches: Sequence[str], scan_seconds: int) -> None:
        self.name = folder.name
        self.folder = folder
        self.state = folder / "state.db"
        self.log = folder / "log"
        self.endings: Counter[int] = Counter()
        self.unasked: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "elsewhere").mkdir(parents=True)
        for watch in watches:
            (folder / watch).mkdir()
        tables = (_WATCH.format(watch, scan_seconds) for watch in watches)
        (folder / "config.toml").write_text(_CONFIG + "".join(tables))

    def place(self, watch: str) -> Place:
        """For the writers into one watch folder."""
        tools = Tools(self.folder / "elsewhere", self._words())
        return Place(self.name, watch, self.folder / watch, self.state, tools)

    def start(self) -> None:
        """Starts the service; its log goes on."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*die_with_parent(), *self._words(), "watch"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the running process."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        """Ends the process by a signal and waits for it."""
        if self.process.poll() is not None:
            self.unasked.append(self.process.returncode)
            return
        self.process.send_signal(number)
        try:
            self.endings[self.process.wait(_END_SECONDS)] += 1
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.unasked.append(-signal.SIGALRM)  # it did not end in time

    def run(self, *words: str) -> int:
        """A command on the same host, to its end. Returns its exit code; its output goes to the log."""
        with self.log.open("ab") as log:
            done = subprocess.run([*self._words(), *words], cwd=ROOT, stdout=log, stderr=log, check=False)
        return done.returncode

    def traces(self) -> int:
        """How many traces of bugs stand in its log."""
        return self.log.read_bytes().count(b"Traceback (most recent call last)")

    def kill(self) -> None:
        """Ends it whatever it does, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The last one that was started."""
        assert self._process is not None
        return self._process

    # --- what its state tells in the end

    def seen(self) -> StateFile:
        """A reader of its state."""
        return StateFile(self.state)

    def counter(self, name: str) -> int:
        """One of the totals that it keeps."""
        return self.seen().count("select sum(value) from counter where name = ?", name)

    def released(self) -> int:
        """Dumps that were linked."""
        return self.seen().count("select count(*) from link where linked_at is not null")

    def ended(self) -> int:
        """Dumps whose end is recorded and whose markers are gone."""
        query = "select count(*) from dump where state in ('confirmed', 'superseded') and not has_marker"
        return self.seen().count(query)

    def _words(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "tidegate", "--config", str(self.folder / "config.toml"))


def die_with_parent() -> list[str]:
    """Begins a command that does not outlive who started it, even if he is killed."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
