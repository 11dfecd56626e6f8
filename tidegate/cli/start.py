"""Where every command starts: ``mark`` by a short way, which loads next to nothing, and all others by the long one."""

import gc
import sys
from contextlib import suppress
from typing import NoReturn

from core.errors import ExitCode, TidegateError


def main() -> NoReturn:
    """The entry point."""
    gc.disable()  # a command ends before its cycles add up, and looking for them costs it a tenth; `watch` enables it
    if sys.argv[1:2] == ["mark"]:
        _mark(sys.argv[2:])
    from tidegate.cli.main import main

    main()


def _mark(words: list[str]) -> None:
    """Returns when there is something to say: the long way comes to the same, and says it as all commands do."""
    from tidegate.cli import marking

    said = marking.understand(words)
    if said is not None:
        with suppress(TidegateError):
            marking.mark(**said)
            sys.exit(ExitCode.DONE)
