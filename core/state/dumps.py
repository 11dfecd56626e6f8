"""Dumps in the state: rows, and the statements that read and write them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from core.enums import DumpState, Reason
from core.fs.fingerprint import Identity, Member
from core.markers.format import MarkerKind
from core.state.bulk import insert_many, listed
from core.state.schema import dump, member, vm

#: SQLite takes so many parameters in one statement on every build we meet.
_BATCH = 500
#: Rows that are converted at once where there may be very many.
_PORTION = 1000


class DumpRow(NamedTuple):
    """One row of the table ``dump``. A tuple, since ten thousand of them are made for each pass."""

    id: int
    watch: str
    path: str
    fingerprint: str
    is_folder: bool
    bytes: int
    vm: str | None
    vm_said: bool
    backup_set: str | None
    state: DumpState
    reason: Reason | None
    detail: str
    dump_time: float
    recorded_at: float
    ended_at: float | None
    signature: str
    marker_standing: bool
    sha256: str | None


_COLUMNS = [dump.c[name] for name in DumpRow._fields]
#: Bare, as the index has it: of a Boolean column SQLAlchemy makes ``= 1``, and SQLite does not see the two as one.
_MARKER_STANDING = literal_column("dump.marker_standing", Integer)

_OTHER = dump.alias()
#: By the index from VM to VM: how long the history of each is does not matter.
_NEWEST_OF_VM = (
    select(_OTHER.c.id)
    .where(_OTHER.c.vm == vm.c.name)
    .order_by(_OTHER.c.dump_time.desc(), _OTHER.c.id.desc())
    .limit(1)
    .correlate(vm)
    .scalar_subquery()
)
_NEWEST = select(*_COLUMNS).join_from(vm, dump, dump.c.id == _NEWEST_OF_VM).where(vm.c.retired_at.is_(None))


#: Made once: it is asked for every marker.
_BY_PATHS = (
    select(*_COLUMNS)
    .where(dump.c.watch == bindparam("in_watch"), dump.c.path.in_(bindparam("paths", expanding=True)))
    .order_by(dump.c.id)
)


def _rows(connection: Connection, query: Select[Any], **given: Any) -> list[DumpRow]:
    return list(map(DumpRow._make, connection.execute(query, given).all()))


def by_paths(connection: Connection, watch: str, paths: Sequence[str]) -> list[DumpRow]:
    """All rows of these paths, oldest first."""
    found: list[DumpRow] = []
    for batch in _batches(paths):
        found.extend(_rows(connection, _BY_PATHS, in_watch=watch, paths=batch))
    return found


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, DumpRow]:
    """Rows by their id."""
    query = select(*_COLUMNS).where(dump.c.id.in_(listed(ids))).order_by(dump.c.id)
    return {row.id: row for row in _rows(connection, query)}


def still_so(connection: Connection, rows: Iterable[DumpRow]) -> set[int]:
    """The ids of those of ``rows`` that are in the state, for the reason and of the fingerprint that they tell."""
    told = {row.id: (row.state, row.reason, row.fingerprint) for row in rows}
    query = select(dump.c.id, dump.c.state, dump.c.reason, dump.c.fingerprint).where(dump.c.id.in_(listed(told)))
    return {found for found, *now in connection.execute(query).all() if tuple(now) == told[found]}


def without_end(connection: Connection) -> list[DumpRow]:
    """Every dump that still needs a decision, in the order of recording.

    Sorted here: told to, SQLite would read all that have their end as well, which come in order.
    """
    return sorted(_rows(connection, select(*_COLUMNS).where(dump.c.ended_at.is_(None))))


def has_some_in(connection: Connection, states: Collection[DumpState]) -> bool:
    """True when a dump without an end is in one of these states."""
    query = select(dump.c.id).where(dump.c.ended_at.is_(None), dump.c.state.in_(states))
    return connection.execute(query.limit(1)).first() is not None


def without_end_because(connection: Connection, reason: Reason) -> list[DumpRow]:
    """Dumps without an end that cannot leave for this reason."""
    return _rows(connection, select(*_COLUMNS).where(dump.c.ended_at.is_(None), dump.c.reason == reason))


def of_vm(connection: Connection, vm: str, limit: int) -> list[DumpRow]:
    """The newest dumps of one VM, newest first."""
    query = select(*_COLUMNS).where(dump.c.vm == vm).order_by(dump.c.dump_time.desc(), dump.c.id.desc())
    return _rows(connection, query.limit(limit))


def newest_of_each(connection: Connection) -> dict[str, DumpRow]:
    """VM that is not retired -> its newest dump, ended or not."""
    return {row.vm: row for row in _rows(connection, _NEWEST) if row.vm is not None}


def pending_by_fingerprint(connection: Connection, watch: str, fingerprint: str) -> DumpRow | None:
    """The dump that waits and is made of exactly these files."""
    query = select(*_COLUMNS).where(
        dump.c.watch == watch, dump.c.fingerprint == fingerprint, dump.c.state == DumpState.PENDING
    )
    rows = _rows(connection, query)
    return rows[0] if rows else None


def pending_of_size(connection: Connection, watch: str, size: int) -> list[DumpRow]:
    """The dumps of one watch folder that wait and weigh this much."""
    query = select(*_COLUMNS).where(dump.c.watch == watch, dump.c.state == DumpState.PENDING, dump.c.bytes == size)
    return [row for row in _rows(connection, query) if row.fingerprint]


def with_ended_markers(connection: Connection) -> list[DumpRow]:
    """Dumps that have their end while their markers may still stand."""
    return _rows(connection, select(*_COLUMNS).where(_MARKER_STANDING, dump.c.ended_at.is_not(None)))


def beside_failures(connection: Connection) -> list[DumpRow]:
    """Dumps without an end beside which a marker of a failure stands too."""
    query = select(*_COLUMNS).where(_MARKER_STANDING, dump.c.ended_at.is_(None))
    return _rows(connection, query.where(dump.c.signature.contains(f"{MarkerKind.FAILED}:")))


def standing_markers(
    connection: Connection, watch: str, folder: str = "", *, before: float | None = None
) -> dict[str, str]:
    """Path -> signature of the latest row of each dump whose markers are held to stand.

    Only of dumps below ``folder``, a path in the watch folder, and recorded ``before``.
    """
    query = select(dump.c.path, dump.c.signature).where(_stands_in(watch, folder)).order_by(dump.c.id)
    if before is not None:
        query = query.where(dump.c.recorded_at < before)
    # In portions: of a hundred thousand rows at once Python's collector would follow every one, again and again.
    return {path: signature for part in connection.execute(query).partitions(_PORTION) for path, signature in part}


def standing_hindered(
    connection: Connection, watch: str, folder: str, states: Collection[DumpState]
) -> dict[str, tuple[DumpState, Reason | None]]:
    """Path -> state and reason, of those ``standing_markers`` that are in one of these states or have a reason."""
    query = select(dump.c.path, dump.c.state, dump.c.reason).where(_stands_in(watch, folder)).order_by(dump.c.id)
    rows = connection.execute(query.where(or_(dump.c.state.in_(states), dump.c.reason.is_not(None))))
    return {path: (state, reason) for path, state, reason in rows.all()}


def _stands_in(watch: str, folder: str) -> ColumnElement[bool]:
    stands = and_(dump.c.watch == watch, _MARKER_STANDING)
    if not folder:
        return stands
    return and_(stands, dump.c.path > f"{folder}/", dump.c.path < f"{folder}0")  # the byte after "/" is "0"


def add(connection: Connection, values: dict[str, Any]) -> int:
    """Inserts one row and returns its id."""
    return int(connection.execute(insert(dump).values(**values).returning(dump.c.id)).scalar_one())


def add_many(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts rows of one shape."""
    insert_many(connection, dump, rows)


