"""The ledger: days and links. What was let out, on which day, and what became of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from core.clock import Instant
from core.enums import FETCHED, Evidence, LinkState
from core.fs.fingerprint import Identity
from core.state.bulk import insert_many, listed, paired
from core.state.schema import day, link, sealed_link


@dataclass(frozen=True, slots=True)
class DayRow:
    """One row of the table ``day``; its number is its key, never a date.

    As the last pass counted it ``used_bytes`` is what was let out in this day and is no longer outstanding, and the
    debt of earlier days; ``debt_bytes`` is that debt, or its own.
    """

    number: int
    opened: Instant
    limit_bytes: int
    reserve_bytes: int
    used_bytes: int = 0
    debt_bytes: int = 0


class LinkRow(NamedTuple):
    """One row of the table ``link``. ``dump_id`` None: a foreign file found in the export tree.

    ``since_id`` is the first of the unread links that it took the place of, each of the one before; None: of none.

    A tuple, since ten thousand of them are made for each pass.
    """

    id: int
    day: int
    watch: str
    dump_id: int | None
    vm: str | None
    export_name: str
    fingerprint: str
    bytes: int
    state: LinkState
    released_at: float
    released_boot: str
    released_uptime: float
    linked_at: float | None
    linked_ctime_ns: int | None
    confirmed_at: float | None
    confirmed_by: Evidence | None
    read_at: float | None
    ended_at: float | None
    in_tree: bool
    copy_inodes: str | None = None
    since_id: int | None = None
    read_again_at: float | None = None

    @property
    def released(self) -> Instant:
        """When it was charged."""
        return Instant(self.released_at, self.released_boot, self.released_uptime)

    def identity(self, dump: Identity) -> Identity:
        """What stands in the export tree of this ``dump``: itself, or a copy that shares its blocks."""
        return dump if self.copy_inodes is None else dump.of_inodes([int(one) for one in self.copy_inodes.split()])


#: More than these are picked out here: SQLite takes so many parameters in one statement on every build we meet.
_MOST_NAMES = 500
_SELECTED = select(*(link.c[name] for name in LinkRow._fields))
#: Bare, as the index has it: of a Boolean column SQLAlchemy makes ``= 1``, and SQLite does not see the two as one.
_IN_TREE = literal_column("link.in_tree", Integer)


def _links(connection: Connection, query: Select[Any]) -> list[LinkRow]:
    return list(map(LinkRow._make, connection.execute(query).all()))


def _in_order(connection: Connection, query: Select[Any]) -> list[LinkRow]:
    """In the order of granting. Sorted here: told to, SQLite would read the whole ledger, which is in order."""
    return sorted(_links(connection, query))


# --- days


_ENDED = and_(link.c.ended_at.is_not(None), link.c.state != LinkState.VOID)


def open_day(connection: Connection) -> DayRow | None:
    """The open day; None before the first one."""
    row = connection.execute(select(day).where(day.c.closed_at.is_(None))).mappings().first()
    if row is None:
        return None
    opened = Instant(row["opened_at"], row["opened_boot"], row["opened_uptime"])
    return DayRow(row["number"], opened, row["limit_bytes"], row["reserve_bytes"], row["used_bytes"], row["debt_bytes"])


def add_day(connection: Connection, number: int, now: Instant, limit: int, reserve: int) -> DayRow:
    """Opens the day ``number``; its limit is its own from now on."""
    values = {"number": number, "opened_at": now.wall, "opened_boot": now.boot_id, "opened_uptime": now.uptime}
    connection.execute(insert(day).values(**values, limit_bytes=limit, reserve_bytes=reserve))
    return DayRow(number, now, limit, reserve)


def change_day(connection: Connection, number: int, **values: Any) -> None:
    """Updates one day."""
    connection.execute(update(day).where(day.c.number == number).values(**values))


def debt(connection: Connection, *, before: int) -> int:
    """Bytes let out beyond the days before the day ``before``, and not paid by them.

    There is one debt at a time, and each day after its own pays what it could have let out. So it follows from rows
    that are never changed: the link that made it and the days.
    """
    owed = select(link.c.day, link.c.debt_bytes).where(
        link.c.debt_bytes > 0, link.c.state != LinkState.VOID, link.c.day < before
    )
    last = connection.execute(owed.order_by(link.c.id.desc()).limit(1)).first()
    if last is None:
        return 0
    whole = func.max(0, day.c.limit_bytes - day.c.reserve_bytes)
    paid = select(func.coalesce(func.sum(whole), 0)).where(day.c.number > last.day, day.c.number < before)
    return max(0, int(last.debt_bytes) - int(connection.execute(paid).scalar_one()))


# --- links


def outstanding(connection: Connection) -> list[LinkRow]:
    """Links not yet confirmed, of whatever day, in the order of granting."""
    return _in_order(connection, _SELECTED.where(link.c.ended_at.is_(None)))


def outstanding_since(connection: Connection) -> dict[str, int]:
    """VM -> the day of its newest link that is not yet confirmed."""
    query = select(link.c.vm, link.c.day, link.c.id).where(link.c.ended_at.is_(None), link.c.vm.is_not(None))
    return {vm: number for vm, number, _ in sorted(connection.execute(query).all(), key=itemgetter(2))}


def outstanding_out_of_tree(connection: Connection) -> list[LinkRow]:
    """Those of the outstanding links that are not known to stand: a pass was killed before it recorded them."""
    return _in_order(connection, _SELECTED.where(link.c.ended_at.is_(None), ~link.c.in_tree))


def kept(connection: Connection) -> list[LinkRow]:
    """Links held to stand in the export trees though they have had their end: a newer one may take their place."""
    return _in_order(connection, _SELECTED.where(_IN_TREE, link.c.ended_at.is_not(None)))


def in_tree(connection: Connection, watch: str | None = None) -> list[LinkRow]:
    """Links held to stand in the export trees, confirmed ones too."""
    query = _SELECTED.where(_IN_TREE)
    return _in_order(connection, query if watch is None else query.where(link.c.watch == watch))


def under_names(connection: Connection, watch: str, names: Collection[str] | None) -> list[LinkRow]:
    """Links that stand, or are just being made, in one export tree under these names; None for all."""
    here = [link.c.watch == watch]
    if names is not None and len(names) <= _MOST_NAMES:
        here.append(link.c.export_name.in_(names))
    standing = _links(connection, _SELECTED.where(_IN_TREE, *here))
    coming = _links(connection, _SELECTED.where(link.c.ended_at.is_(None), ~link.c.in_tree, *here))
    return [one for one in standing + coming if names is None or one.export_name in names]


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, LinkRow]:
    """Links by their id."""
    return {one.id: one for one in _links(connection, _SELECTED.where(link.c.id.in_(listed(ids))))} if ids else {}


def newest_fetched(connection: Connection, *, since_day: int, before: float) -> float | None:
    """When the newest of those links was made that the storage was seen to have ``before``.

    Of those let out on the day ``since_day`` or later. What is presumed or said by the admin was seen by nobody.
    """
    query = select(func.max(link.c.linked_at)).where(link.c.day >= since_day, link.c.confirmed_at <= before)
    newest: float | None = connection.execute(query.where(link.c.confirmed_by.in_(FETCHED))).scalar_one()
    return newest


def stands(connection: Connection, link_id: int) -> bool:
    """Whether this link is held to stand in its export tree."""
    return bool(connection.execute(select(link.c.in_tree).where(link.c.id == link_id)).scalar_one())


def has_some_in_tree(connection: Connection, watch: str) -> bool:
    """True when a link is held to stand in the export tree of this watch folder."""
    query = select(link.c.id).where(_IN_TREE, link.c.watch == watch)
    return connection.execute(query.limit(1)).first() is not None


def newest_in_tree(connection: Connection, watch: str, limit: int) -> list[LinkRow]:
    """The newest links held to stand in the export tree of one watch folder, newest first."""
    query = _SELECTED.where(_IN_TREE, link.c.watch == watch).order_by(link.c.id.desc()).limit(limit)
    return _links(connection, query)


def in_tree_and(connection: Connection, states: Collection[LinkState]) -> list[LinkRow]:
    """Those of the links held to stand in the export trees that are in one of these states."""
    return _in_order(connection, _SELECTED.where(_IN_TREE, link.c.state.in_(states)))


def of_vm(connection: Connection, vm: str, limit: int) -> list[LinkRow]:
    """The newest links of one VM, newest first."""
    return _links(connection, _SELECTED.where(link.c.vm == vm).order_by(link.c.id.desc()).limit(limit))


def of_day(connection: Connection, number: int) -> list[LinkRow]:
    """The links of one day, in the order of granting."""
    return _links(connection, _SELECTED.where(link.c.day == number).order_by(link.c.id))


def ended_of_day(connection: Connection, day: int) -> list[LinkRow]:
    """Links that were let out on this day or later and are no longer outstanding."""
    return _links(connection, _SELECTED.where(_ENDED, link.c.day >= day))


def ended_and_recent(connection: Connection, day: int, now: Instant, seconds: float) -> list[LinkRow]:
    """Those of ``ended_of_day``, and those granted so lately, of whatever day. Reads the whole ledger.

    Lately is what ``Instant.elapsed_since`` says: by the wall clock or by the uptime of this boot.
    """
    lately = or_(
        link.c.released_at > now.wall - seconds,
        and_(link.c.released_boot == now.boot_id, link.c.released_uptime > now.uptime - seconds),
    )
    return _links(connection, _SELECTED.where(_ENDED, or_(link.c.day >= day, lately)))


@dataclass(frozen=True, slots=True)
class Outstanding:
    """All links not yet confirmed."""

    links: int
    bytes: int


def outstanding_total(connection: Connection) -> Outstanding:
    """How many links are outstanding and what they weigh."""
    total = select(func.count(), func.coalesce(func.sum(link.c.bytes), 0))
    return Outstanding(*connection.execute(total.where(link.c.ended_at.is_(None))).one())


def waiting_since(connection: Connection) -> float | None:
    """Since when the storage has not fetched what is outstanding; None: nothing is.

    A link that took an unread one's place waits since that one was granted.
    """
    first = link.alias()
    since = select(first.c.released_at).where(first.c.id == link.c.since_id).scalar_subquery()
    query = select(func.min(func.coalesce(since, link.c.released_at))).where(link.c.ended_at.is_(None))
    oldest: float | None = connection.execute(query).scalar_one()
    return oldest


def last_read(connection: Connection, since: float) -> float | None:
    """The newest read of any link after ``since``."""
    query = select(func.max(link.c.read_at)).where(link.c.read_at > since)
    newest: float | None = connection.execute(query).scalar_one()
    return newest


def has_some_read(connection: Connection, since: float) -> bool:
    """True when an outstanding link was read after ``since``."""
    query = select(link.c.id).where(link.c.ended_at.is_(None), link.c.read_at > since)
    return connection.execute(query.limit(1)).first() is not None


def grant(connection: Connection, rows: Sequence[dict[str, Any]], now: Instant) -> list[int]:
    """Charges the day: inserts rows in the state ``granted`` and returns their ids in order."""
    stamp = {"released_at": now.wall, "released_boot": now.boot_id, "released_uptime": now.uptime}
    first = int(connection.execute(select(func.coalesce(func.max(link.c.id), 0))).scalar_one()) + 1
    numbered = [
        {"id": first + offset, "state": LinkState.RELEASED, "in_tree": False, **stamp, **row}
        for offset, row in enumerate(rows)
    ]
    insert_many(connection, link, numbered)
    return [row["id"] for row in numbered]


def change_link(connection: Connection, link_id: int, **values: Any) -> None:
    """Updates one link."""
    connection.execute(update(link).where(link.c.id == link_id).values(**values))


def change_links(connection: Connection, ids: Iterable[int], **values: Any) -> None:
    """Updates links to the same values."""
    wanted = list(ids)
    if wanted:
        connection.execute(update(link).where(link.c.id.in_(listed(wanted))).values(**values))


def rename_vm(connection: Connection, old: str, new: str) -> None:
    """Gives the links of one VM to another."""
    connection.execute(update(link).where(link.c.vm == old).values(vm=new))


def set_linked(connection: Connection, ctimes: Iterable[tuple[int, int]], now: float) -> None:
    """Records that links stand: (link id, newest ctime of its files right after linking) each."""
    stamps = dict(ctimes)
    if stamps:
        given = paired(stamps)
        statement = update(link).where(link.c.id == cast(given.c.key, Integer))
        stands = {"state": LinkState.LINKED, "in_tree": True}
        connection.execute(statement.values(linked_at=now, linked_ctime_ns=given.c.value, **stands))


_SET_COPIED = (
    update(link)
    .where(link.c.id == bindparam("row"))
    .values(fingerprint=bindparam("fingerprint"), copy_inodes=bindparam("copy_inodes"))
)


def set_copied(connection: Connection, copies: Mapping[int, Identity]) -> None:
    """Records what stands in place of the dump: link id -> the copy."""
    if copies:
        rows = [{"row": link_id, **copied(copy)} for link_id, copy in copies.items()]
        connection.execute(_SET_COPIED, rows)


def copied(copy: Identity) -> dict[str, str]:
    """The columns of a link that is this copy of its dump."""
    return {"fingerprint": copy.fingerprint, "copy_inodes": " ".join(map(str, copy.inodes))}


def links_of_sync(connection: Connection, sync_id: int) -> list[LinkRow]:
    """The links that stood when this sync was announced, as they are now, in the order of granting."""
    sealed = select(sealed_link.c.link_id).where(sealed_link.c.sync_id == sync_id)
    return _in_order(connection, _SELECTED.where(link.c.id.in_(sealed)))
