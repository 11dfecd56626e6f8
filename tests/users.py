"""Tests as another user: root may do everything, and most mistakes of permission are made by others.

In this process, or in one that has exactly the capabilities which a service unit gives.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.host import ROOT
from tests.real_parts import cannot, needs_program, needs_root

NOBODY = 65534


@contextlib.contextmanager
def as_nobody() -> Iterator[int]:
    """Runs the block as a user who owns nothing, and gives its uid; without root, as the one who runs the tests."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    os.seteuid(NOBODY)
    try:
        yield NOBODY
    finally:
        os.seteuid(0)


def open_the_way(folder: Path) -> None:
    """Lets everybody go to ``folder``: pytest's own folders around it are closed to others."""
    names = [parent.name.startswith("pytest-of-") for parent in folder.parents]
    for parent in folder.parents[: names.index(True) + 1]:  # what is around that one is not ours to open
        parent.chmod(parent.stat().st_mode | 0o055)


def needs_capabilities(*capabilities: str) -> None:
    """Says that the test cannot be where nobody can become another user with these capabilities."""
    needs_root("to become another user")
    needs_program("setpriv")
    tried = subprocess.run([*become(*capabilities), "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        cannot(tried.stderr.strip())


def become(*capabilities: str, uid: int = NOBODY, groups: Iterable[int] = ()) -> list[str]:
    """The words before a command that is to run as user and group ``uid``, with these capabilities and no others."""
    only = ",".join(["-all", *(f"+{one}" for one in capabilities)])
    listed = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", *listed]
    return [*user, f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]


def as_user(
    command: Sequence[str], *capabilities: str, uid: int = NOBODY, groups: Iterable[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs ``command`` as ``become`` says."""
    return subprocess.run(
        [*become(*capabilities, uid=uid, groups=groups), *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
