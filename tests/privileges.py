"""Commands as a user who is not root, with exactly the capabilities that a service unit gives."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence

import pytest

from tests.host import ROOT
from tests.users import NOBODY


def needs_root() -> None:
    """Skips the test where we cannot become somebody else; under CI that is a failure."""
    reason = None
    if os.geteuid() != 0:
        reason = "only root can become another user"
    elif shutil.which("setpriv") is None:
        reason = "setpriv is missing (Debian's util-linux)"
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(f"this must be tested here, and cannot be: {reason}")
    if reason is not None:
        pytest.skip(reason)


def as_user(
    command: Sequence[str], *capabilities: str, uid: int = NOBODY, groups: Iterable[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs ``command`` as the user and group ``uid`` with these capabilities (``"fowner"``) and no others.

    Its environment is as a service's: nothing of root's is in the way.
    """
    only = ",".join(["-all", *(f"+{one}" for one in capabilities)])
    listed = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", *listed]
    become += [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    return subprocess.run(
        [*become, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
