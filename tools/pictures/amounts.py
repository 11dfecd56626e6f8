"""Numbers with the units of the dashboard."""

from grafana_foundation_sdk.models import units

_SPANS = ((31_536_000, "years"), (604_800, "weeks"), (86_400, "days"), (3600, "hours"), (60, "min"), (1, "s"))
_SIZES = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def amount(value: float, unit: str) -> str:
    """Three digits and the unit."""
    if unit == units.PercentUnit:
        return f"{_short(value * 100)} %"
    if unit == units.BytesSI:
        return _scaled(value, _SIZES, "B")
    if unit == units.Seconds:
        return _scaled(value, _SPANS, "ms", 1e-3)
    if unit == units.Days:
        return f"{_short(value)} days"
    return _short(value)


def _scaled(value: float, scale: tuple[tuple[float, str], ...], least: str, one: float = 1.0) -> str:
    for factor, name in scale:
        if abs(value) >= factor:
            return f"{_short(value / factor)} {name}"
    return f"{_short(value / one)} {least}" if value else "0"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
