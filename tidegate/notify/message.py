"""What a command is given of the news: a JSON object on stdin, and words in its environment."""

import json
import socket
from collections.abc import Mapping, Sequence
from itertools import islice

from core.filenames import printable
from core.state.alerts import Item
from core.units import format_time

FORMAT = 2
#: So many are named where people read; all of them are in the JSON.
_NAMED = 20
#: Of one sentence. The kernel takes no more than 128 KiB in one word of an environment.
_LONGEST = 1000
NO_NEWS = "this is a test: nothing is wrong"


def document(run: str, items: Sequence[Item], now: float) -> bytes:
    """``{"format", "host", "run", "time", "troubles": [{"what", "subject", "news", "since", "detail"}]}``."""
    troubles = [
        {
            "what": item.key.what,
            "subject": printable(item.key.subject),
            "news": item.news,
            "since": format_time(item.since),
            "detail": printable(item.detail),
        }
        for item in items
    ]
    document = {
        "format": FORMAT,
        "host": socket.gethostname(),
        "run": run,
        "time": format_time(now),
        "troubles": troubles,
    }
    return json.dumps(document, ensure_ascii=False).encode()


def environment(run: str, items: Sequence[Item]) -> Mapping[str, str]:
    """A line to put above it, and a line for each trouble."""
    host = socket.gethostname()
    lines = [printable(str(item))[:_LONGEST] for item in islice(items, _NAMED)] or [NO_NEWS]
    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    if len(items) > _NAMED:
        lines.append(f"and {len(items) - _NAMED} more")
    return {
        "TIDEGATE_HOST": host,
        "TIDEGATE_RUN": run,
        "TIDEGATE_SUBJECT": f"tidegate on {host}: {lines[0]}{more}",
        "TIDEGATE_MESSAGE": "\n".join(lines),
    }
