"""Commands as a user who is not root, with exactly the capabilities that a service unit gives."""

import os
import subprocess
from collections.abc import Iterable, Sequence

from tests.host import ROOT
from tests.real_parts import cannot, needs_program, needs_root
from tests.users import NOBODY


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
