"""Every metric of VMs, days and links: its name, what it is read from, and a help text that says what to do with it.

To add one: put a `Family` into the table whose rows have its value, and renew what the tests compare with
(`RENEW=1 pytest tests/exporters`). What the state does not give yet is one more function of ``core.state``.
``host_metrics`` has those of Tidegate itself.

Times are seconds since the epoch and never ages: what never happened has no series, and no age stays the same when the
exporter has died. Labels come from a closed list: names, paths and ids of dumps are never among them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from core import dump_history
from core.enums import Freshness
from core.reasons import Reason, Verdict
from core.state import decisions, ledger, slices, vms
from core.state.ledger import DayRow
from core.state.vms import VmFigures
from exporters.families import Collector, Family, Read, Table, View


class Tally(NamedTuple):
    """How many there are of what a label's ``word`` says."""

    word: str
    value: int
    bytes: int = 0


def total(name: str) -> Callable[[Mapping[str, Mapping[str, int]]], float]:
    """A counter without a label, of all counters."""
    return lambda counters: counters.get(name, {}).get("", 0)


def tallies(name: str, words: Sequence[str]) -> Read:
    """A counter with a label: the closed set's words, unused ones as 0; then whatever else was counted."""

    def read(view: View) -> Iterator[Tally]:
        counted = view.counters.get(name, {})
        for word in dict.fromkeys([*words, *sorted(counted)]):
            yield Tally(word, counted.get(word, 0))

    return read


# --- single VMs

_VM_INFO = Table(
    lambda view: view.vm_figures,
    {"vm": "name", "backup_set": lambda vm: vm.backup_set or ""},
    Family(
        "tidegate_vm_info",
        lambda _: 1,
        "Always 1 for each VM that is not retired, with its backup set. Join it on vm to group or route by backup set;"
        " no other series has that label, so that a VM that changes its set keeps its history.",
    ),
)


def _shrunk(vm: VmFigures) -> int | None:
    return None if vm.last_dump_time is None else int(dump_history.shrunk_from(vm.dump_sizes) is not None)


_VMS = Table(
    lambda view: view.vm_figures,
    {"vm": "name"},
    Family(
        "tidegate_vm_first_seen_timestamp_seconds",
        "first_seen",
        "When the VM was first seen. While it was never off-site, the age of its missing copy counts from here.",
    ),
    Family(
        "tidegate_vm_last_dump_timestamp_seconds",
        "last_dump_time",
        "Point in time whose data the VM's newest finished dump holds. Too long ago: its dump job does not run or does"
        " not write its marker. Absent: no dump of it ever finished.",
    ),
    Family(
        "tidegate_vm_last_dump_size_bytes",
        lambda vm: None if vm.last_dump_time is None else vm.last_dump_bytes,
        "Size of the VM's newest finished dump. A sudden fall: look whether the dump is whole. Above the day's limit:"
        " it cannot leave.",
    ),
    Family(
        "tidegate_vm_last_dump_shrunk",
        _shrunk,
        "1: the VM's newest dump is below half of what its dumps usually are. It leaves all the same: look whether it"
        " lacks something. 0: it is as usual. Absent: no dump of it ever finished.",
    ),
    Family(
        "tidegate_vm_last_dump_success",
        lambda vm: None if vm.last_result_at is None else int(not vm.last_dump_failed),
        "1: the VM's last dump finished. 0: it failed; read the log of its dump job. Absent: neither was ever"
        " reported.",
    ),
    Family(
        "tidegate_vm_offsite_timestamp_seconds",
        lambda vm: None if vm.is_dropped else vm.offsite_time,
        "Point in time that the storage's newest copy of the VM holds: what a disaster leaves you with. Alert when it"
        " is further back than tidegate_vm_target_seconds, and ask `tidegate explain VM` why. Absent: never off-site,"
        " or kept there for its whole retention.",
    ),
    Family(
        "tidegate_vm_target_seconds",
        "target",
        "Off-site age that the VM is meant to stay under, as the last pass worked it out: the threshold to alert by."
        " Absent: no pass has seen the VM yet.",
    ),
)

# --- all VMs: counted when the text is made, since a copy gets too old by waiting


def _states(view: View) -> Iterator[Tally]:
    one = view.vm_counts
    yield Tally(Freshness.FRESH, one.vms - one.never - one.new - one.stale)
    yield Tally(Freshness.STALE, one.stale)
    yield Tally(Freshness.NEVER, one.never)
    yield Tally(Freshness.NEW, one.new)


_STATES = Table(
    _states,
    {"state": "word"},
    Family(
        "tidegate_vms",
        "value",
        "VMs that are not retired, by the age of their off-site copies against their targets: fresh, stale, never where"
        " there is none, or new where the first one is not due yet. `tidegate status` names them, the worst first.",
    ),
)

