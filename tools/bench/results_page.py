"""The page that the figures make: tables with the middle and the ends of each, and each aim with what was found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tools.bench.paired import median, ratios


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
    """One benchmark. ``peer`` names what its lines stand beside, if anything; ``after`` is Markdown."""

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
        "`make bench` writes this page. Each figure is the median of its rounds, with the least and the most. "
        "What is measured and its peer alternate within each round, and a ratio is the median of the rounds' own "
        "ratios: on a noisy machine the ratios mean more than the times.",
        "\n".join(f"* {name}: {value}" for name, value in facts),
        *[_section(section) for section in sections],
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    verdicts = [f"**Aim: {one.aim}. Found: {one.found}: {'kept' if one.kept else 'missed'}.**" for one in section.aims]
    optional = filter(None, [_table(section), *verdicts, section.after])
    return "\n\n".join([f"## {section.title}", section.how, *optional])


def _table(section: Section) -> str:
    """A column for the peer only where there is one. Empty for a section that brings a table of its own."""
    if not section.lines:
        return ""
    heading = ["", "median", "least to most", *([f"beside {section.peer}"] if section.peer else [])]
    rows = [_row(line)[: len(heading)] for line in section.lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, ["---", *["---:"] * (len(heading) - 1)], *rows))


def _row(line: Line) -> list[str]:
    ends = f"{line.show(min(line.figures))} to {line.show(max(line.figures))}"
    beside = "" if line.peer is None else times(median(ratios(line.figures, line.peer)))
    return [line.what, line.show(median(line.figures)), ends if len(line.figures) > 1 else "", beside]


def times(ratio: float) -> str:
    """A ratio."""
    return f"{ratio:.2f} ×" if ratio < 10 else f"{ratio:.0f} ×"


def milliseconds(seconds: float) -> str:
    """Of seconds."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def seconds(value: float) -> str:
    """Of seconds that are many."""
    return f"{value:.2f} s"


def percent(share: float) -> str:
    """Of a share, of one core say."""
    return f"{share:.3%}" if share < 0.01 else f"{share:.1%}"


def each_second(rate: float) -> str:
    """Of a rate."""
    return f"{rate:,.0f} /s"
