"""VMs in the state: what is known of each besides its dumps."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select, update
from sqlalchemy.dialects.sqlite import insert

from tidegate import learning
from tidegate.state.listed import as_list, given_list, listed, paired
from tidegate.state.schema import dump, link, vm
from tidegate.terms import Evidence, Force


@dataclass(frozen=True, slots=True)
class VmRow:
    """One row of the table ``vm``. ``target`` None: no pass has looked at this VM yet.

    ``failures`` are the dumps that failed since the last one that finished.
    ``dump_times`` and ``dump_sizes`` are those of its latest dumps (``tidegate.learning``): texts, since only who
    learns reads them.
    """

    name: str
    backup_set: str | None
    first_seen: float
    period: float | None = None
    last_dump_time: float | None = None
    last_dump_bytes: int = 0
    last_result_at: float | None = None
    last_dump_failed: bool = False
    offsite_time: float | None = None
    offsite_by: Evidence | None = None
    offsite_dump_id: int | None = None
    on_hold: bool = False
    backing_off_until: float | None = None
    retired_at: float | None = None
    target: float | None = None
    forced: Force | None = None
    offsite_at: float | None = None
    is_dropped: bool = False
    dump_times: str = ""
    failures: int = 0
    dump_sizes: str = ""

    @property
    def shrunk_from(self) -> int | None:
        """The usual size of its dumps if the newest is suspiciously smaller, else None."""
        return learning.shrunk_from(self.dump_sizes)

    def is_kept(self, retention: float | None, now: float) -> bool:
        """Whether the storage still has its copy: it drops each ``retention`` seconds after it came; None: never."""
        if self.offsite_time is None:
            return False
        return retention is None or self.offsite_at is None or now < self.offsite_at + retention


_COLUMNS = [vm.c[name] for name in VmRow.__dataclass_fields__]
#: These are made once: for a single marker the making of statements took longer than SQLite.
_BY_NAMES = select(*_COLUMNS).where(vm.c.name.in_(given_list("names"))).order_by(vm.c.name)
_NEW = insert(vm)
_SAVED = _NEW.on_conflict_do_update(
    index_elements=["name"], set_={name: _NEW.excluded[name] for name in VmRow.__dataclass_fields__ if name != "name"}
)


def all_vms(connection: Connection) -> dict[str, VmRow]:
    """Every VM that is not retired, by name, sorted."""
    return _rows(connection, select(*_COLUMNS).where(vm.c.retired_at.is_(None)).order_by(vm.c.name))


def one(connection: Connection, name: str) -> VmRow | None:
    """The VM of this name, or None."""
    return _rows(connection, select(*_COLUMNS).where(vm.c.name == name)).get(name)


def by_names(connection: Connection, names: Collection[str]) -> dict[str, VmRow]:
    """VMs by name, retired ones too."""
    return _rows(connection, _BY_NAMES, names=as_list(names))


def forget(connection: Connection, name: str) -> None:
    """Removes one VM: what it had belongs to another by now."""
    connection.execute(delete(vm).where(vm.c.name == name))


def forget_unused(connection: Connection, names: Collection[str]) -> None:
    """Removes those of these VMs that have no dump, no link and no copy: names that were a mistake."""
    unused = vm.c.offsite_time.is_(None) & ~exists().where(dump.c.vm == vm.c.name)
    unused &= ~exists().where(link.c.vm == vm.c.name)
    connection.execute(delete(vm).where(vm.c.name.in_(listed(names)), unused))


def _rows(connection: Connection, query: Select[Any], **given: Any) -> dict[str, VmRow]:
    return {row[0]: VmRow(*row) for row in connection.execute(query, given).all()}


def save(connection: Connection, rows: Iterable[VmRow]) -> None:
    """Inserts or replaces rows."""
    values = [{name: getattr(row, name) for name in VmRow.__dataclass_fields__} for row in rows]
    if not values:
        return
    connection.execute(_SAVED, values)


def change(connection: Connection, name: str, **values: Any) -> None:
    """Updates one VM."""
    connection.execute(update(vm).where(vm.c.name == name).values(**values))


def set_targets(connection: Connection, targets: Mapping[str, float]) -> None:
    """Records the off-site age, in seconds, that each of these VMs is meant to stay under."""
    if targets:
        given = paired(targets)
        statement = update(vm).where(vm.c.name == given.c.key, vm.c.target.is_distinct_from(given.c.value))
        connection.execute(statement.values(target=given.c.value))


def set_dropped(connection: Connection, names: Collection[str]) -> None:
    """Records that the storage has dropped the copies of these VMs, and of no others."""
    is_dropped = vm.c.name.in_(listed(names))
    connection.execute(update(vm).where(vm.c.is_dropped != is_dropped).values(is_dropped=is_dropped))


def end_force(connection: Connection, link_ids: Collection[int]) -> None:
    """Takes back the admin's force of the VMs whose dumps have left by it: those of these links."""
    left = select(link.c.vm).where(link.c.id.in_(listed(link_ids)), link.c.forced.is_not(None))
    connection.execute(update(vm).where(vm.c.name.in_(left)).values(forced=None))


def new(name: str, backup_set: str | None, now: float) -> VmRow:
    """A VM that is met for the first time."""
    return VmRow(name, backup_set, now)
