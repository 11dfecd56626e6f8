"""Troubles of which somebody was told and that are not known to be over."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from core.enums import News
from core.state.alerts import EVENTS, Item, Key, Known
from core.state.schema import trouble


def known(connection: Connection) -> dict[Key, Known]:
    """All of them."""
    rows = connection.execute(
        select(trouble.c.what, trouble.c.subject, trouble.c.since, trouble.c.finished_at, trouble.c.detail)
    )
    return {Key(what, subject): Known(since, finished_at, detail) for what, subject, since, finished_at, detail in rows}


def record(connection: Connection, told: Sequence[Item], now: float) -> None:
    """Somebody was told of this just now."""
    for item in told:
        key = {"what": item.key.what, "subject": item.key.subject}
        if item.news is News.OVER:
            connection.execute(delete(trouble).filter_by(**key))
        elif item.key.what not in EVENTS:
            values = {"since": item.since, "finished_at": now, "detail": item.detail}
            statement = insert(trouble).values(**key, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
