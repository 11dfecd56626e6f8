"""What each shipped alert is tried with: the figures of a host, minute by minute, and what is then said of them."""

from collections.abc import Mapping
from typing import NamedTuple

Labels = dict[str, str]

HOST = {"job": "tidegate", "instance": "host:9877"}
WATCH = HOST | {"watch": "dumps"}
VM = HOST | {"vm": "vm1"}
NODE = {"job": "node", "instance": "host:9100"}
FILE = NODE | {"file": "/var/lib/prometheus/node-exporter/tidegate.prom"}


def named(metric: str, labels: Labels, **more: str) -> str:
    """A series as promtool is told of it."""
    return metric + "{" + ", ".join(f'{key}="{value}"' for key, value in (labels | more).items()) + "}"


class Case(NamedTuple):
    """``series``: name with labels -> values, one a step.

    Steps: the last before it fires, the first at which it does, the first at which it is over.
    ``says``: its summary then; ``labels``: all but name and severity. ``also``: what fires for the same cause then.
    ``minutes`` of a step.
    """

    series: Mapping[str, str]
    before: int
    fires: int
    clears: int
    says: str
    labels: Labels = HOST
    also: tuple[str, ...] = ()
    minutes: int = 1


UP = {named("up", HOST): "1x5000"}
BUCKET = "tidegate_marker_record_seconds_bucket"


def gauge(metric: str, values: str, labels: Labels = HOST, **more: str) -> dict[str, str]:
    """One series."""
    return {named(metric, labels, **more): values}


def offsite(values: str, vm: str = "vm1", target: str = "7200x5000") -> dict[str, str]:
    """A VM whose copy may be two hours old."""
    return gauge("tidegate_vm_offsite_timestamp_seconds", values, HOST, vm=vm) | gauge(
        "tidegate_vm_target_seconds", target, HOST, vm=vm
    )


def dumped(vm: str, sizes: str) -> dict[str, str]:
    """A VM that is to leave each day."""
    return gauge("tidegate_vm_last_dump_size_bytes", sizes, HOST, vm=vm) | gauge(
        "tidegate_vm_target_seconds", "86400x200", HOST, vm=vm
    )


def late(le: str) -> dict[str, str]:
    """Four markers of twenty that were recorded late."""
    return (
        gauge("tidegate_marker_record_seconds_count", "7+1x9 20x120")
        | gauge(BUCKET, "7+1x9 16x120", HOST, le=le)
        | gauge(BUCKET, "7+1x9 20x120", HOST, le="3600")
    )


#: Steps of so many minutes, where it takes a day and more.
TEN, QUARTER = 10, 15
LIMIT = gauge("tidegate_day_limit_bytes", "10000000000x1700") | gauge("tidegate_day_reserve_bytes", "0x1700")
WEEK = 168
#: Two VMs; the second doubles for eighty minutes.
DENSE = LIMIT | dumped("vm1", "6000000000x200") | dumped("vm2", "3000000000x9 6000000000x79 3000000000x60")
EVERY_HOUR = gauge("tidegate_pass_interval_seconds", "3600x5000")
FOUR_OF_TWELVE = {
    series: values
    for number in range(12)
    for series, values in offsite("0x149 9000x40" if number < 4 else "0+60x200", f"vm{number}").items()
}
STALE = "The off-site copy of vm1 has 113.3% of the age that it may have"

#: In each the first ten minutes are good ones.
CORE = {
    "TidegateVmStale": Case(offsite("0x149 9000x40"), 135, 136, 150, STALE, VM),
    "TidegateRecoveryPointOld": Case(
        offsite("0x299 18000x40"),
        255,
        256,
        300,
        "The off-site copy of vm1 is more than twice as old as it may be",
        VM,
        also=("TidegateVmStale",),
    ),
    "TidegateManyVmsStale": Case(
        FOUR_OF_TWELVE,
        135,
        136,
        150,
        "4 VMs of one host are stale, more than a quarter on host:9877",
        also=("TidegateVmStale",),
    ),
    "TidegatePassMissed": Case(
        gauge("tidegate_pass_last_finish_timestamp_seconds", "0x149 9000x40") | EVERY_HOUR,
        141,
        142,
        150,
        "No pass has finished for 2h 22m 0s on host:9877",
    ),
    "TidegatePullerDown": Case(
        gauge("tidegate_outstanding_oldest_timestamp_seconds", "0x500")
        | gauge("tidegate_last_fetched_timestamp_seconds", "_x300 270000x100"),
        289,
        290,
        300,
        "The storage has fetched nothing for 3d 0h 30m 0s from host:9877",
        minutes=QUARTER,
    ),
    "TidegateServiceGone": Case(
        gauge("up", "1x9 0x19 1x30"), 14, 15, 30, "The Tidegate service does not answer on host:9877"
    ),
}

