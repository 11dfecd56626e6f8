"""What the program prints -> the words of the record. The only module that knows the program's own words.

When a word changes in the program, edit this module until the recordings compare equal again:

* The program now uses the word of the record: delete its entry from ``REASONS``, ``DAY`` or ``METRICS``.
* The program uses a third word: put that word on the left side; the right side, the word of the record, stays.
* A JSON shape or a command changes: edit the functions at the end.

The tables never need a new recording. A change of *behaviour* is no matter of this module: it belongs into
``accepted.py``.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

# --- commands

#: A pass; it is recognized by its first word, and run with ``JSON``.
PASS = "pass"
SYNC_STARTED = "sync-started"
SYNC_FINISHED = "synced"
STATUS = ("status", "--json")
METRICS_TEXT = ("export-metrics", "--output", "-")
JSON = "--json"
#: The folder in the export tree in which the program's own metadata is kept: not a dump.
METADATA = ".tidegate"

#: The configuration of the demo's host, but for its paths, limit and storage.
DEMO = {"day": {"at_least": "0s"}, "offsite": {"confirm": "report"}}

# --- words: the program's -> the record's. Words that are the same on both sides are not listed.

#: Also the values of the label ``reason`` in the metrics.
REASONS: dict[str, str] = {}

#: Keys of the day's account.
DAY: dict[str, str] = {}

#: Names of metrics, without the labels.
METRICS = {
    "tidegate_watch_missed_events_total": "tidegate_watch_unannounced_markers_total",
}

#: How fresh a VM's off-site copy is. The record knows ``fresh``, ``stale`` and ``never``; where the program calls a
#: VM ``new``, the record has ``never``.
FRESHNESS = {
    "new": "never",
}

# --- the record's own words

#: Reason -> verdict.
VERDICTS = {
    "released": "released",
    **dict.fromkeys(("limit_reached", "outstanding", "running", "open", "backing_off"), "waiting"),
    **dict.fromkeys(
        (
            "oversize",
            "changed",
            "missing",
            "unsafe",
            "ambiguous",
            "bad_marker",
            "verify_failed",
            "dump_failed",
            "on_hold",
            "link_error",
        ),
        "blocked",
    ),
    **dict.fromkeys(("already_offsite", "superseded", "too_old", "no_gain"), "done"),
}

#: Metrics of the program that are not recorded, by the beginning of their names, and why.
LEFT_OUT = {
    "process_": "memory, files and CPU time of the process",
    "python_": "the interpreter",
    "tidegate_build_info": "the version changes with each release",
    "tidegate_collect_duration_seconds": "how fast the machine is",
    "tidegate_watch_last_scan_duration_seconds": "how fast the machine is",
    "tidegate_watch_free_bytes": "free space on the machine's disk",
    "tidegate_marker_record_seconds": "compares the given clock with time stamps that the kernel gives to markers",
    "tidegate_collect_success": "its label lists the parts of the program's own code",
    "tidegate_config_": "when the service loaded its configuration; no service runs",
}

#: Metrics of which only is recorded whether they are above 0, and why.
WHETHER_ANY = {
    "tidegate_watch_pinned_bytes": "counted in blocks of the disk, which are not the same on all filesystems",
}

# --- shapes: the program's JSON and text -> plain values in the words of the record


class Decisions(NamedTuple):
    """What one pass decided. A dump is named by its path in the watch folder."""

    #: In order, and so are those that wait for the daily limit only.
    released: list[str]
    queue: list[str]
    #: Dump -> "verdict: reason".
    decisions: dict[str, str]
    #: Dump -> the day on which it is expected to leave, for those for which the program says one.
    forecast: dict[str, int]
    #: The day's account.
    day: dict[str, Any]


def of_pass(printed: str) -> Decisions:
    """What ``pass --json`` prints."""
    shape = json.loads(printed)
    decided = [(one["dump"], one["verdict"], REASONS.get(one["reason"], one["reason"])) for one in shape["decisions"]]
    for dump, verdict, reason in decided:
        if verdict != VERDICTS[reason]:
            raise ValueError(f"{dump}: the verdict {verdict!r} does not go with the reason {reason!r}")
    return Decisions(
        released=[dump for dump, _, reason in decided if reason == "released"],
        queue=[dump for dump, _, reason in decided if reason == "limit_reached"],
        decisions={dump: f"{VERDICTS[reason]}: {reason}" for dump, _, reason in decided},
        forecast={one["dump"]: one["forecast_day"] for one in shape["decisions"] if one["forecast_day"] is not None},
        day={DAY.get(key, key): value for key, value in shape["day"].items()},
    )


class Statuses(NamedTuple):
    """What ``status`` says of each VM right after a pass."""

    #: VM -> fresh, stale or never.
    freshness: dict[str, str]
    #: VM -> the time of the dump that is off-site, where there is one.
    offsite: dict[str, str]
    #: VM -> why its newest dump does not leave with the next pass; "" if it does, or there is nothing to decide.
    newest: dict[str, str]


def of_status(printed: str) -> Statuses:
    """What ``status --json`` prints."""
    vms = json.loads(printed)["vms"]
    newest = {one["vm"]: one["newest_dump"] and one["newest_dump"]["reason"] for one in vms}
    return Statuses(
        freshness={one["vm"]: FRESHNESS.get(one["freshness"], one["freshness"]) for one in vms},
        offsite={one["vm"]: one["offsite_time"] for one in vms if one["offsite_time"] is not None},
        newest={vm: REASONS.get(reason, reason) if reason else "" for vm, reason in newest.items()},
    )


_SAMPLE = re.compile(r"(?P<name>[^{ ]+)(?P<labels>\{.*\})? (?P<value>\S+)")


def of_metrics(text: str) -> dict[str, int | float]:
    """Series -> value, of all samples in the text of /metrics but those that are left out."""
    found = {}
    for line in text.splitlines():
        sample = _SAMPLE.fullmatch(line)
        if sample and not line.startswith(("#", *LEFT_OUT)):
            name = METRICS.get(sample["name"], sample["name"])
            value = float(sample["value"])
            if sample["name"] in WHETHER_ANY:
                value = float(value > 0)
            found[name + _labels(sample["labels"] or "")] = int(value) if value.is_integer() else value
    return found


def _labels(given: str) -> str:
    return re.sub(r'(?<=[{,])reason="([^"]*)"', lambda label: f'reason="{REASONS.get(label[1], label[1])}"', given)


def of_tree(tree: Path) -> Mapping[str, int]:
    """Export name -> bytes, of each file in the export tree on the disk."""
    files = (path for path in tree.rglob("*") if path.is_file())
    names = {path.relative_to(tree): path.stat().st_size for path in files}
    return {str(name): size for name, size in names.items() if METADATA not in name.parts}
