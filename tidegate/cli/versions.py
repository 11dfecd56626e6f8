"""A command and the service beside it may be of two versions: after an upgrade that restarted nothing."""

import re

from core.version import __version__


def difference(service: str, version: str | None) -> str | None:
    """What an admin should know of a service of this version, None where there is nothing to say.

    ``service`` is how it is told to people. Without a version it was caught in the instant before it said one.
    """
    if version is None or version == __version__:
        return None
    if _parts(version) < _parts(__version__):
        return (
            f"the service ({service}) is the older {version} and this command is {__version__}:"
            " restart it (systemctl restart tidegate-watch)"
        )
    return f"the service ({service}) is the newer {version} and this command is {__version__}: use the service's own"


def _parts(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", version)]
