"""What the real service answers beside the metrics: the page, the API, and how it is."""

import json
import platform
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.host import Host
from tests.service.running import Running, service
from tests.waiting import WAIT_SECONDS, free_port, until


class Served:
    """A service with two VMs, and those who ask it."""

    def __init__(self, host: Host, port: int, running: Running) -> None:
        self.host = host
        self.running = running
        self._root = f"http://127.0.0.1:{port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        question = urllib.request.Request(self._root + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(question, timeout=WAIT_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path: str) -> dict[str, Any]:
        status, text = self.ask(path)
        assert status == 200, text
        shape: dict[str, Any] = json.loads(text)
        return shape


@contextmanager
def served_from(folder: Path) -> Iterator[Served]:
    port = free_port()
    host = Host(folder / "host", daily=1000, **{"exporters.http": {"listen": f"127.0.0.1:{port}"}})
    host.dump("vm1", 800)
    host.dump("vm2", 900)
    host.run("pass")
    with service(host) as running:
        yield Served(host, port, running)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For those who only ask."""
    with served_from(tmp_path_factory.mktemp("standing")) as served:
        yield served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """For those who change it."""
    with served_from(tmp_path) as served:
        yield served


def without_ages(shape: Any) -> Any:
    """Ages differ by the moments between two looks."""
    if isinstance(shape, dict):
        return {key: without_ages(value) for key, value in shape.items() if key not in {"offsite_age_seconds", "as_of"}}
    return [without_ages(one) for one in shape] if isinstance(shape, list) else shape


def test_the_api_answers_what_the_command_prints(standing: Served) -> None:
    """The same shape with the same figures."""
    assert without_ages(standing.json("/api/v1/status")) == without_ages(standing.host.json("status"))


def test_the_api_has_what_the_last_pass_decided(standing: Served) -> None:
    """As it is now: what was released is outstanding."""
    plan = standing.json("/api/v1/plan")
    assert {one["vm"]: one["reason"] for one in plan["decisions"]} == {"vm1": "outstanding", "vm2": "limit_reached"}
    assert plan["day"]["left_bytes"] == 200


def test_the_page_of_a_vm_has_the_sentences_of_explain(standing: Served) -> None:
    """Word for word."""
    told = standing.host.run("explain", "vm2").stdout.splitlines()
    page = standing.ask("/vm/vm2")[1]
    assert told[0].startswith("vm2 has no off-site copy that Tidegate knows of; it is due by ")
    assert "is waiting (limit_reached): 900 B does not fit into the 200 B" in told[1]
    for line in told[:2]:
        assert f"<li>{line}</li>" in page


def test_it_is_healthy_and_ready_once_the_first_scan_is_done(standing: Served) -> None:
    """Until then 503 with a sentence; READY=1 was sent when the tests begin."""
    assert standing.ask("/-/healthy") == (200, "OK\n")
    assert standing.ask("/-/ready")[0] == 200


def test_what_is_recorded_is_seen_soon(served: Served) -> None:
    """Another process has written it; nobody tells the page's own."""
    assert "on hold" not in served.ask("/vm/vm2")[1]
    served.host.run("hold", "vm2")
    until(lambda: "on hold" in served.ask("/vm/vm2")[1])


def test_a_configuration_with_a_mistake_leaves_the_page_as_it_is(served: Served) -> None:
    """The service shows what it works with."""
    served.host.file.write_text("[state]\npth = 1\n")
    assert served.ask("/")[0] == served.ask("/api/v1/status")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9877", "127.0.0.1.evil.example", "192.0.2.1", ""])
def test_a_name_that_is_not_ours_is_refused(standing: Served, host: str) -> None:
    """A foreign page can let its own name lead here, and would read what is answered."""
    for path in ("/", "/vm/vm1", "/api/v1/status", "/static/page.js"):
        status, text = standing.ask(path, Host=host)
        assert (status, "vm1" in text) == (421, False)
    assert standing.ask("/metrics", Host=host)[0] == 421
    assert standing.ask("/-/ready", Host=host)[0] == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:9877"])
def test_loopback_is_ours_under_each_of_its_names(standing: Served, host: str) -> None:
    """Also through a tunnel that has another port."""
    assert standing.ask("/", Host=host)[0] == 200


def test_a_scraper_may_ask_by_the_hosts_own_name(standing: Served) -> None:
    """No page of others has that name, as long as it is one of our own network."""
    assert standing.ask("/metrics", Host=f"{platform.node()}:9877")[0] == 200


def test_a_reload_takes_further_names(served: Served) -> None:
    """The name of a reverse proxy that hands on what it was asked for."""
    listen = f"127.0.0.1:{served._root.rpartition(':')[2]}"
    assert served.ask("/", Host="Backup.example")[0] == 421
    served.host.configure(daily=1000, **{"exporters.http": {"listen": listen, "hosts": ["backup.example"]}})
    served.running.reload()
    assert served.ask("/", Host="Backup.example")[0] == 200


def test_what_is_not_there_is_404(standing: Served) -> None:
    """A VM that nobody knows, a file that is none of the page's, a command that has no API."""
    for path in ("/vm/vm9", "/vm/", "/nothing", "/static/../site.py", "/static/", "/api/v1/forecast", "/-/nothing"):
        assert standing.ask(path)[0] == 404, path
