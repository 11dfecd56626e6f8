"""Which alerts are sent: when a trouble begins, again each time that it has lasted for so long, and when it is over.

Decided from the troubles that a run found, those that were notified, and the time; nothing else.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from sqlite3 import Connection
from typing import NamedTuple

from core.enums import News, Trouble
from core.state.statements import words


class Key(NamedTuple):
    """One trouble, by its kind, of a VM, a watch folder or a run. The same one later has the same key."""

    what: Trouble
    subject: str


class Known(NamedTuple):
    """One that was notified and is not known to be over. ``since`` and ``notified_at``: seconds since the epoch."""

    since: float
    notified_at: float
    detail: str


class Item(NamedTuple):
    """One alert to be sent; ``detail`` is a sentence."""

    key: Key
    news: News
    since: float
    detail: str

    def __str__(self) -> str:
        return self.detail if self.news is News.NEW else f"{self.news}: {self.detail}"


#: The pass of a day may come a little sooner than that of the day before.
_EARLY_SECONDS = 3600.0
#: What happens and is then over: it is notified each time, and never remembered.
EVENTS = frozenset({Trouble.OVER_LIMIT})


def news(
    known: Mapping[Key, Known],
    present: Mapping[Key, str],
    covers: Callable[[Key], bool],
    now: float,
    remind: float,
) -> list[Item]:
    """The alerts to send about what a run found: key -> sentence. New ones first, then those that last, by key.

    What a run has not looked at (``covers``) is not taken to be over. What was notified at a time to come was notified
    by a wrong clock.
    """
    return sorted((*_there(known, present, now, remind), *_gone(known, present, covers)), key=_order)


def _there(known: Mapping[Key, Known], present: Mapping[Key, str], now: float, remind: float) -> Iterator[Item]:
    for key, detail in present.items():
        before = known.get(key)
        if before is None or key.what in EVENTS:
            yield Item(key, News.NEW, now, detail)
        elif not now - remind + _EARLY_SECONDS < before.notified_at <= now:
            yield Item(key, News.STILL, min(before.since, now), detail)


def _gone(known: Mapping[Key, Known], present: Collection[Key], covers: Callable[[Key], bool]) -> Iterator[Item]:
    for key, before in known.items():
        if key not in present and covers(key):
            yield Item(key, News.OVER, before.since, before.detail)


def _order(item: Item) -> tuple[int, Key]:
    return list(News).index(item.news), item.key


_TROUBLES = words(Trouble)
_KNOWN = "SELECT what, subject, since, notified_at, detail FROM alert"
_RECORD = "INSERT OR REPLACE INTO alert (what, subject, since, notified_at, detail) VALUES (?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM alert WHERE what = ? AND subject = ?"


def known(connection: Connection) -> dict[Key, Known]:
    """Troubles of which somebody was notified and that are not known to be over."""
    rows = connection.execute(_KNOWN)
    return {
        Key(_TROUBLES[what], subject): Known(since, notified_at, detail)
        for what, subject, since, notified_at, detail in rows
    }


def record(connection: Connection, sent: Sequence[Item], now: float) -> None:
    """Somebody was notified of these just now."""
    for item in sent:
        if item.news is News.OVER:
            connection.execute(_FORGET, item.key)
        elif item.key.what not in EVENTS:
            connection.execute(_RECORD, (*item.key, item.since, now, item.detail))
