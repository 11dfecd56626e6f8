"""Line charts as plain SVG, drawn by nothing but text."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 190, 30, 34
COLOURS = ("#1f6feb", "#d1242f", "#8250df", "#bf8700", "#57606a")


def chart(title: str, unit: str, lines: Mapping[str, Sequence[float]]) -> str:
    """One chart: a line for each of ``lines``, a value a day, from day 0; ``unit`` names what stands upwards."""
    most = max(max(line) for line in lines.values()) * 1.05 or 1.0
    days = max(len(line) for line in lines.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
        *_scale(most, days, unit),
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{_x(day, days):.1f},{_y(value, most):.1f}" for day, value in enumerate(line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        place = TOP + 16 + 18 * number
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{place}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _scale(most: float, days: int, unit: str) -> list[str]:
    marks = []
    for part in range(5):
        value = most * part / 4
        y = _y(value, most)
        marks.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#d0d7de"/>')
        marks.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    marks += [
        f'<text x="{_x(day, days):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{day}</text>'
        for day in range(0, days, max(1, days // 6))
    ]
    marks.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 3}" text-anchor="middle">day</text>')
    marks.append(f'<text x="12" y="{HEIGHT / 2}" transform="rotate(-90 12 {HEIGHT / 2})">{escape(unit)}</text>')
    return marks


def _x(day: int, days: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * day / max(1, days - 1)


def _y(value: float, most: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most)
