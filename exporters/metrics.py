"""Every family of metrics: its name, its labels, and a help text that says what to do with it.

To add one: put it here, give it its samples in ``families.py``, and renew what the tests compare with
(`RENEW=1 pytest tests/exporters`).
Times are seconds since the epoch and never ages: what never happened has no series, and no age stands still
when the exporter does. Labels come from a closed list: names, paths and ids of dumps are never among them.
"""

from exporters.family import Distribution, Family

BUILD_INFO = Family(
    "tidegate_build_info",
    "Always 1; the label is the version that wrote this text. Join it to see which hosts are not upgraded yet.",
    ("version",),  # outside the closed list: it stands on no other series, so that an upgrade makes none anew
)

# --- VMs

VM_INFO = Family(
    "tidegate_vm_info",
    "Always 1 for each VM that is not retired, with its backup set. Join it on vm to group or route by"
    " backup set; no other series has that label, so that a VM that changes its set keeps its history.",
    ("vm", "backup_set"),
)
VM_FIRST_SEEN = Family(
    "tidegate_vm_first_seen_timestamp_seconds",
    "When the VM was first heard of. While it was never off-site, the age of its missing copy counts from here.",
    ("vm",),
)
VM_LAST_DUMP = Family(
    "tidegate_vm_last_dump_timestamp_seconds",
    "Point in time whose data the VM's newest finished dump holds. Too long ago: its dump job does not run"
    " or does not write its marker. Absent: no dump of it ever finished.",
    ("vm",),
)
VM_LAST_DUMP_SIZE = Family(
    "tidegate_vm_last_dump_size_bytes",
    "Size of the VM's newest finished dump. A sudden fall: look whether the dump is whole. Above the day's"
    " limit: it cannot leave.",
    ("vm",),
)
VM_LAST_DUMP_SHRUNK = Family(
    "tidegate_vm_last_dump_shrunk",
    "1: the VM's newest dump is below half of what its dumps usually are. It leaves all the same: look whether it lacks"
    " something. 0: it is as usual. Absent: no dump of it ever finished.",
    ("vm",),
)
VM_LAST_DUMP_SUCCESS = Family(
    "tidegate_vm_last_dump_success",
    "1: the VM's last dump finished. 0: it failed; read the log of its dump job. Absent: neither was ever reported.",
    ("vm",),
)
VM_OFFSITE = Family(
    "tidegate_vm_offsite_timestamp_seconds",
    "Point in time that the storage's newest copy of the VM holds: what a disaster leaves you with. Alert"
    " when it is further back than tidegate_vm_target_seconds, and ask `tidegate explain VM` why. Absent:"
    " never off-site, or kept there for its whole retention.",
    ("vm",),
)
VM_TARGET = Family(
    "tidegate_vm_target_seconds",
    "Off-site age that the VM is meant to stay under, as the last pass worked it out: the threshold to"
    " alert by. Absent: no pass has seen the VM yet.",
    ("vm",),
)

# --- all VMs: these are counted when the text is written, the others when the state changes

VMS = Family(
    "tidegate_vms",
    "VMs that are not retired, by how their off-site copies stand against their targets: fresh, stale, or never where"
    " there is none. `tidegate status` names them, the worst first.",
    ("state",),
)
VMS_PAST_TARGET = Family(
    "tidegate_vms_past_target",
    "VMs whose off-site copy is older than its target, or that have waited longer than that for their first one. Above"
    " 0: `tidegate status` names them. What alerts go by where there are no series of single VMs.",
)
VMS_PAST_TWICE_TARGET = Family(
    "tidegate_vms_past_twice_target",
    "Those of them that are past twice their target: turns that are a little late do not make this. Their dumps fail,"
    " cannot leave, or are not fetched.",
)
VMS_OLDEST_OFFSITE = Family(
    "tidegate_vms_oldest_offsite_timestamp_seconds",
    "Point in time that the oldest of the VMs' newest off-site copies holds: the furthest that a disaster would set one"
    " of them back. Absent: there is no copy.",
)
VMS_FIRST_SEEN = Family(
    "tidegate_vms_first_seen_timestamp_seconds",
    "When the first of the VMs was heard of. While no pass has ever run, it is missed since then. Absent: there is no"
    " VM.",
)

