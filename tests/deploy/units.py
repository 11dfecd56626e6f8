"""The shipped unit files, read as systemd reads them."""

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
#: They link.
LINKING = ("tidegate-watch.service", "tidegate-pass.service")
SERVICES = (*LINKING, "tidegate-sync.service")
TIMERS = ("tidegate-pass.timer", "tidegate-sync.timer")


def settings(unit: str) -> Iterator[tuple[str, str]]:
    """Key and value of each line; a key may stand several times."""
    for line in (FOLDER / unit).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield key, value


def setting(unit: str, key: str) -> str:
    """The value of a key that stands once."""
    (value,) = [value for name, value in settings(unit) if name == key]
    return value


def capabilities(unit: str) -> list[str]:
    """As setpriv names them: ``fowner``."""
    return [one.removeprefix("CAP_").lower() for one in setting(unit, "AmbientCapabilities").split()]
