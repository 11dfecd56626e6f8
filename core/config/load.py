"""Finds, reads and checks ``config.toml``.

Whatever is wrong is told at once, one line for each mistake:

    config.toml:12: [limit] dayly: unknown key, did you mean `daily`?
"""

import errno
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli

from core.config.errors import ConfigError, Problem
from core.config.lines import Lines
from core.config.settings import Config
from core.errors import UsageError

#: Where the configuration is looked for when no ``--config`` names it, in this order.
PLACES = (Path("config.toml"), Path("/etc/tidegate/config.toml"))


def find(explicit: Path | None) -> Path:
    """The configuration file: ``explicit``, else the first of PLACES that is there. Raises UsageError."""
    if explicit is not None:
        return explicit
    for place in PLACES:
        if not _is_absent(place):
            return place
    raise UsageError(
        f"no configuration: neither {PLACES[0].absolute()} nor {PLACES[1]} exists; name one with --config FILE"
    )


def _is_absent(place: Path) -> bool:
    """What this user may not look at is taken to be there: that it cannot be read is said by whoever reads it."""
    try:
        place.stat()
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False


def load(file: Path, *, preflight: bool = True, waits: bool = False) -> Config:
    """The configuration in ``file``. Raises ConfigError with every mistake.

    With ``surroundings`` the folders are looked at as well, by real test links (DESIGN 7);
    a command that only shows what is in the state file does without. With ``waits`` a watch folder may be away:
    the service waits for its disk.
    """
    text = _text(file)
    document = _document(file, text)
    config, problems = _read(document, file.absolute(), preflight=preflight)
    if waits:
        problems = [problem for problem in problems if not problem.may_pass]
    if config is None or problems:
        raise ConfigError(_told(file, Lines(text), document, problems))
    return config


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise ConfigError([f"{file}: does not exist; name another with --config FILE"]) from None
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {(error.strerror or str(error)).lower()}"]) from None
    try:
        # "sig": an editor's byte order mark says nothing here.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise ConfigError([f"{file}:{line}: not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"]) from None


def _document(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:]
        raise ConfigError([f"{file}:{error.lineno}:{error.colno}: not TOML: {what}"]) from None


def _read(document: dict[str, Any], file: Path, *, preflight: bool) -> tuple[Config | None, list[Problem]]:
    """The configuration, None where a key is wrong; and every problem, those of the folders included."""
    # Lazily: pydantic costs more to import than most commands take.
    from pydantic import ValidationError

    from core.config import build, messages, rules, tables

    # A section that is not there misses the same keys as an empty one, and the keys are what is told.
    whole = {"state": {}, "limit": {}, "offsite": {}, **document}
    config, problems = None, []
    try:
        config = build.config(tables.Document.model_validate(whole), file)
    except ValidationError as error:
        problems = messages.problems(error)
    return config, problems + rules.between_keys(whole, file.parent, preflight=preflight)


def _told(file: Path, lines: Lines, document: dict[str, Any], problems: list[Problem]) -> Iterator[str]:
    """The lines for the admin, in the order of the file; what belongs to no line comes last."""
    from core.config.messages import label

    for problem in sorted(problems, key=lambda problem: lines[problem.place] or math.inf):
        line = lines[problem.place]
        where = f"{file}:{line}" if line else f"{file}"
        yield f"{where}: {label(problem.place, document)}: {problem.text}"