def change(connection: Connection, dump_id: int, **values: Any) -> None:
    """Updates one row."""
    connection.execute(update(dump).where(dump.c.id == dump_id).values(**values))


def change_many(connection: Connection, ids: Iterable[int], **values: Any) -> None:
    """Updates rows to the same values."""
    wanted = list(ids)
    if wanted:
        connection.execute(update(dump).where(dump.c.id.in_(listed(wanted))).values(**values))


def end(connection: Connection, dump_id: int, state: DumpState, now: float, **values: Any) -> None:
    """Gives a dump its end."""
    change(connection, dump_id, state=state, reason=None, ended_at=now, **values)


def rename_vm(connection: Connection, old: str, new: str) -> None:
    """Gives the dumps of one VM to another. Whose they are was said by then: their names clash with nobody's."""
    connection.execute(update(dump).where(dump.c.vm == old).values(vm=new, vm_said=True))


def set_members(connection: Connection, dump_id: int, identity: Identity) -> None:
    """Records the files of a dump that is a folder."""
    connection.execute(delete(member).where(member.c.dump_id == dump_id))
    rows = [
        {
            "dump_id": dump_id,
            "name": one.name,
            "inode": _signed(one.inode),
            "size": one.size,
            "mtime_ns": one.mtime_ns,
        }
        for one in identity.members
    ]
    if identity.is_folder and rows:
        connection.execute(insert(member), rows)


