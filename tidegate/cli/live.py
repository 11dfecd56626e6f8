"""``tidegate status --watch``: the same again and again, in place, on the terminal's other screen."""

import gc
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

from core.clock import Clock
from core.errors import TidegateError, UsageError
from tidegate.cli import output
from tidegate.cli.output import Screen

#: Between two looks; longer where a look works long, so that watching never costs more than a quarter of a processor.
_PAUSE_SECONDS = 2.0
_PAUSE_FOR_A_LOOK = 3

_ENTER = b"\x1b[?1049h\x1b[?25l"  # the other screen, and no cursor
_LEAVE = b"\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"

#: Given a screen, the lines of what was found.
Picture = Callable[[Screen], Iterator[str]]


def watch(look: Callable[[], Picture], clock: Clock) -> None:
    """Shows what ``look`` finds until Ctrl-C, q or SIGTERM. What it cannot find out is said, and tried again.

    Raises UsageError where stdout is no terminal.
    """
    if not sys.stdout.isatty():
        raise UsageError("status: --watch needs a terminal; without it the same is told once")
    gc.enable()
    with _signals() as woken, _other_screen(), suppress(KeyboardInterrupt):
        _Watch(look, clock, woken).run()


class _Watch:
    def __init__(self, look: Callable[[], Picture], clock: Clock, woken: int) -> None:
        self._look = look
        self._clock = clock
        self._woken = woken
        self._fault = ""
        self._picture: Picture | None = None

    def run(self) -> None:
        while True:
            used = time.process_time()
            try:
                self._picture, self._fault = self._look(), ""
            except TidegateError as error:
                self._fault = str(error)
            self._draw()
            if not self._wait(max(_PAUSE_SECONDS, _PAUSE_FOR_A_LOOK * (time.process_time() - used))):
                return

    def _wait(self, seconds: float) -> bool:
        """Until it is time for another look, or somebody asks for one; False when q is pressed."""
        until = self._clock.now().uptime + seconds
        keys = [sys.stdin.fileno()] if sys.stdin.isatty() else []
        while (left := until - self._clock.now().uptime) > 0:
            ready, _, _ = select.select([self._woken, *keys], [], [], left)
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._draw()
            elif ready:
                typed = os.read(ready[0], 4096).lower()
                return bool(typed) and b"q" not in typed
        return True

    def _draw(self) -> None:
        seen = output.screen()
        lines = list(self._lines(seen))[: seen.lines]
        sys.stdout.write(_HOME + f"{_END_OF_LINE}\n".join(lines) + _END_OF_LINE + _REST)
        sys.stdout.flush()

    def _lines(self, seen: Screen) -> Iterator[str]:
        for line in self._fault.splitlines():
            yield from output.sentence_lines(f"UNKNOWN: {line}", seen, "UNKNOWN")
        if self._fault and self._picture is not None:
            yield from output.sentence_lines("what was known before:", seen)
        if self._picture is not None:
            yield from self._picture(seen)


@contextmanager
def _signals() -> Iterator[int]:
    """A descriptor that can be read when the terminal got another size or the program goes on after Ctrl-Z.

    SIGTERM and SIGHUP end it as Ctrl-C does.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handlers = {
        signal.SIGTERM: _end,
        signal.SIGHUP: _end,
        signal.SIGINT: _end,
        signal.SIGTSTP: _stop,
        signal.SIGWINCH: _nothing,
        signal.SIGCONT: _nothing,
    }
    with ExitStack() as stack:
        stack.callback(os.close, reading)
        stack.callback(os.close, writing)
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writing, warn_on_full_buffer=False))
        for number, handler in handlers.items():
            stack.callback(signal.signal, number, signal.signal(number, handler))
        yield reading


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-Z: the shell that comes to the front finds its own screen. SIGCONT draws anew."""
    with suppress(OSError):
        os.write(sys.stdout.fileno(), _LEAVE)
    os.kill(os.getpid(), signal.SIGSTOP)
    with suppress(OSError):
        os.write(sys.stdout.fileno(), _ENTER)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The descriptor has it."""


@contextmanager
def _other_screen() -> Iterator[None]:
    """What stood on the terminal stands there again afterwards, and what is typed meanwhile is not shown."""
    keyboard: Any = None
    if sys.stdin.isatty():
        keyboard = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
    os.write(sys.stdout.fileno(), _ENTER)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal may be gone
            os.write(sys.stdout.fileno(), _LEAVE)
            if keyboard is not None:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, keyboard)
