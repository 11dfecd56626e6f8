"""A terminal of a given size with a program in it."""

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
#: Such a variable of the tests' own environment would speak in the program's.
_SPEAK_OF_TERMINALS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TERM")
_IO_TIMEOUT_SECONDS = 60.0


class Terminal:
    """``command`` in a terminal of its own, which never scrolls anything away."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        told = {key: value for key, value in os.environ.items() if key not in _SPEAK_OF_TERMINALS}
        told |= {"TERM": "xterm", **(environment or {})}
        self.ours, theirs = pty.openpty()
        self.resize(columns, lines)
        # The terminal is the one of its session, so that it hears of keys and of another size.
        own = ["setsid", "--ctty", *command]
        self.process = subprocess.Popen(own, stdin=theirs, stdout=theirs, stderr=theirs, env=told)
        os.close(theirs)
        self.text = ""

    def resize(self, columns: int, lines: int) -> None:
        """The window gets another size."""
        termios.tcsetwinsize(self.ours, (lines, columns))

    def wait_for(self, said: str, *, beyond: int = 0) -> int:
        """Until the program has written this after the first ``beyond`` characters; the place where it ends."""
        until = time.monotonic() + _IO_TIMEOUT_SECONDS
        while said not in self.text[beyond:]:
            assert self._read(until), f"never said {said!r}: {self.text!r}"
        return self.text.index(said, beyond) + len(said)

    def press(self, keys: bytes) -> None:
        """What a hand types."""
        os.write(self.ours, keys)

    def end(self) -> int:
        """All that it writes until it ends; its exit code."""
        until = time.monotonic() + _IO_TIMEOUT_SECONDS
        while self._read(until):
            pass
        os.close(self.ours)
        return self.process.wait(_IO_TIMEOUT_SECONDS)

    def _read(self, until: float) -> bool:
        ready, _, _ = select.select([self.ours], [], [], max(0.0, until - time.monotonic()))
        try:
            read = os.read(self.ours, 1 << 16) if ready else b""
        except OSError:  # EIO: nobody has the other side any more
            read = b""
        self.text += read.decode().replace("\r\n", "\n")
        return bool(read)


def shown(
    command: Sequence[str],
    *,
    columns: int = 80,
    lines: int = 24,
    environment: Mapping[str, str] | None = None,
    code: int = 0,
) -> str:
    """What a program writes into a terminal, until it ends with ``code``."""
    terminal = Terminal(command, columns=columns, lines=lines, environment=environment)
    assert terminal.end() == code, terminal.text
    return terminal.text


def plain(text: str) -> list[str]:
    """The lines without their colours. Whatever else stands in them stays."""
    return _STYLE.sub("", text).splitlines()
