"""What the panels ask Prometheus for.

All of it is of the hosts that are chosen (``$instance``); what is of single VMs also of the chosen ``$backup_set`` and
``$vm``. No recorded series is needed: the dashboard works without the alerting rules.
"""

_HOST = 'instance=~"$instance"'
_VMS = f'tidegate_vm_info{{{_HOST}, backup_set=~"$backup_set", vm=~"$vm"}}'


def of_host(metric: str, labels: str = "") -> str:
    """A metric of the chosen hosts."""
    return f"{metric}{{{', '.join(filter(None, (_HOST, labels)))}}}"


def of_vms(expression: str) -> str:
    """Of an expression with a series for each VM: the chosen ones, with their backup sets."""
    return f"({expression}) * on (job, instance, vm) group_left (backup_set) {_VMS}"


def a_day(metric: str, labels: str = "", *, days: int = 1) -> str:
    """What a counter has grown by in so many days, all series together.

    No ``increase``: what it adds at the edges would make a full day look like more than its limit. These counters
    live in the state file, so that they start anew only with a new one.
    """
    counter = of_host(metric, labels)
    return f"sum(clamp_min({counter} - {counter} offset {days}d, 0))"


def vms(these: str, counted: str) -> str:
    """How many VMs ``these`` are. A host without series of single VMs (vm_series = false) ``counted`` them itself."""
    without_series = f"unless on (job, instance) {of_host('tidegate_vm_info')}"
    return or_none(f"sum(count by (job, instance) ({these}) or sum by (job, instance) ({counted} {without_series}))")


def or_none(count: str) -> str:
    """Nothing found is 0 found."""
    return f"{count} or vector(0)"


LIMIT = f"sum({of_host('tidegate_day_limit_bytes')})"

#: Off-site age as a part of the target: 1 is where a VM becomes stale. Without a copy: since the VM was first seen.
TARGET_USED = (
    f"(time() - ({of_host('tidegate_vm_offsite_timestamp_seconds')}"
    f" or {of_host('tidegate_vm_first_seen_timestamp_seconds')})) / {of_host('tidegate_vm_target_seconds')}"
)

OFFSITE_AGE = f"time() - {of_host('tidegate_vm_offsite_timestamp_seconds')}"
DUMP_AGE = f"time() - {of_host('tidegate_vm_last_dump_timestamp_seconds')}"

#: Bytes a day that the targets need, as a part of a day's limit; without dumps larger than that limit.
DENSITY = (
    f"sum without (vm) (({of_host('tidegate_vm_last_dump_size_bytes')}"
    f" <= on (job, instance) group_left () (max_over_time({of_host('tidegate_day_limit_bytes')}[7d])"
    f" - {of_host('tidegate_day_reserve_bytes')}))"
    f" / {of_host('tidegate_vm_target_seconds')}) * 86400"
    f" / (avg_over_time({of_host('tidegate_day_limit_bytes')}[7d])"
    f" - avg_over_time({of_host('tidegate_day_reserve_bytes')}[7d]))"
)

#: Time since the last pass finished, or since the first VM, as a part of the usual interval.
PASS_INTERVALS = (
    f"(time() - ({of_host('tidegate_pass_last_finish_timestamp_seconds')}"
    f" or {of_host('tidegate_vms_first_seen_timestamp_seconds')}))"
    f" / {of_host('tidegate_pass_interval_seconds')}"
)

FIRING = 'ALERTS{alertname=~"Tidegate.+", alertstate="firing", severity!="none", instance=~"$instance|"}'