# --- the hypervisor

HYPERVISOR_ASKED = Family(
    "tidegate_hypervisor_last_look_timestamp_seconds",
    "When the hypervisor was last asked for its VMs, by `tidegate dump` or a pass. Days ago: it does not answer, or"
    " nothing ran. Absent: there is no [hypervisor] in the configuration.",
)
HYPERVISOR_VMS = Family(
    "tidegate_hypervisor_vms",
    "VMs that the hypervisor had when it was last asked. Fewer than there are: the user who asked may not see all of"
    " them, or [hypervisor] list asks for some only.",
)
WITHOUT_BACKUP = Family(
    "tidegate_hypervisor_vms_without_backup",
    "Those of them that are in no backup set and were never dumped. Above 0: `tidegate check` names them; add them to"
    " a set, or to [hypervisor] ignore.",
)

# --- what waits

DUMPS_WAITING = Family(
    "tidegate_dumps_waiting",
    "Dumps that the last pass held, by its reason. limit_reached comes down by itself from day to day;"
    " oversize, changed, unsafe, ambiguous, bad_marker and link_error need you: `tidegate plan` names them.",
    ("reason",),
)
BYTES_WAITING = Family(
    "tidegate_dumps_waiting_bytes",
    "Size of the dumps that the last pass held, by its reason. limit_reached that grows for days: the limit"
    " cannot keep up with the dumps.",
    ("reason",),
)

# --- the day and its account

DAY_NUMBER = Family(
    "tidegate_day_number",
    "Number of the open day. It grows by one with each sync or at the set hour; when it stands still, nobody pulls.",
)
DAY_OPENED = Family(
    "tidegate_day_opened_timestamp_seconds",
    'When the open day began. More than a day and a half ago with ends = "sync": no sync has passed since;'
    " look at the puller.",
)
DAY_LIMIT = Family(
    "tidegate_day_limit_bytes",
    "What the open day may let out: the limit to compare the others with.",
)
DAY_RESERVE = Family(
    "tidegate_day_reserve_bytes",
    "The part of the limit that is never let out, as configured: compare with what other traffic needs.",
)
DAY_USED = Family(
    "tidegate_day_used_bytes",
    "What was let out in the open day and is no longer outstanding, whatever became of it, and the debt that it"
    " pays. It comes back with the next day.",
)
DAY_DEBT = Family(
    "tidegate_day_debt_bytes",
    "What an oversize dump that was let out alone still takes from this day and the coming ones; it comes down by a"
    ' limit a day. Always 0 unless [limit] oversize is "spread".',
)
DAY_LEFT = Family(
    "tidegate_day_left_bytes",
    "What may still be let out today: limit less reserve, used and outstanding. 0 is how a busy day ends and no fault.",
)

# --- links

