"""From a link to a copy off-site: what follows when the storage is held to have a dump."""

import logging
from collections.abc import Sequence
from sqlite3 import Connection

from core.enums import DumpState, Evidence, LinkState
from core.filenames import printable
from core.state import counters, dumps, ledger, vms
from core.state.ledger import LinkRow
from core.state.vms import VmRow

log = logging.getLogger("tidegate.policy")

_IS_NO_MIRROR = 'the storage is no mirror; set [offsite] storage = "collect"'
_SHOWN_NAMES = 5


def confirm(connection: Connection, links: Sequence[LinkRow], by: Evidence, now: float) -> None:
    """Confirms outstanding links: their dumps have ended, their VMs have a newer off-site time."""
    if not links:
        return
    ids = [link.id for link in links]
    ledger.change_links(connection, ids, state=LinkState.CONFIRMED, confirmed_at=now, confirmed_by=by, ended_at=now)
    dump_ids = [link.dump_id for link in links if link.dump_id is not None]
    dumps.change_many(connection, dump_ids, state=DumpState.CONFIRMED, reason=None, detail="", ended_at=now)
    freshen(connection, dump_ids, by, now)
    counters.count(connection, "confirmed_dumps", len(dump_ids))
    counters.count(connection, "confirmed_bytes", sum(link.bytes for link in links))


def freshen(connection: Connection, dump_ids: Sequence[int], by: Evidence, now: float) -> None:
    """Gives the VMs of confirmed dumps their off-site time, and ends their older dumps."""
    known = vms.all_vms(connection)
    fresher: dict[str, VmRow] = {}
    for row in dumps.by_ids(connection, dump_ids).values():
        vm = fresher.get(row.vm or "", known.get(row.vm or ""))
        if vm is not None and (vm.offsite_time is None or vm.offsite_time <= row.dump_time):
            fresher[vm.name] = vm._replace(
                offsite_time=row.dump_time,
                offsite_at=now,
                offsite_by=by,
                offsite_dump_id=row.id,
                backing_off_until=None,
            )
    vms.save(connection, fresher.values())
    end_older(connection, {name: vm.offsite_time for name, vm in fresher.items() if vm.offsite_time}, now)


def end_older(connection: Connection, offsite_times: dict[str, float], now: float) -> None:
    """Ends dumps older than their VM's off-site copy: they would not make it any fresher."""
    older = [
        row
        for row in dumps.without_end(connection)
        if row.vm in offsite_times
        and row.dump_time < offsite_times[row.vm]
        and row.state not in (DumpState.RELEASED, DumpState.LINKED)
    ]
    dumps.change_many(
        connection,
        [row.id for row in older],
        state=DumpState.SUPERSEDED,
        detail="a newer dump is off-site",
        ended_at=now,
    )


# --- what a mirror should have fetched once


def record_read_again(connection: Connection, read: Sequence[tuple[LinkRow, float]]) -> None:
    """Kept links, each with the time of a read long after the storage had it. Who read it is not known."""
    for link, at in read:
        ledger.change_link(connection, link.id, read_again_at=at)
    if read:
        counters.count(connection, "links_read_again", len(read))
        names = _names([link for link, _ in read])
        log.warning("read again although the storage has them: %s. If it was the storage, %s.", names, _IS_NO_MIRROR)


def record_sent_again(connection: Connection, links: Sequence[LinkRow]) -> None:
    """Links that a log of rsync names, and that the storage had before that sync."""
    if links:
        counters.count(connection, "links_sent_again", len(links))
        log.warning("sent again although the storage has them: %s. So %s.", _names(links), _IS_NO_MIRROR)


def _names(links: Sequence[LinkRow]) -> str:
    names = [printable(link.export_name) for link in links[:_SHOWN_NAMES]]
    more = len(links) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