def identity_of(connection: Connection, row: DumpRow) -> Identity:
    """The recorded identity of a dump that was once taken (its fingerprint is not empty)."""
    if not row.is_folder:
        return file_identity(row.fingerprint)
    query = select(member.c.name, member.c.inode, member.c.size, member.c.mtime_ns)
    rows = connection.execute(query.where(member.c.dump_id == row.id).order_by(member.c.name))
    members = (Member(name, inode % (1 << 64), size, mtime_ns) for name, inode, size, mtime_ns in rows)
    return Identity(True, tuple(sorted(members, key=lambda one: one.name)))


def identities_of(connection: Connection, rows: Collection[DumpRow]) -> dict[int, Identity]:
    """``identity_of`` for many rows, by their ids."""
    members: dict[int, list[Member]] = {row.id: [] for row in rows if row.is_folder}
    query = select(member.c.dump_id, member.c.name, member.c.inode, member.c.size, member.c.mtime_ns)
    query = query.where(member.c.dump_id.in_(listed(members)))
    for dump_id, name, inode, size, mtime_ns in connection.execute(query):
        members[dump_id].append(Member(name, inode % (1 << 64), size, mtime_ns))
    found = {dump_id: Identity(True, tuple(sorted(files))) for dump_id, files in members.items()}
    return found | {row.id: file_identity(row.fingerprint) for row in rows if not row.is_folder}


def unverified(connection: Connection, ids: Collection[int]) -> set[int]:
    """Those of these dumps that are not known to have passed their checks."""
    return set(connection.scalars(select(dump.c.id).where(dump.c.id.in_(listed(ids)), ~dump.c.verified)))


def bodies(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """What the markers of these dumps said, as JSON; of those whose markers said anything."""
    query = select(dump.c.id, dump.c.body).where(dump.c.id.in_(listed(ids)), dump.c.body.is_not(None))
    return dict(map(tuple, connection.execute(query)))


def _signed(inode: int) -> int:
    """As SQLite can hold it: some filesystems use all of the 64 bits."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def file_identity(fingerprint: str) -> Identity:
    """The identity of a single file, from its fingerprint alone."""
    inode, size, mtime_ns = map(int, fingerprint.split(":"))
    return Identity(False, (Member("", inode, size, mtime_ns),))


def _batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), _BATCH):
        yield paths[start : start + _BATCH]
