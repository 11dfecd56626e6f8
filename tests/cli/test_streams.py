"""What a command prints can fail: its work goes on, and its exit code tells."""

import subprocess
from pathlib import Path

import pytest

from tests.host import ROOT, Host


@pytest.mark.parametrize("words", [["pass"], ["plan"], ["status"], ["sync-started"], ["check"]], ids=lambda one: one[0])
@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        pytest.param(">/dev/full", 3, id="full"),
        pytest.param(">&-", 3, id="closed"),
        pytest.param("</dev/null | true", 0, id="reader gone"),
    ],
)
def test_a_command_whose_output_fails_does_its_work_and_leaves_no_trace(
    words: list[str], redirection: str, code: int, tmp_path: Path
) -> None:
    host = Host(tmp_path)
    host.dump("vm1", 10)
    command = f'set -o pipefail; "$@" {redirection}'
    done = subprocess.run(
        ["bash", "-c", command, "bash", *host.command(*words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    assert ("not all output could be written" in done.stderr) is (code == 3)
    if words == ["pass"]:
        assert host.exported() == {"vm1": 10}