_ALL_VMS = Table(
    lambda view: [view.vm_counts],
    {},
    Family(
        "tidegate_vms_past_target",
        "past_target",
        "VMs whose off-site copy is older than its target, or that have waited longer than that for their first one."
        " Above 0: `tidegate status` names them. What alerts use where there are no series of single VMs.",
    ),
    Family(
        "tidegate_vms_past_twice_target",
        "past_twice_target",
        "Those of them that are past twice their target, which no queue that is a little late explains. Their dumps"
        " fail, cannot leave, or are not fetched.",
    ),
    Family(
        "tidegate_vms_oldest_offsite_timestamp_seconds",
        "oldest_offsite",
        "Point in time that the oldest of the VMs' newest off-site copies holds: the furthest that a disaster would"
        " set one of them back. Absent: there is no copy.",
    ),
    Family(
        "tidegate_vms_first_seen_timestamp_seconds",
        "first_seen",
        "When the first of the VMs was seen. While no pass has ever run, it is missed since then. Absent: there is no"
        " VM.",
    ),
)

# --- what was not released


def _not_released(view: View) -> Iterator[Tally]:
    """Of each reason, also where there is none, so that its first dump is seen as growth."""
    found = decisions.not_released(view.connection)
    for reason in Reason:
        if reason.verdict is not Verdict.RELEASED and reason is not Reason.NEXT_PASS:
            yield Tally(reason, *found.get(reason, (0, 0)))


_WAITING = Table(
    _not_released,
    {"reason": "word"},
    Family(
        "tidegate_dumps_waiting",
        "value",
        "Dumps that the last pass did not release, by its reason. limit_reached comes down by itself from day to day;"
        " oversize, changed, unsafe, ambiguous, bad_marker and link_error need you: `tidegate plan` names them.",
    ),
    Family(
        "tidegate_dumps_waiting_bytes",
        "bytes",
        "Size of the dumps that the last pass did not release, by its reason. limit_reached that grows for days: the"
        " limit cannot keep up with the dumps.",
    ),
)

# --- the day and its account


class _Day(NamedTuple):
    row: DayRow
    outstanding: int

    @property
    def left(self) -> int:
        return max(0, self.row.limit_bytes - self.row.reserve_bytes - self.outstanding - self.row.used_bytes)


def _open_day(view: View) -> Iterator[_Day]:
    day = ledger.open_day(view.connection)
    if day is not None:
        yield _Day(day, slices.outstanding_bytes(view.connection, day.number))


_DAY = Table(
    _open_day,
    {},
    Family(
        "tidegate_day_number",
        "row.number",
        "Number of the open day. It grows by one with each sync or at the set hour; while it does not, nobody pulls.",
    ),
    Family(
        "tidegate_day_opened_timestamp_seconds",
        "row.opened.wall",
        'When the open day began. More than a day and a half ago with ends = "sync": no sync has passed since; look at'
        " the puller.",
    ),
    Family(
        "tidegate_day_limit_bytes",
        "row.limit_bytes",
        "Bytes that the open day may release: the limit to compare the others with.",
    ),
    Family(
        "tidegate_day_reserve_bytes",
        "row.reserve_bytes",
        "The part of the limit that is never released, as configured: compare with what other traffic needs.",
    ),
    Family(
        "tidegate_day_used_bytes",
        "row.used_bytes",
        "What was released in the open day and is no longer outstanding, whatever became of it, and the debt that it"
        " pays. It comes back with the next day.",
    ),
    Family(
        "tidegate_day_debt_bytes",
        "row.debt_bytes",
        "What an oversize dump that was released alone still takes from this day and the coming ones; it comes down by"
        ' a limit a day. Always 0 unless [limit] oversize is "spread".',
    ),
    Family(
        "tidegate_day_left_bytes",
        "left",
        "What may still be released today: limit less reserve, used and outstanding. 0 is how a busy day ends and no"
        " fault.",
    ),
)

# --- links


class _Links(NamedTuple):
    links: int
    bytes: int
    oldest: float | None
    last_fetched: float | None


def _outstanding(view: View) -> Iterator[_Links]:
    all_of_them = ledger.outstanding_total(view.connection)
    oldest = ledger.waiting_since(view.connection)
    yield _Links(all_of_them.links, all_of_them.bytes, oldest, vms.last_fetched(view.connection))


