"""How signals are called where people read."""

import signal


def signal_name(number: int) -> str:
    """``SIGTERM``; most of those for real time have a number alone."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
