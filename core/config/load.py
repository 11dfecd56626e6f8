"""Finds, reads and checks ``config.toml``. Whatever is wrong is reported at once, one line for each mistake."""

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli

from core.config import rules
from core.config.messages import ConfigError, Messages, Problem
from core.config.section import Reader
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
    """What this user may not look at is taken to be there: whoever reads it reports that it cannot be read."""
    try:
        place.stat()
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False


def load(file: Path, *, preflight: bool = True, waits: bool = False) -> Config:
    """The configuration in ``file``. Raises ConfigError with every mistake.

    With ``preflight`` the folders are looked at as well, by real test links; a command that only shows what is in the
    state file does without. With ``waits`` a watch folder may be absent: the service waits for its disk.
    """
    text = _text(file)
    document = _document(file, text)
    config, problems = read(document, file.absolute())
    problems += rules.problems(config, preflight=preflight)
    problems = [problem for problem in problems if not (waits and problem.may_pass)]
    if problems:
        raise ConfigError(Messages(Config, document).lines(file, text, problems))
    return config


def read(document: Mapping[str, Any], file: Path) -> tuple[Config, list[Problem]]:
    """The configuration of a document, and what is wrong with its keys. ``file`` is absolute."""
    reader = Reader(file.parent, Messages(Config, document))
    return reader.read(Config, document).of(file), reader.problems


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise ConfigError([f"{file}: does not exist; name another with --config FILE"]) from None
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {(error.strerror or str(error)).lower()}"]) from None
    try:
        # "sig": without an editor's byte order mark.
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
