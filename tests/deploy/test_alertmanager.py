"""The shipped configuration of a real Alertmanager: who is told what, and what a greater trouble makes quiet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import programs, rules
from tests.deploy.programs import Alertmanager

pytestmark = pytest.mark.slow

HOST = {"job": "tidegate", "instance": "host:9877"}
OTHER = {"job": "tidegate", "instance": "other:9877"}


def alert(name: str, host: dict[str, str], **labels: str) -> dict[str, str]:
    """Its labels as Prometheus sends them."""
    return {"alertname": name, "severity": rules.alerts()[name]["severity"], **host, **labels}


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    """As the README tells to configure it, with addresses at which nobody listens."""
    configuration = rules.snippet("alertmanager.yml").replace("127.0.0.1:8080", "127.0.0.1:9")
    with programs.alertmanager(tmp_path, configuration) as running:
        yield running


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
    """What is muted when it is ``expected``, waited for: a thread of its own hears of the greater trouble."""
    programs.await_true(lambda: manager.muted() == expected, lambda: str(manager.known()))
    return manager.muted()
