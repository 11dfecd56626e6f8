"""Every metric of the hypervisor, the passes, the watch folders and Tidegate itself (``metrics`` has the others)."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from core.config.settings import WatchFolder
from core.enums import MarkerResult
from core.state import counters, vms
from core.state.counters import WatchStatus
from exporters.families import Collector, Family, Histogram, Table, View
from exporters.metrics import tallies, total

# --- the hypervisor


def _asked(view: View) -> Iterator[vms.HypervisorLook]:
    look = vms.last_hypervisor_look(view.connection)
    if look is not None:
        yield look


_HYPERVISOR = Table(
    _asked,
    {},
    Family(
        "tidegate_hypervisor_last_look_timestamp_seconds",
        "asked_at",
        "When the hypervisor was last asked for its VMs, by `tidegate dump` or a pass. Days ago: it does not answer,"
        " or nothing ran. Absent: there is no [hypervisor] in the configuration.",
    ),
    Family(
        "tidegate_hypervisor_vms",
        "vms",
        "VMs that the hypervisor had when it was last asked. Fewer than there are: the user who asked may not see all"
        " of them, or [hypervisor] list asks for some only.",
    ),
    Family(
        "tidegate_hypervisor_vms_without_backup",
        lambda look: len(look.without_backup),
        "Those of them that are in no backup set and were never dumped. Above 0: `tidegate check` names them; add them"
        " to a set, or to [hypervisor] ignore.",
    ),
)

# --- passes


class _Passes(NamedTuple):
    counters: Mapping[str, Mapping[str, int]]
    started: float | None
    finished: float | None
    interval: float


def _passes(view: View) -> Iterator[_Passes]:
    started, finished = counters.pass_times(view.connection)
    interval = counters.pass_interval(view.connection, is_daily=view.config.daily_pass.at is not None)
    yield _Passes(view.counters, started, finished, interval)


_PASSES = Table(
    _passes,
    {},
    Family(
        "tidegate_passes_total",
        lambda one: total("passes")(one.counters),
        "Passes run. No growth for two intervals: they do not run.",
    ),
    Family(
        "tidegate_pass_failures_total",
        lambda one: total("pass_failures")(one.counters),
        "Passes that ended with an error. Any growth: read the log of the pass.",
    ),
    Family(
        "tidegate_pass_last_start_timestamp_seconds",
        "started",
        "When the last pass began. Later than the last finish for long: it hangs or was killed. Absent: none ever ran.",
    ),
    Family(
        "tidegate_pass_last_finish_timestamp_seconds",
        "finished",
        "When a pass last came to its end. Alert when two should have run since. Absent: none ever did.",
    ),
    Family(
        "tidegate_pass_interval_seconds",
        "interval",
        "How often a pass is meant to run: a day with [pass] at, else as the latest passes came, and a day at least."
        " The threshold to alert by.",
    ),
)

# --- watch folders


class _Watch(NamedTuple):
    """``status`` None: it was never looked at."""

    folder: WatchFolder
    status: WatchStatus | None
    overflows: int
    missed_events: int

    @property
    def up(self) -> int:
        return int(self.status is not None and self.status.up)

    @property
    def listening(self) -> int | None:
        known = None if self.status is None else self.status.listening
        return None if known is None else int(known)


def _watches(view: View) -> Iterator[_Watch]:
    """The configured folders only: one that left the configuration would alert for ever."""
    overflows, missed = view.counters.get("watch_overflows", {}), view.counters.get("missed_events", {})
    for one in view.config.watches:
        status = view.watch_statuses.get(one.name)
        yield _Watch(one, status, overflows.get(one.name, 0), missed.get(one.name, 0))


def _recorded(name: str) -> Callable[[_Watch], float | None]:
    """A field of the folder's status; there is none of a folder that was never looked at."""
    return lambda watch: None if watch.status is None else getattr(watch.status, name)


