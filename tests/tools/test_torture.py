"""A short torture: some points of each kind, and each deliberate defect. `make torture` tries them all."""

import re
import subprocess
import sys

import pytest

from tests.host import ROOT
from tests.real_parts import needs_root

pytestmark = pytest.mark.slow


def test_some_points_of_each_kind_violate_nothing_and_each_deliberate_defect_is_caught() -> None:
    """Kills, errors, power cuts, two at once, a wrong clock; a missing fsync is seen by a power cut on btrfs."""
    needs_root("a mount")
    words = [sys.executable, "-m", "tools.torture", "--short"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    tried = re.findall(r"\| (\d+) \| \*\*0\*\* \|", done.stdout)
    assert [int(count) for count in tried] == [24, 24, 9, 12, 2]
