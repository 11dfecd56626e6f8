"""What a test needs of the machine: real programs, real mounts, root."""

import os
import shutil
from typing import NoReturn

import pytest


def cannot(reason: str) -> NoReturn:
    """Skips the test; under CI, where everything is to be tested, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"this must be tested here, and cannot be: {reason}")
    pytest.skip(reason)


def needs_program(name: str) -> None:
    """One that bootstrap/machine sees to."""
    if shutil.which(name) is None:
        cannot(f"{name} is missing; `make test-all` as root installs it")


def needs_root(what: str) -> None:
    """``what`` is what only root can do."""
    if os.geteuid() != 0:
        cannot(f"{what} needs root")
