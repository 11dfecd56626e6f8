"""What a Prometheus would have scraped, as OpenMetrics with the times: `promtool` makes the blocks of one from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

#: What a Prometheus adds to each series.
TARGET = 'instance="127.0.0.1:9877",job="tidegate"'
_PARTS = ("_bucket", "_count", "_sum")


class Scrapes:
    """Keeps texts of /metrics by series: in OpenMetrics all samples of a family stand together."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {"up": "gauge"}
        self._families: dict[str, dict[str, list[tuple[str, str]]]] = {"up": {}}

    def keep(self, text: str, at: float) -> None:
        """One text as it was at this time, in seconds since the epoch."""
        time = f"{at:.0f}"
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self._types[name] = kind
                self._families.setdefault(name, {})
            elif not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                self._keep(series, value, time)
        self._keep("up", "1", time)

    def write(self, file: Path) -> None:
        """All of it."""
        with file.open("w", encoding="utf-8") as opened:
            for line in self._lines():
                _write(opened, line)
            _write(opened, "# EOF")

    @property
    def samples(self) -> int:
        """How many are kept."""
        return sum(len(samples) for family in self._families.values() for samples in family.values())

    def _keep(self, series: str, value: str, time: str) -> None:
        samples = self._families[self._family_of(series)].setdefault(_of_target(series), [])
        if samples and samples[-1][1] == value:
            value = samples[-1][1]  # one text for all samples of one value
        samples.append((time, value))

    def _family_of(self, series: str) -> str:
        name = series.partition("{")[0]
        if name in self._types:
            return name
        return next(name.removesuffix(part) for part in _PARTS if name.removesuffix(part) in self._types)

    def _lines(self) -> Iterator[str]:
        for name, family in self._families.items():
            kind = self._types[name]
            yield f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}"
            for series, samples in family.items():
                for time, value in samples:
                    yield f"{series} {value} {time}"


def _of_target(series: str) -> str:
    name, _, labels = series.partition("{")
    return f"{name}{{{TARGET},{labels}" if labels else f"{name}{{{TARGET}}}"


def _write(opened: TextIO, line: str) -> None:
    opened.write(f"{line}\n")