MORE = {
    "TidegateDumpFailed": Case(
        gauge("tidegate_vm_last_dump_success", "1x9 0x79 1x30", VM), 69, 70, 90, "The last dump of vm1 failed", VM
    ),
    "TidegateDumpShrunk": Case(
        gauge("tidegate_vm_last_dump_shrunk", "0x9 1x79 0x30", VM),
        9,
        10,
        90,
        "The last dump of vm1 is below half of its usual size",
        VM,
    ),
    "TidegateDumpChanged": Case(
        gauge("tidegate_links_taken_back_total", "3x9 4x160", HOST, reason="changed"),
        9,
        10,
        154,
        "A dump was rewritten after it was marked as complete on host:9877",
        HOST | {"reason": "changed"},
        minutes=TEN,
    ),
    "TidegateDumpBlocked": Case(
        gauge("tidegate_dumps_waiting", "0x9 2x79 0x30", HOST, reason="bad_marker"),
        9,
        10,
        90,
        "Blocked (bad_marker) until somebody acts: 2 dumps",
        HOST | {"reason": "bad_marker"},
    ),
    "TidegateVmWithoutBackup": Case(
        gauge("tidegate_hypervisor_vms_without_backup", "0x9 3x79 0x30"),
        69,
        70,
        90,
        "3 of the hypervisor's VMs have no backup",
    ),
    "TidegateLimitTooSmall": Case(DENSE, 69, 70, 90, "The targets need 120% of the daily limit on host:9877"),
    "TidegateBacklogGrowing": Case(
        LIMIT | gauge("tidegate_dumps_waiting_bytes", "0x199 20000000000x400", HOST, reason="limit_reached"),
        200 + WEEK,
        200 + WEEK + 1,
        200 + 2 * WEEK,
        "20GB more than a week ago wait for the limit at the best of times",
        HOST | {"reason": "limit_reached"},
        minutes=60,
    ),
    "TidegateDumpOversize": Case(
        gauge("tidegate_dumps_waiting", "0x9 2x79 0x30", HOST, reason="oversize"),
        69,
        70,
        90,
        "2 dumps are larger than a whole day's limit and never leave",
        HOST | {"reason": "oversize"},
    ),
    "TidegateLimitExceeded": Case(
        gauge("tidegate_limit_exceeded_bytes_total", "0x9 5000000000x160"),
        9,
        10,
        154,
        "5GB were released above the limit by force",
        minutes=TEN,
    ),
    "TidegatePassFailing": Case(
        gauge("tidegate_pass_failures_total", "0x9 1x160"),
        9,
        10,
        154,
        "A pass ended with an error on host:9877",
        minutes=TEN,
    ),
    "TidegateClockJumped": Case(
        gauge("tidegate_day_opened_timestamp_seconds", "600x9 90000x79 600x30"),
        9,
        10,
        90,
        "Tidegate recorded a time 1d 0h 50m 0s ahead of Prometheus' clock on host:9877",
    ),
    "TidegateDiskLow": Case(
        gauge("tidegate_watch_free_bytes", "90000000000x9 5368709120x79 90000000000x30", WATCH)
        | gauge("tidegate_watch_min_free_bytes", "10000000000x200", WATCH),
        24,
        25,
        90,
        "5GiB are left on the disk of the watch folder dumps, less than its min_free",
        WATCH,
    ),
    "TidegateConfigReloadFailed": Case(
        gauge("tidegate_config_last_reload_successful", "1x9 0x19 1x30"),
        14,
        15,
        30,
        "The service still uses its previous configuration on host:9877",
    ),
    "TidegateLinksNotFetched": Case(
        gauge("tidegate_links_taken_back_total", "0x9 2x160", HOST, reason="backing_off"),
        9,
        10,
        154,
        "The storage has not fetched 2 links for three days while it fetched others",
        HOST | {"reason": "backing_off"},
        minutes=TEN,
    ),
    "TidegateMoreThanReleased": Case(
        LIMIT | gauge("tidegate_wire_beyond_charge_bytes_total", "0x9 1000000000x160"),
        9,
        10,
        154,
        "1GB more were transferred than released",
        minutes=TEN,
    ),
    "TidegateStorageIsNoMirror": Case(
        gauge("tidegate_links_sent_again_total", "3x9 5x160"),
        9,
        10,
        154,
        "Confirmed links were fetched again on host:9877",
        minutes=TEN,
    ),
    "TidegateStateUnreadable": Case(
        gauge("tidegate_collect_success", "1x9 0x19 1x30", HOST, collector="vms")
        | gauge("tidegate_collect_success", "1x60", HOST, collector="process"),
        14,
        15,
        30,
        "Tidegate cannot read its state file, or not all of it on host:9877",
    ),
    "TidegateWatchFolderDown": Case(
        gauge("tidegate_watch_up", "1x9 0x19 1x30", WATCH), 24, 25, 30, "The watch folder dumps is down", WATCH
    ),
    "TidegateScanOverdue": Case(
        gauge("tidegate_watch_up", "1x120", WATCH)
        | gauge("tidegate_watch_scan_interval_seconds", "300x120", WATCH)
        | gauge("tidegate_watch_last_scan_timestamp_seconds", "0+60x10 600x78 5400+60x30", WATCH),
        60,
        61,
        90,
        "The watch folder dumps was last scanned 51m 0s ago",
        WATCH,
    ),
    "TidegateWatchNotListening": Case(
        gauge("tidegate_watch_listening", "1x9 0x19 1x30", WATCH),
        24,
        25,
        30,
        "The kernel does not report events for all folders of dumps",
        WATCH,
    ),
    "TidegateWatchOverflows": Case(
        gauge("tidegate_watch_overflows_total", "0x9 1x9 2x9 3x600", WATCH),
        29,
        30,
        370,
        "The kernel keeps dropping events of dumps",
        WATCH,
    ),
    "TidegateEventsMissed": Case(
        gauge("tidegate_watch_missed_events_total", "0x9 4x120", WATCH),
        9,
        10,
        70,
        "Scans of dumps find markers without an event",
        WATCH,
    ),
    "TidegateMarkersLate": Case(late("900"), 9, 10, 70, "Markers were recorded more than 15 minutes late on host:9877"),
    "TidegateTextfileOld": Case(
        gauge("node_textfile_mtime_seconds", "0x149 9000x40", FILE)
        | gauge("tidegate_pass_interval_seconds", "3600x200", NODE),
        141,
        142,
        150,
        "Tidegate's textfile was last written 2h 22m 0s ago on host:9100",
        FILE,
    ),
}

