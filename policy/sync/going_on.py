"""A sync on a day on which no pass has run yet: what leaves in slices goes on all the same.

A day may begin with the sync itself, and on the next one again; a whole link is carried over, a slice is a day's.
"""

from core.clock import Instant
from core.config.settings import Config
from core.state import slices
from core.state.database import Connection
from policy.passes import budget, facts
from policy.passes import slices as slicing
from policy.planner.model import Day, Dump
from policy.planner.oversize import kept_free


def set_slices(connection: Connection, config: Config, now: Instant) -> None:
    """Sets of the open day what a pass would keep free for dumps under way that have no slice of it yet.

    For the holder of the pass lock. What nobody else wants is left for the pass to tell.
    """
    row = budget.current(connection, config, now)
    without = [one for one in slices.under_way(connection, row.number) if not one.today]
    if not without:
        return
    progress = slicing.progress(connection, is_syncing=False)
    dumps = [
        Dump(one.dump_id, "", "", one.bytes, 0.0, outstanding=True, progress=progress.get(one.dump_id))
        for one in without
    ]
    day = Day(row.number, row.opened.wall, budget.account(connection, config, row, now))
    largest_day = max(day.account.capacity, facts.rules_of(config, day, now.wall).largest_day)
    kept = kept_free(dumps, day.account, largest_day)
    slices.put(connection, {one.link_id: kept[one.dump_id] for one in without}, row.number, now)
