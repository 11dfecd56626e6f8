"""A short soak: each disturbance once. `make soak` goes on for as long as it is told."""

import subprocess
import sys

import pytest

from tests.host import ROOT

pytestmark = pytest.mark.slow


def test_every_marker_of_a_short_soak_is_recorded_once() -> None:
    """Written in every way, through a kill, an end, overflows and remounts: none is missing, none is there twice."""
    words = [sys.executable, "-m", "tools.soak", "--minutes", "0.1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| **missing** | **0** |" in done.stdout
