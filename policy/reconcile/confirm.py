"""From a link to a copy off-site: what follows when the storage is held to have a dump."""

from collections.abc import Sequence

from core.enums import DumpState, Evidence, LinkState
from core.state import counters, dumps, ledger, vms
from core.state.database import Connection
from core.state.ledger import LinkRow
from core.state.vms import VmRow


def confirm(connection: Connection, links: Sequence[LinkRow], by: Evidence, now: float) -> None:
    """Confirms outstanding links: their dumps have their end, their VMs a newer off-site time."""
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
    """Gives the VMs of confirmed dumps their off-site time; what is older has its end."""
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
    """Dumps older than their VM's off-site copy have their end: they would not make it any fresher."""
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
