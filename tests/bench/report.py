"""The page that the figures make: tables with the middle and the ends of each, and each aim with what was found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.paired import median, ratios


@dataclass(frozen=True, slots=True)
class Line:
    """Figures of one thing in order of rounds. ``peer``: those of what it stands beside."""

    what: str
    figures: Sequence[float]
    show: Callable[[float], str]
    peer: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Aim:
    """What was meant to be reached, and what was: told whether it is kept or missed."""

    aim: str
    found: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark. ``peer`` names what its lines stand beside."""

    title: str
    how: str
    peer: str
    lines: tuple[Line, ...]
    aims: tuple[Aim, ...] = ()
    after: str = ""


def page(facts: Iterable[tuple[str, str]], sections: Iterable[Section]) -> str:
    """The whole page, Markdown."""
    parts = [
        "# Benchmarks",
        "`make bench` writes this page. Each figure is the median of its rounds, with the least and the most. What is "
        "measured and what it stands beside take turns within each round, and a ratio is the median of the rounds' own "
        "ratios: on a noisy machine the ratios mean more than the times.",
        "\n".join(f"* {name}: {value}" for name, value in facts),
        *[_section(section) for section in sections],
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    table = [
        f"| | median | least to most | beside {section.peer} |",
        "|---|---:|---:|---:|",
        *[_row(line) for line in section.lines],
    ]
    verdicts = [f"**Aim: {one.aim}. Found: {one.found}: {'kept' if one.kept else 'missed'}.**" for one in section.aims]
    parts = [f"## {section.title}", section.how, "\n".join(table), *verdicts, *filter(None, [section.after])]
    return "\n\n".join(parts)


def _row(line: Line) -> str:
    ends = f"{line.show(min(line.figures))} to {line.show(max(line.figures))}"
    beside = "" if line.peer is None else times(median(ratios(line.figures, line.peer)))
    return f"| {line.what} | {line.show(median(line.figures))} | {ends} | {beside} |"


def times(ratio: float) -> str:
    """A ratio."""
    return f"{ratio:.2f} ×" if ratio < 10 else f"{ratio:.0f} ×"


def milliseconds(seconds: float) -> str:
    """Of seconds."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def each_second(rate: float) -> str:
    """Of a rate."""
    return f"{rate:,.0f} /s"