CASES = CORE | MORE

#: Other ways to the same alert.
VARIANTS = {
    "never off-site": (
        "TidegateVmStale",
        CORE["TidegateVmStale"]._replace(
            series=gauge("tidegate_vm_first_seen_timestamp_seconds", "0x400", VM) | offsite("_x150 9000x40")
        ),
    ),
    "a stale VM of which nothing is heard any more": (
        "TidegateVmStale",
        Case(
            offsite("0x137 stale", target="7200x137 stale"),
            135,
            400,
            498,
            "The off-site copy of vm1 has 333.3% of the age that it may have",
            VM,
            also=("TidegateRecoveryPointOld",),
        ),
    ),
    "no pass ever came": (
        "TidegatePassMissed",
        CORE["TidegatePassMissed"]._replace(
            series=EVERY_HOUR
            | gauge("tidegate_vms_first_seen_timestamp_seconds", "0x400")
            | gauge("tidegate_pass_last_finish_timestamp_seconds", "_x150 9000x40"),
        ),
    ),
    "nothing was fetched since": (
        "TidegatePullerDown",
        CORE["TidegatePullerDown"]._replace(
            series=gauge("tidegate_outstanding_oldest_timestamp_seconds", "0x9 9000x500")
            | gauge("tidegate_last_fetched_timestamp_seconds", "0x349 315000x100"),
            before=299,
            fires=300,
            clears=350,
        ),
    ),
    "the job is not there": (
        "TidegateServiceGone",
        Case(gauge("up", "1x9 _x20 1x30"), 19, 20, 30, "The Tidegate service does not answer", {"job": "tidegate"}),
    ),
    "changed before it was let out": (
        "TidegateDumpChanged",
        CASES["TidegateDumpChanged"]._replace(
            series=gauge("tidegate_dumps_waiting", "0x9 1x79 0x30", HOST, reason="changed"), clears=90, minutes=1
        ),
    ),
    "a pass from tomorrow": (
        "TidegateClockJumped",
        CASES["TidegateClockJumped"]._replace(
            series=gauge("tidegate_day_opened_timestamp_seconds", "0x200")
            | gauge("tidegate_pass_last_start_timestamp_seconds", "600x9 90000x79 600x30")
        ),
    ),
    "read and not told by a log": (
        "TidegateStorageIsNoMirror",
        CASES["TidegateStorageIsNoMirror"]._replace(series=gauge("tidegate_links_read_again_total", "0x9 1x160")),
    ),
    "the figures of Prometheus 3": ("TidegateMarkersLate", CASES["TidegateMarkersLate"]._replace(series=late("900.0"))),
}

