"""From the real service, or its textfile, to somebody who is told: by real scrapes, rules and routes.

Rules, configurations and routes are those that are shipped. What differs is said by ``rules.hurried`` and ``at_once``,
and is nothing but waiting; the waiting itself is held by ``test_alerts.py``.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from core.units import format_time
from tests.clock import DAY, HOUR
from tests.deploy import programs, rules, webhook
from tests.deploy.programs import Prometheus, await_true
from tests.deploy.webhook import Notification, Webhook
from tests.host import Host
from tests.service.running import service
from tests.waiting import free_port

pytestmark = pytest.mark.slow

ADMIN, ALIVE = "/admin", "/alive"


def at_once(configuration: str) -> str:
    """The shipped route, without the half minute in which it gathers what else fires."""
    return configuration.replace("route:\n", "route:\n  group_wait: 0s\n  group_interval: 1s\n", 1)


class Chain(NamedTuple):
    """What is at its ends."""

    prometheus: Prometheus
    webhook: Webhook


@contextmanager
def chain(folder: Path, *, service: int, textfiles: Path) -> Iterator[Chain]:
    """Prometheus asks the service at this port and node_exporter each second, and Alertmanager tells the webhook."""
    with webhook.listening() as (heard, port), programs.node_exporter(folder / "node", textfiles) as node:
        routes = at_once(rules.snippet("alertmanager.yml")).replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        with programs.alertmanager(folder / "alertmanager", routes) as manager:
            asked = rules.snippet("prometheus.yml")
            for written, meant in {
                "/etc/prometheus/tidegate": str(rules.hurried(folder / "rules")),
                "127.0.0.1:9877": f"127.0.0.1:{service}",
                "127.0.0.1:9100": f"127.0.0.1:{node.port}",
                "127.0.0.1:9093": f"127.0.0.1:{manager.port}",
            }.items():
                assert written in asked
                asked = asked.replace(written, meant)
            each_second = "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n"
            # What it tells before it knows its Alertmanager is lost, and comes again after a minute else.
            again = "--rules.alert.resend-delay=5s"
            with programs.prometheus(folder / "prometheus", each_second + asked, again) as prometheus:
                yield Chain(prometheus, heard)


@pytest.fixture
def textfiles(tmp_path: Path) -> Path:
    folder = tmp_path / "textfiles"
    folder.mkdir()
    return folder


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Copies may be a day old. That of db is a day and a half old, that of mail is new."""
    listen = {"listen": f"127.0.0.1:{free_port()}"}
    host = Host(tmp_path / "host", staleness={"target": "1d"}, exporters={"http": listen})
    leaves(host, "mail", age=0)
    leaves(host, "db", age=36 * HOUR)
    return host


def leaves(host: Host, vm: str, age: float) -> None:
    """A dump that was begun ``age`` seconds ago is let out, and fetched."""
    host.dump(vm, 100, started=format_time(time.time() - age))
    host.run("pass")
    host.run("synced", "--all")


def port(host: Host) -> int:
    """At which its service answers."""
    http = host.config().exporters.http
    assert http is not None
    return http.listen[1]


def is_stale(told: Notification, vm: str) -> None:
    """All that is written of a copy with half a day too much."""
    assert told.labels["vm"] == vm
    assert told.labels["severity"] == "warning"
    assert told.annotations["runbook_url"] == f"{rules.RUNBOOKS}/TidegateVmStale.md"
    assert re.fullmatch(
        rf"The off-site copy of {vm} has 15\d(\.\d)?% of the age that it may have", told.annotations["summary"]
    )
    assert f"`tidegate explain {vm}` shows why" in told.annotations["description"]


def test_a_stale_vm_is_told_until_its_copy_is_new(host: Host, textfiles: Path, tmp_path: Path) -> None:
    """Of others nothing is told. That all is well on the way there is told to the dead man's switch alone."""
    with service(host), chain(tmp_path, service=port(host), textfiles=textfiles) as (_, told):
        is_stale(told.wait_for(ADMIN, "TidegateVmStale", job="tidegate"), "db")
        told.wait_for(ALIVE, "TidegateWatchdog")
        leaves(host, "db", age=0)
        told.wait_for(ADMIN, "TidegateVmStale", "resolved", vm="db")
        # Before its first scrape Prometheus may miss the service, without knowing which.
        of_host = [one for one in told.heard if "instance" in one.labels]
        assert {(one.receiver, one.labels["alertname"], one.labels["vm"]) for one in of_host} == {
            (ADMIN, "TidegateVmStale", "db")
        }


def test_a_service_that_was_killed_is_told_until_it_answers_again(host: Host, textfiles: Path, tmp_path: Path) -> None:
    """What it told last goes on counting: a stale VM does not look well because nobody tells of it."""
    with ExitStack() as killed:
        running = killed.enter_context(service(host))
        with chain(tmp_path, service=port(host), textfiles=textfiles) as (prometheus, told):
            told.wait_for(ADMIN, "TidegateVmStale", vm="db")
            running.send(signal.SIGKILL)
            gone = told.wait_for(ADMIN, "TidegateServiceGone", instance=f"127.0.0.1:{port(host)}")
            assert gone.annotations["summary"] == f"The Tidegate service does not answer on 127.0.0.1:{port(host)}"
            assert gone.annotations["runbook_url"] == f"{rules.RUNBOOKS}/TidegateServiceGone.md"
            assert gone.labels["severity"] == "critical"
            assert prometheus.query("tidegate_collect_success") == []
            assert prometheus.alerts() == {"TidegateVmStale", "TidegateServiceGone", "TidegateWatchdog"}
            killed.close()
            with service(host):
                told.wait_for(ADMIN, "TidegateServiceGone", "resolved", instance=f"127.0.0.1:{port(host)}")


def test_what_the_textfile_tells_is_told_and_so_is_a_textfile_that_nobody_writes(
    host: Host, textfiles: Path, tmp_path: Path
) -> None:
    """The service answers too, so that nothing but the textfile is missing. Three days are two passes that did not."""
    file = textfiles / "tidegate.prom"
    host.run("export-metrics", "--output", str(file))
    with service(host), chain(tmp_path, service=port(host), textfiles=textfiles) as (prometheus, told):
        is_stale(told.wait_for(ADMIN, "TidegateVmStale", job="node"), "db")
        await_true(lambda: bool(prometheus.query("node_textfile_mtime_seconds")), prometheus.log)
        assert "TidegateTextfileOld" not in prometheus.alerts()
        os.utime(file, (time.time() - 3 * DAY,) * 2)
        old = told.wait_for(ADMIN, "TidegateTextfileOld")
        assert re.fullmatch(
            r"Tidegate's textfile was last written 3d 0h 0m \d+s ago on 127\.0\.0\.1:\d+", old.annotations["summary"]
        )
        assert old.annotations["runbook_url"] == f"{rules.RUNBOOKS}/TidegateTextfileOld.md"
        assert old.labels["severity"] == "critical"
        host.run("export-metrics", "--output", str(file))
        told.wait_for(ADMIN, "TidegateTextfileOld", "resolved")
