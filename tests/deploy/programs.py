"""Debian's Prometheus, Alertmanager and node_exporter: real ones on the loopback, each for one test."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.host import ROOT
from tests.real_parts import needs_program
from tests.users import needs_capabilities
from tests.waiting import WAIT_SECONDS, free_port

ALERTMANAGER = "prometheus-alertmanager"
NODE_EXPORTER = "prometheus-node-exporter"
#: Debian's Alertmanager does not start without.
TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")


def await_true(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Until it is so; for as long as anybody has patience. ``otherwise`` says what is so instead."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)


class Program:
    """One that listens on the loopback, and what it has logged."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = port
        self._process = process
        self._log = log

    def ask(self, path: str, body: object = None) -> bytes:
        """GET, or POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
            return bytes(answer.read())

    def answers(self, path: str) -> bool:
        assert self._process.poll() is None, self.log()
        try:
            self.ask(path)
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def log(self) -> str:
        return self._log.read_text()

    @classmethod
    @contextmanager
    def running(cls, folder: Path, words: Sequence[str], ready: str) -> Iterator[Self]:
        """Starts ``words``, with ``{port}`` for a free one, until ``ready`` is answered; killed at the end."""
        port = free_port()
        folder.mkdir(exist_ok=True)
        log = folder / "log"
        with log.open("wb") as told:
            filled = [word.replace("{port}", str(port)) for word in words]
            with subprocess.Popen(filled, cwd=folder, stdout=told, stderr=told, stdin=subprocess.DEVNULL) as process:
                try:
                    one = cls(port, process, log)
                    await_true(lambda: one.answers(ready), one.log)
                    yield one
                finally:
                    process.kill()


# --- Prometheus


class Sample(NamedTuple):
    """A series, and its points: (time, value), one for an instant."""

    labels: Mapping[str, str]
    points: list[tuple[float, float]]


class Prometheus(Program):
    """Asked in its own language."""

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Instant: what it finds at a time, or now."""
        found = self._get("query", {"query": expression} | ({} if at is None else {"time": str(at)}))["result"]
        return [Sample(one["metric"], [_point(one["value"])]) for one in found]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Sample]:
        """What it finds at each step."""
        found = self._get("query_range", {"query": expression, "start": start, "end": end, "step": step})["result"]
        return [Sample(one["metric"], [_point(point) for point in one["values"]]) for one in found]

    def label_values(self, label: str, series: str) -> list[str]:
        """What a label is, on series that are selected so."""
        return list(self._get(f"label/{label}/values", {"match[]": series}))

    def alerts(self) -> set[str]:
        """Names of those that fire now."""
        return {one.labels["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def has_judged(self) -> bool:
        """Whether each rule was evaluated, no alert waits before it fires, and all that fire can be asked for."""
        known = [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]
        waits = [rule for rule in known if rule["lastEvaluation"].startswith("0001") or rule.get("state") == "pending"]
        firing = sum(len(rule.get("alerts", [])) for rule in known)
        return bool(known) and not waits and len(self.query('ALERTS{alertstate="firing"}')) == firing

    def _get(self, path: str, words: Mapping[str, object]) -> Any:
        try:
            told = json.loads(self.ask(f"/api/v1/{path}?{urllib.parse.urlencode(words)}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error
        return told["data"]


def _point(told: Sequence[Any]) -> tuple[float, float]:
    return float(told[0]), float(told[1])


@contextmanager
def prometheus(folder: Path, configuration: str, *options: str) -> Iterator[Prometheus]:
    """One with this configuration; its data are in ``folder/data``."""
    needs_program("prometheus")
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.yml").write_text(configuration)
    words = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", *options]
    with Prometheus.running(folder, [*words, "--web.listen-address=127.0.0.1:{port}"], "/-/ready") as one:
        yield one


# --- Alertmanager


class Alertmanager(Program):
    """Told and asked as Prometheus and people do."""

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


@contextmanager
def alertmanager(folder: Path, configuration: str) -> Iterator[Alertmanager]:
    """One with this configuration."""
    needs_program(ALERTMANAGER)
    folder.mkdir(exist_ok=True)
    (folder / "alertmanager.yml").write_text(configuration)
    words = [*_somewhere_else(), ALERTMANAGER, "--config.file=alertmanager.yml", "--storage.path=data"]
    address = ["--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with Alertmanager.running(folder, [*words, *address], "/-/ready") as one:
        yield one


def _somewhere_else() -> list[str]:
    """Where it is not installed: what it reads in /usr/share is mounted there for it alone."""
    if TEMPLATES.exists():
        return []
    needs_capabilities("sys_admin")
    mount = f'mount --bind "{ROOT}/build/share" /usr/share && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


# --- node_exporter


@contextmanager
def node_exporter(folder: Path, textfiles: Path) -> Iterator[Program]:
    """One that tells of the textfiles in a folder, and of nothing else."""
    needs_program(NODE_EXPORTER)
    collector = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={textfiles}"]
    with Program.running(
        folder, [NODE_EXPORTER, *collector, "--web.listen-address=127.0.0.1:{port}"], "/metrics"
    ) as one:
        yield one