_LINKS = Table(
    _outstanding,
    {},
    Family(
        "tidegate_outstanding_links",
        "links",
        "Links of whatever day that are not confirmed yet. Every sync should bring it down.",
    ),
    Family(
        "tidegate_outstanding_bytes",
        "bytes",
        "Size of the links that are not confirmed yet. They count against every day's limit: while nothing is fetched,"
        " nothing more is released.",
    ),
    Family(
        "tidegate_outstanding_oldest_timestamp_seconds",
        "oldest",
        "When the oldest link that is not yet confirmed was released. Days ago: the puller is down or leaves it out."
        " Absent: there is none.",
    ),
    Family(
        "tidegate_last_fetched_timestamp_seconds",
        "last_fetched",
        "When the storage was last seen to have fetched a dump, by report, read or removal. Before the oldest link"
        " that is not confirmed, and that for days: the puller is down. Absent: never.",
    ),
)

_LINK_COUNTERS = Table(
    lambda view: [view.counters],
    {},
    Family(
        "tidegate_released_dumps_total",
        total("released_dumps"),
        "Dumps released. No growth while dumps wait: look at the passes.",
    ),
    Family(
        "tidegate_released_bytes_total",
        total("released_bytes"),
        "Bytes released: what the link to the storage had to carry at most.",
    ),
    Family(
        "tidegate_limit_exceeded_bytes_total",
        total("limit_exceeded_bytes"),
        "Bytes released above the limit by `tidegate force VM --over-limit`. Any growth: somebody decided that;"
        " nothing else exceeds the limit.",
    ),
    Family(
        "tidegate_confirmed_dumps_total",
        total("confirmed_dumps"),
        "Dumps that the storage has, by the evidence that [offsite] confirm names. It should follow"
        " tidegate_released_dumps_total within a day.",
    ),
    Family(
        "tidegate_confirmed_bytes_total",
        total("confirmed_bytes"),
        "Size of the dumps that the storage has, by the same evidence. Far behind tidegate_released_bytes_total for"
        " days: the large ones are not fetched.",
    ),
    Family(
        "tidegate_wire_sent_bytes_total",
        total("wire_sent_bytes"),
        "Bytes transferred to the storage, as rsync reports. Far below tidegate_released_bytes_total: rsync finds most"
        " of them there already. Stays 0 while no sync reports it (`tidegate synced --stats`, deploy/rsyncd).",
    ),
    Family(
        "tidegate_wire_received_bytes_total",
        total("wire_received_bytes"),
        "Bytes transferred from the storage, as rsync reports: its checksums of what it has already. They count"
        " against no limit: set [limit] reserve where both directions are charged.",
    ),
    Family(
        "tidegate_wire_beyond_charge_bytes_total",
        total("wire_beyond_charge_bytes"),
        "Bytes transferred to the storage beyond all that was released for the day. More than rsync's own overhead:"
        " kept links were fetched again, an interrupted transfer began anew, or a second puller fetches too; `tidegate"
        " history` shows the day.",
    ),
    Family(
        "tidegate_links_sent_again_total",
        total("links_sent_again"),
        "Kept links that were transferred though the storage had them. Any growth: it does not mirror the export tree;"
        ' set [offsite] storage = "collect".',
    ),
    Family(
        "tidegate_links_read_again_total",
        total("links_read_again"),
        "Kept links that were read again long after the storage had them. If the storage reads them, it fetches them"
        ' again: set [offsite] storage = "collect". If a program on this host does, nothing is wrong.',
    ),
    Family(
        "tidegate_link_failures_total",
        total("link_failures"),
        "Dumps that were to be released and could not be linked. Any growth: the log and `tidegate plan` name the file"
        " and why.",
    ),
    Family(
        "tidegate_foreign_files_total",
        total("foreign_files"),
        "Files found in an export tree that Tidegate did not put there. They are charged to the day and never deleted:"
        " remove them, or `tidegate adopt` what an earlier script linked.",
    ),
)

_TAKEN_BACK = Table(
    tallies("links_taken_back", (Reason.CHANGED, Reason.RUNNING, Reason.BACKING_OFF, Reason.MISSING)),
    {"reason": "word"},
    Family(
        "tidegate_links_taken_back_total",
        "value",
        "Links that were removed before their time. changed: a dump was rewritten in place after it was released; dump"
        " to a new name each time. running: a marker reported that it is being dumped again. backing_off: nobody"
        " fetched it for three days while others were; its VM is in the queue again a week later. missing: somebody"
        " else removed the link from the export tree; find out who.",
    ),
)

VM_SERIES = Collector("vm_series", _VM_INFO, _VMS)
ALL_VMS = Collector("vms", _STATES, _ALL_VMS, by_clock=True)
WAITING = Collector("waiting", _WAITING)
DAY = Collector("day", _DAY)
LINKS = Collector("links", _LINKS, _LINK_COUNTERS, _TAKEN_BACK)