#: What is to stay quiet: alert, series, and the steps of so many minutes for which it is watched.
QUIET = {
    "one of three VMs": ("TidegateManyVmsStale", offsite("0x200") | offsite("0+60x200", "vm2"), 200, 1),
    "three of twelve VMs": (
        "TidegateManyVmsStale",
        {
            series: values
            for number in range(12)
            for series, values in offsite("0x200" if number < 3 else "0+60x200", f"vm{number}").items()
        },
        200,
        1,
    ),
    "passes that come": (
        "TidegatePassMissed",
        gauge("tidegate_pass_last_finish_timestamp_seconds", "0x89 5400x110") | EVERY_HOUR,
        200,
        1,
    ),
    "one link is left and others are fetched": (
        "TidegatePullerDown",
        gauge("tidegate_outstanding_oldest_timestamp_seconds", "0x400")
        | gauge("tidegate_last_fetched_timestamp_seconds", "60x400"),
        400,
        QUARTER,
    ),
    "a service that is started anew": ("TidegateServiceGone", gauge("up", "1x9 0x4 1x100"), 110, 1),
    "a dump that was tried again": (
        "TidegateDumpFailed",
        gauge("tidegate_vm_last_dump_success", "1x9 0x50 1x60", VM),
        110,
        1,
    ),
    "a dump too heavy for any day, of which another alert speaks": (
        "TidegateLimitTooSmall",
        LIMIT | dumped("vm1", "6000000000x200") | dumped("vm2", "60000000000x200"),
        200,
        1,
    ),
    "a weekly set, worked off each week": (
        "TidegateBacklogGrowing",
        LIMIT
        | gauge(
            "tidegate_dumps_waiting_bytes",
            " ".join(["70000000000-1000000000x69 0x97"] * 4),
            HOST,
            reason="limit_reached",
        ),
        4 * WEEK,
        60,
    ),
    "rsync's own words": (
        "TidegateMoreThanReleased",
        LIMIT | gauge("tidegate_wire_beyond_charge_bytes_total", "0x9 100000000x110"),
        110,
        1,
    ),
    "two overflows": (
        "TidegateWatchOverflows",
        gauge("tidegate_watch_overflows_total", "0x9 1x9 2x100", WATCH),
        110,
        1,
    ),
    "no scan of a folder that is down": (
        "TidegateScanOverdue",
        gauge("tidegate_watch_up", "1x10 0x110", WATCH)
        | gauge("tidegate_watch_scan_interval_seconds", "300x120", WATCH)
        | gauge("tidegate_watch_last_scan_timestamp_seconds", "0+60x10 600x110", WATCH),
        110,
        1,
    ),
    "a folder that is seldom scanned": (
        "TidegateScanOverdue",
        gauge("tidegate_watch_up", "1x120", WATCH)
        | gauge("tidegate_watch_scan_interval_seconds", "3600x120", WATCH)
        | gauge("tidegate_watch_last_scan_timestamp_seconds", "0x59 3600x60", WATCH),
        110,
        1,
    ),
    "markers in time": (
        "TidegateMarkersLate",
        gauge("tidegate_marker_record_seconds_count", "7+1x120") | gauge(BUCKET, "7+1x120", HOST, le="900"),
        110,
        1,
    ),
}