OUTSTANDING_LINKS = Family(
    "tidegate_outstanding_links",
    "Links that the storage is not yet held to have, of whatever day. Every sync should bring it down.",
)
OUTSTANDING_BYTES = Family(
    "tidegate_outstanding_bytes",
    "Size of the links that the storage is not yet held to have. They count against every day's limit:"
    " while nothing is fetched, nothing more is let out.",
)
OUTSTANDING_OLDEST = Family(
    "tidegate_outstanding_oldest_timestamp_seconds",
    "When the oldest link that is not yet confirmed was let out. Days ago: the puller is down or leaves it"
    " out. Absent: there is none.",
)
LAST_FETCHED = Family(
    "tidegate_last_fetched_timestamp_seconds",
    "When the storage was last seen to have fetched a dump, by report, read or removal. Before the oldest link that"
    " is not confirmed, and that for days: the puller is down. Absent: never.",
)
RELEASED_DUMPS = Family(
    "tidegate_released_dumps_total",
    "Dumps let out. No growth while dumps wait: look at the passes.",
)
RELEASED_BYTES = Family(
    "tidegate_released_bytes_total",
    "Bytes let out: what the line had to carry at most.",
)
LIMIT_EXCEEDED = Family(
    "tidegate_limit_exceeded_bytes_total",
    "Bytes let out above the limit by `tidegate force VM --over-limit`. Any growth: somebody decided that; nothing"
    " else exceeds the limit.",
)
CONFIRMED_DUMPS = Family(
    "tidegate_confirmed_dumps_total",
    "Dumps that the storage is held to have, by the evidence that [offsite] confirm names. It should follow"
    " tidegate_released_dumps_total within a day.",
)
CONFIRMED_BYTES = Family(
    "tidegate_confirmed_bytes_total",
    "Size of the dumps that the storage is held to have, by the same evidence. Far behind tidegate_released_bytes_total"
    " for days: the large ones are not fetched.",
)
WIRE_SENT = Family(
    "tidegate_wire_sent_bytes_total",
    "Bytes that crossed the line to the storage, as rsync told. Far below tidegate_released_bytes_total: rsync finds"
    " most of them there already. Stays 0 while no sync tells it (`tidegate synced --stats`, deploy/rsyncd).",
)
WIRE_RECEIVED = Family(
    "tidegate_wire_received_bytes_total",
    "Bytes that crossed the line from the storage, as rsync told: its checksums of what it has already."
    " They count against no limit: set [limit] reserve where your line charges both ways.",
)
WIRE_BEYOND_CHARGE = Family(
    "tidegate_wire_beyond_charge_bytes_total",
    "Bytes that crossed the line to the storage beyond all that was let out for the day. More than rsync's own words:"
    " kept links were fetched again, an interrupted transfer began anew, or a second puller fetches too;"
    " `tidegate history` shows the day.",
)
LINKS_SENT_AGAIN = Family(
    "tidegate_links_sent_again_total",
    "Kept links that crossed the line though the storage had them. Any growth: it does not mirror the export tree; say"
    ' [offsite] storage = "collect".',
)
LINKS_READ_AGAIN = Family(
    "tidegate_links_read_again_total",
    "Kept links that were read again long after the storage had them. If the storage reads them, it fetches them again:"
    ' say [offsite] storage = "collect". If a program on this host does, nothing is wrong.',
)
LINK_FAILURES = Family(
    "tidegate_link_failures_total",
    "Dumps that were granted and could not be linked. Any growth: the log and `tidegate plan` name the file and why.",
)
LINKS_TAKEN_BACK = Family(
    "tidegate_links_taken_back_total",
    "Links that went before their time. changed: a dump was rewritten in place after it was let out; dump"
    " to a new name each time. running: a marker said that it was being dumped again. backing_off: nobody"
    " fetched it for three days while others were; its VM has its turn again a week later."
    " missing: somebody else removed the link from the export tree; find out who.",
    ("reason",),
)
FOREIGN_FILES = Family(
    "tidegate_foreign_files_total",
    "Files found in an export tree that Tidegate did not put there. They are charged to the day and never"
    " deleted: remove them, or `tidegate adopt` what an earlier script linked.",
)

# --- passes

PASSES = Family(
    "tidegate_passes_total",
    "Passes run. No growth for two intervals: they do not run.",
)
PASS_FAILURES = Family(
    "tidegate_pass_failures_total",
    "Passes that ended with an error. Any growth: read the log of the pass.",
)
PASS_STARTED = Family(
    "tidegate_pass_last_start_timestamp_seconds",
    "When the last pass began. Later than the last finish for long: it hangs or was killed. Absent: none ever ran.",
)
PASS_FINISHED = Family(
    "tidegate_pass_last_finish_timestamp_seconds",
    "When a pass last came to its end. Alert when two should have run since. Absent: none ever did.",
)

PASS_INTERVAL = Family(
    "tidegate_pass_interval_seconds",
    "How often a pass is meant to run: a day with [pass] at, else as the latest passes came, and a day at least. The"
    " threshold to alert by.",
)

# --- watch folders

