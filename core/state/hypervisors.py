"""VMs that the hypervisor has and nobody dumps, as they were found when it was last asked."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from core.state.bulk import listed
from core.state.schema import hypervisor, without_backup


@dataclass(frozen=True, slots=True)
class Look:
    """``vms``: how many there were. ``without_backup``: the names of those that nobody dumps, sorted."""

    asked_at: float
    vms: int
    without_backup: tuple[str, ...]


def last_look(connection: Connection) -> Look | None:
    """What was found when it was last asked; None when it never was."""
    row = connection.execute(select(hypervisor.c.asked_at, hypervisor.c.vms)).first()
    if row is None:
        return None
    names = connection.execute(select(without_backup.c.vm).order_by(without_backup.c.vm)).scalars()
    return Look(row[0], row[1], tuple(names))


def record(connection: Connection, count: int, names: Collection[str], now: float) -> None:
    """Of ``count`` VMs these are in no backup."""
    asked = insert(hypervisor).values(id=1, asked_at=now, vms=count)
    connection.execute(asked.on_conflict_do_update(index_elements=["id"], set_={"asked_at": now, "vms": count}))
    connection.execute(delete(without_backup).where(without_backup.c.vm.not_in(listed(names))))
    if names:
        rows = [{"vm": name, "since": now} for name in names]
        connection.execute(insert(without_backup).on_conflict_do_nothing(), rows)
