"""The shipped configuration of a real Alertmanager: who is told what, and what a greater trouble makes quiet."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import rules
from tests.privileges import needs_root
from tests.service.running import free_port

PROGRAM = "prometheus-alertmanager"
HOST = {"job": "tidegate", "instance": "host:9877"}
OTHER = {"job": "tidegate", "instance": "other:9877"}
#: Debian's Alertmanager does not start without.
TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
PATIENCE = 20.0


def alert(name: str, host: dict[str, str], **labels: str) -> dict[str, str]:
    """Its labels as Prometheus sends them."""
    return {"alertname": name, "severity": rules.alerts()[name]["severity"], **host, **labels}


class Alertmanager:
    """One that runs on the loopback."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: object = None) -> bytes:
        """GET, or POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def told(self, *alerts: dict[str, str]) -> None:
        """As if they fired now."""
        self.ask("/api/v2/alerts", [{"labels": one} for one in alerts])

    def known(self) -> list[dict[str, Any]]:
        """What it says of each alert."""
        return list(json.loads(self.ask("/api/v2/alerts")))

    def muted(self) -> list[tuple[str, str, str]]:
        """Alert, host, VM of those of which nobody is told."""
        quiet = [one["labels"] for one in self.known() if one["status"]["inhibitedBy"]]
        return sorted((one["alertname"], one["instance"], one.get("vm", "")) for one in quiet)


def snippet() -> str:
    """The configuration in the README, with addresses at which nobody listens."""
    text = (rules.FOLDER / "README.md").read_text()
    (found,) = re.findall(r"`alertmanager\.yml`.*?```yaml\n(.*?)```", text, flags=re.DOTALL)
    return str(found).replace("127.0.0.1:8080", "127.0.0.1:9")


def somewhere_else() -> list[str]:
    """Where it is not installed: what it reads in /usr/share is mounted there for it alone."""
    if TEMPLATES.exists():
        return []
    needs_root("sys_admin")
    mount = f'mount --bind "{rules.ROOT}/build/share" /usr/share && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


def await_ready(manager: Alertmanager, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            manager.ask("/-/ready")
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    if shutil.which(PROGRAM) is None:
        assert not os.environ.get("CI"), f"{PROGRAM} is missing, and nobody would ever notice that"
        pytest.skip(f"{PROGRAM} is missing; `make test` fetches it")
    file, log, port = tmp_path / "alertmanager.yml", tmp_path / "log", free_port()
    file.write_text(snippet())
    words = [
        *somewhere_else(),
        PROGRAM,
        f"--config.file={file}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with log.open("wb") as told, subprocess.Popen(words, stdout=told, stderr=told) as process:
        try:
            manager = Alertmanager(port)
            await_ready(manager, process, log)
            yield manager
        finally:
            process.kill()


def test_what_a_greater_trouble_explains_is_not_told(alertmanager: Alertmanager) -> None:
    """And other hosts, other VMs, and what is critical by itself are told."""
    alertmanager.told(
        alert("TidegateManyVmsStale", HOST),
        alert("TidegateVmStale", HOST, vm="vm1"),
        alert("TidegateRecoveryPointOld", HOST, vm="vm2"),
        alert("TidegateDumpFailed", HOST, vm="vm1"),
        alert("TidegateVmStale", OTHER, vm="vm1"),
        alert("TidegateVmStale", OTHER, vm="vm2"),
        alert("TidegateRecoveryPointOld", OTHER, vm="vm2"),
    )
    expected = [
        ("TidegateRecoveryPointOld", "host:9877", "vm2"),
        ("TidegateVmStale", "host:9877", "vm1"),
        ("TidegateVmStale", "other:9877", "vm2"),
    ]
    assert once(alertmanager, expected) == expected


def test_of_a_host_whose_service_is_gone_only_what_is_critical_is_told(alertmanager: Alertmanager) -> None:
    alertmanager.told(
        alert("TidegateServiceGone", HOST),
        alert("TidegateDumpFailed", HOST, vm="vm1"),
        alert("TidegatePullerDown", HOST),
        alert("TidegateDumpFailed", OTHER, vm="vm1"),
        alert("TidegateWatchdog", {}),
    )
    expected = [("TidegateDumpFailed", "host:9877", "vm1")]
    assert once(alertmanager, expected) == expected


def test_the_one_that_fires_always_goes_to_the_dead_mans_switch_alone(alertmanager: Alertmanager) -> None:
    alertmanager.told(alert("TidegateWatchdog", {}), alert("TidegatePullerDown", HOST))
    receivers = {
        one["labels"]["alertname"]: [receiver["name"] for receiver in one["receivers"]] for one in alertmanager.known()
    }
    assert receivers == {"TidegateWatchdog": ["dead-mans-switch"], "TidegatePullerDown": ["admin"]}


def once(manager: Alertmanager, expected: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """What is muted as soon as it is ``expected``, or at last: a thread of its own hears of the greater trouble."""
    deadline = time.monotonic() + PATIENCE
    while (muted := manager.muted()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return muted