_WATCHES = Table(
    _watches,
    {"watch": "folder.name"},
    Family(
        "tidegate_watch_up",
        "up",
        "1: the watch folder could be read when it was last looked at. 0: it is gone, not mounted or not readable, or"
        " was never looked at; its dumps do not leave.",
    ),
    Family(
        "tidegate_watch_last_scan_timestamp_seconds",
        _recorded("last_scan_at"),
        "When the watch folder was last scanned. Some scan intervals ago: the watcher hangs or does not run.",
    ),
    Family(
        "tidegate_watch_last_scan_duration_seconds",
        _recorded("last_scan_seconds"),
        "What that scan took. Near the scan interval: raise the interval, or move old dumps out of the folder.",
    ),
    Family(
        "tidegate_watch_scan_interval_seconds",
        "folder.scan_interval",
        "How often the watch folder is scanned, as configured: the threshold to alert by.",
    ),
    Family(
        "tidegate_watch_overflows_total",
        "overflows",
        "Times that the kernel dropped events of the watch folder. Nothing is lost, a scan follows; steady growth:"
        " raise fs.inotify.max_queued_events.",
    ),
    Family(
        "tidegate_watch_listening",
        "listening",
        "1: the kernel reports events of every folder of the watch folder. 0: of some or all it does not, and the log"
        " says why; what it misses is found by a scan every minute. Raise fs.inotify.max_user_watches. Absent: mode is"
        ' "poll", or it was never scanned by the service.',
    ),
    Family(
        "tidegate_watch_missed_events_total",
        "missed_events",
        "Markers that only a scan has found, since no event came for them; those of the first scan do not count."
        ' Nothing is lost, but it took up to a scan interval. Steady growth: set mode = "poll" where the filesystem'
        " gives no events.",
    ),
    Family(
        "tidegate_watch_free_bytes",
        _recorded("free_bytes"),
        "Free space on the disk of the watch folder, as the last pass found it. Below tidegate_watch_min_free_bytes:"
        " remove old dumps, or enlarge the disk.",
    ),
    Family(
        "tidegate_watch_min_free_bytes",
        "folder.min_free",
        "Free space that the disk of the watch folder should have, as configured: the threshold to alert by. Absent:"
        " none is set.",
    ),
    Family(
        "tidegate_watch_pinned_bytes",
        _recorded("pinned_bytes"),
        "What links alone keep on the disk: their dumps are gone. It comes down as links are confirmed and replaced.",
    ),
)

# --- markers

_RECORD_TIMES = Histogram(
    lambda view: [counters.delays(view.counters)],
    "tidegate_marker_record_seconds",
    "Time from a marker to its record. Markers that were in a watch folder before its first scan do not count. More"
    " than a few seconds: the service was down, a disk away, or the folder gives no events.",
)

_MARKERS = Table(
    tallies("markers", tuple(MarkerResult)),
    {"state": "word"},
    Family(
        "tidegate_markers_total",
        "value",
        "Markers read, by what became of them. bad: a body or name that cannot be used; rejected: its dump cannot be"
        " taken; `tidegate plan` names both. failed: a dump job reported that. No growth of recorded: no dump is"
        " reported as finished.",
    ),
)

HYPERVISOR = Collector("hypervisor", _HYPERVISOR)
PASSES = Collector("passes", _PASSES)
WATCHES = Collector("watches", _WATCHES)
MARKERS = Collector("markers", _RECORD_TIMES, _MARKERS)

# --- the program, and one answer of its own: what is read is known to whoever makes the text

BUILD = Table(
    lambda _: [],
    {"version": str},  # outside the closed list: no other series has it, so that an upgrade makes none anew
    Family(
        "tidegate_build_info",
        lambda _: 1,
        "Always 1; the label is the version that wrote this text. Join it to see which hosts are not upgraded yet.",
    ),
)


class Part(NamedTuple):
    """Whether a collector's part is in the text."""

    collector: str
    success: bool


class Loading(NamedTuple):
    """How the service's configuration was last loaded: whether the newest one was taken, when the one in effect was.

    ``at`` is in seconds since the epoch.
    """

    successful: bool
    at: float


COLLECT_SUCCESS = Table(
    lambda _: [],
    {"collector": "collector"},
    Family(
        "tidegate_collect_success",
        "success",
        "1: this part of the text could be made. 0: it is missing, so that no figure in it looks fresh; read the"
        " service's log and try `tidegate status`. Alert on 0 and on absence.",
    ),
)
COLLECT_DURATION = Table(
    lambda _: [],
    {},
    Family(
        "tidegate_collect_duration_seconds",
        float,
        "What making this text took, most of it pauses that leave the processor to the recording of dumps. Near the"
        " scrape's time-out: raise that, or set vm_series = false in [exporters].",
    ),
)
LOADING = Table(
    lambda _: [],
    {},
    Family(
        "tidegate_config_last_reload_successful",
        "successful",
        "1: the service runs with the configuration that it was last asked to load. 0: that one was rejected and the"
        " previous one stays in effect; `tidegate check` shows every error in it.",
    ),
    Family(
        "tidegate_config_last_reload_success_timestamp_seconds",
        "at",
        "When the configuration that is in effect was loaded. Earlier than your last change of the file: it was not"
        " reloaded.",
    ),
)
