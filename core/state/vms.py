"""VMs in the state: what is known of each besides its dumps."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, case, delete, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert

from core import dump_history
from core.enums import FETCHED, Evidence, Force
from core.state.bulk import as_list, given_list, listed, paired
from core.state.schema import dump, link, vm


@dataclass(frozen=True, slots=True)
class VmRow:
    """One row of the table ``vm``. ``target`` None: no pass has looked at this VM yet.

    ``failures`` are the dumps that failed since the last one that finished.
    ``dump_times`` and ``dump_sizes`` are those of its latest dumps (``core.dump_history``): texts, since only who
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
        return dump_history.shrunk_from(self.dump_sizes)

    def is_kept(self, retention: float | None, now: float) -> bool:
        """Whether the storage still has its copy: it drops each ``retention`` seconds after it came; None: never."""
        if self.offsite_time is None:
            return False
        return retention is None or self.offsite_at is None or now < self.offsite_at + retention


class VmFigures(NamedTuple):
    """What the metrics tell of one VM: a tuple for each of tens of thousands at every scrape, and no VmRow."""

    name: str
    backup_set: str | None
    first_seen: float
    last_dump_time: float | None
    last_dump_bytes: int
    last_result_at: float | None
    last_dump_failed: bool
    dump_sizes: str
    offsite_time: float | None
    is_dropped: bool
    target: float | None


class Standing(NamedTuple):
    """How all VMs that are not retired stand at one moment.

    ``past_target`` and ``past_twice_target`` count those too that have waited so long for their first copy.
    """

    vms: int
    never: int
    stale: int
    past_target: int
    past_twice_target: int
    oldest_offsite: float | None
    first_seen: float | None


_COLUMNS = [vm.c[name] for name in VmRow.__dataclass_fields__]
#: These are made once: for a single marker the making of statements took longer than SQLite.
_FIGURES = select(*[vm.c[name] for name in VmFigures._fields]).where(vm.c.retired_at.is_(None)).order_by(vm.c.name)
_BY_NAMES = select(*_COLUMNS).where(vm.c.name.in_(given_list("names"))).order_by(vm.c.name)
_NEW = insert(vm)
_SAVED = _NEW.on_conflict_do_update(
    index_elements=["name"], set_={name: _NEW.excluded[name] for name in VmRow.__dataclass_fields__ if name != "name"}
)


def all_vms(connection: Connection) -> dict[str, VmRow]:
    """Every VM that is not retired, by name, sorted."""
    return _rows(connection, select(*_COLUMNS).where(vm.c.retired_at.is_(None)).order_by(vm.c.name))


def figures(connection: Connection, stretch: int) -> Iterator[list[VmFigures]]:
    """Of every VM that is not retired, sorted by name, at most ``stretch`` of them at a time."""
    for rows in connection.execute(_FIGURES, execution_options={"yield_per": stretch}).partitions():
        yield [VmFigures._make(row) for row in rows]


def standing(connection: Connection, now: float) -> Standing:
    """Counted by SQLite, which lets other threads of this process go on meanwhile. ``now``: seconds since the epoch."""
    is_kept = and_(vm.c.offsite_time.is_not(None), ~vm.c.is_dropped)
    offsite = case((is_kept, vm.c.offsite_time))
    age = now - func.coalesce(offsite, vm.c.first_seen)
    counts = (
        func.count(),
        func.count().filter(~is_kept),
        func.count().filter(now - offsite > vm.c.target),
        func.count().filter(age > vm.c.target),
        func.count().filter(age > 2 * vm.c.target),
        func.min(offsite),
        func.min(vm.c.first_seen),
    )
    return Standing._make(connection.execute(select(*counts).where(vm.c.retired_at.is_(None))).one())


def last_fetched(connection: Connection) -> float | None:
    """When the storage was last seen to have fetched a dump of any VM that is not retired."""
    is_fetched = vm.c.offsite_by.in_([str(one) for one in FETCHED])
    return connection.execute(select(func.max(vm.c.offsite_at)).where(is_fetched, vm.c.retired_at.is_(None))).scalar()


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
