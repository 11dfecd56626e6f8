"""Each benchmark runs: over so little here that its figures mean nothing."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tools.bench import bursting, dumping, growing, latency, lost, machine, paging, passing, resting, scanning, starting
from tools.bench.__main__ import BENCHMARKS
from tools.bench.peer_programs import Peers
from tools.bench.results_page import Section, page

pytestmark = pytest.mark.slow

SMALL: dict[ModuleType, dict[str, object]] = {
    starting: {"ROUNDS": 1},
    passing: {"DUMPS": 10, "ROUNDS": 1},
    bursting: {"BURST": 100, "ROUNDS": 1},
    scanning: {"MARKERS": 100, "ROUNDS": 1},
    latency: {"PACED": 20, "ALONE": 3, "RELEASED": 20, "MEANWHILE": 500, "ROUNDS": 1},
    lost: {"SIZES": (100,), "LAYOUTS": (1, 3), "STOPPED": 100, "FOLDERS": 3, "peers": lambda: Peers((), ())},
    paging: {"VMS": 10, "ASKED": 1, "_PATHS": {"one VM": "/vm/vm000002", "`/metrics`": "/metrics"}},
    resting: {"VMS": 10, "BURST": 100, "_WINDOW_SECONDS": 0.2, "_SETTLE_SECONDS": 0.1},
    growing: {"VMS": (2, 4)},
    dumping: {"SMALL": 2, "LARGE_BYTES": 1_000_000, "ROUNDS": 1},
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, values in SMALL.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_measures_and_its_section_is_written(name: str, tmp_path: Path) -> None:
    measure: Callable[..., Section] = BENCHMARKS[name]
    section = measure(tmp_path, minutes=0) if name == "rest" else measure(tmp_path)
    text = page(machine.facts(tmp_path), [section])
    assert f"## {section.title}\n" in text
    assert "* date: 20" in text