WATCH_UP = Family(
    "tidegate_watch_up",
    "1: the watch folder could be read when it was last looked at. 0: it is gone, not mounted or not"
    " readable, or was never looked at; its dumps do not leave.",
    ("watch",),
)
WATCH_SCANNED = Family(
    "tidegate_watch_last_scan_timestamp_seconds",
    "When the watch folder was last scanned. Some scan intervals ago: the watcher hangs or does not run.",
    ("watch",),
)
WATCH_SCAN_SECONDS = Family(
    "tidegate_watch_last_scan_duration_seconds",
    "What that scan took. Near the scan interval: raise the interval, or move old dumps out of the folder.",
    ("watch",),
)
WATCH_SCAN_INTERVAL = Family(
    "tidegate_watch_scan_interval_seconds",
    "How often the watch folder is scanned, as configured: the threshold to alert by.",
    ("watch",),
)
WATCH_OVERFLOWS = Family(
    "tidegate_watch_overflows_total",
    "Times that the kernel dropped events of the watch folder. Nothing is lost, a scan follows; steady"
    " growth: raise fs.inotify.max_queued_events.",
    ("watch",),
)
WATCH_LISTENING = Family(
    "tidegate_watch_listening",
    "1: the kernel tells of every folder of the watch folder. 0: of some or all it does not, as the log says why;"
    " what it does not tell is found by a scan every minute. Raise fs.inotify.max_user_watches. Absent: mode is"
    ' "poll", or it was never scanned by the service.',
    ("watch",),
)
WATCH_UNANNOUNCED = Family(
    "tidegate_watch_unannounced_markers_total",
    "Markers that only a scan has found, since no event had told of them; those of the first scan do not count."
    ' Nothing is lost, but it took up to a scan interval. Steady growth: set mode = "poll" where the filesystem'
    " gives no events.",
    ("watch",),
)
WATCH_FREE = Family(
    "tidegate_watch_free_bytes",
    "Room on the disk of the watch folder, as the last pass found it. Below tidegate_watch_min_free_bytes: remove old"
    " dumps, or give the disk room.",
    ("watch",),
)
WATCH_MIN_FREE = Family(
    "tidegate_watch_min_free_bytes",
    "Room that the disk of the watch folder should have, as configured: the threshold to alert by. Absent: none is"
    " set.",
    ("watch",),
)
WATCH_PINNED = Family(
    "tidegate_watch_pinned_bytes",
    "What links alone keep on the disk: their dumps are gone. It comes down as links are confirmed and replaced.",
    ("watch",),
)
MARKER_RECORD = Distribution(
    "tidegate_marker_record_seconds",
    "Time from a marker to its record. What stood in a watch folder before its first scan does not count. More than"
    " a few seconds: the service was down, a disk away, or the folder gives no events.",
)
MARKERS = Family(
    "tidegate_markers_total",
    "Markers read, by what became of them. bad: a body or name that cannot be used; hindered: its dump"
    " cannot be taken; `tidegate plan` names both. failed: a dump job said so. No growth of recorded: no"
    " dump says that it is finished.",
    ("state",),
)

# --- the collection itself: in /metrics only

COLLECT_SUCCESS = Family(
    "tidegate_collect_success",
    "1: this part of the text could be made. 0: it is missing, so that no figure in it looks fresh; read the service's"
    " log and try `tidegate status`. Alert on 0 and on absence.",
    ("collector",),
)
COLLECT_DURATION = Family(
    "tidegate_collect_duration_seconds",
    "What making this text took, most of it rests that leave the processor to the recording of dumps. Near the scrape's"
    " time-out: raise that, or set vm_series = false in [exporters].",
)

# --- the service's configuration: in /metrics only

CONFIG_RELOADED = Family(
    "tidegate_config_last_reload_successful",
    "1: the service runs with the configuration that it was last told to load. 0: that one was refused and the one"
    " before goes on; `tidegate check` tells every mistake in it.",
)
CONFIG_LOADED = Family(
    "tidegate_config_last_reload_success_timestamp_seconds",
    "When the configuration that is in effect was loaded. Earlier than your last change of the file: it was not"
    " reloaded.",
)

#: All of them, in the order in which they stand here and are exported.
FAMILIES = tuple(one for one in list(globals().values()) if isinstance(one, Family))
