"""The row "Can I sleep?"."""

from collections.abc import Iterator

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import panels, queries
from deploy.grafana.builder.panels import About, Column, Steps
from deploy.grafana.builder.queries import of_host, of_vms, or_none, vms

_ALERT = [panels.width(220), panels.links(What_to_do="${runbooks}/${__data.fields.alert}.md")]


def row() -> Iterator[Builder[Panel]]:
    """Its panels, from left to right."""
    stale = vms(f"{of_vms(queries.TARGET_USED)} > 1", of_host("tidegate_vms_past_target"))
    never = vms(
        f"{of_vms(of_host('tidegate_vm_first_seen_timestamp_seconds'))}"
        f" unless on (job, instance, vm) {of_host('tidegate_vm_offsite_timestamp_seconds')}",
        of_host("tidegate_vms", 'state=~"never|new"'),
    )
    failed = or_none(f"count({of_vms(of_host('tidegate_vm_last_dump_success'))} == 0)")
    firing = or_none(f"count({queries.FIRING})")
    oldest = f"time() - min({of_host('tidegate_outstanding_oldest_timestamp_seconds')})"
    yield panels.figure(
        About("Stale VMs", "VMs whose off-site copy is older than its target.", 3, "TidegateVmStale"),
        stale,
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.figure(
        About(
            "Without a copy",
            "VMs that were never off-site, or whose copy has passed the storage's retention.",
            3,
            "TidegateVmStale",
        ),
        never,
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.figure(
        About(
            "Worst copy",
            "The highest off-site age of a VM, as a part of its target: stale at 100 %.",
            3,
            "TidegateRecoveryPointOld",
        ),
        f"max({of_vms(queries.TARGET_USED)})",
        units.PercentUnit,
        panels.TARGETS,
    )
    yield panels.figure(
        About(
            "In no backup",
            "VMs of the hypervisor without a dump; `tidegate check` lists them.",
            3,
            "TidegateVmWithoutBackup",
        ),
        f"sum({of_host('tidegate_hypervisor_vms_without_backup')})",
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.figure(
        About(
            "Shrunk dumps",
            "Newest dumps below half of their VM's usual size. They are released all the same.",
            3,
            "TidegateDumpShrunk",
        ),
        f"sum({of_vms(of_host('tidegate_vm_last_dump_shrunk'))})",
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.figure(
        About(
            "Since the last pass",
            "As a part of the usual interval. Nothing new is released until a pass runs.",
            3,
            "TidegatePassMissed",
        ),
        f"max({queries.PASS_INTERVALS})",
        units.PercentUnit,
        Steps(1.1, 2.1),
    )
    yield panels.figure(
        About(
            "Not fetched for",
            "Age of the oldest link that the storage has not fetched. A day is usual, three are not.",
            3,
            "TidegatePullerDown",
        ),
        or_none(f"({oldest})"),
        units.Seconds,
        Steps(1.5 * panels.DAY, 3 * panels.DAY),
    )
    yield panels.figure(
        About("Alerts", "Alerts of deploy/prometheus that fire now, if Prometheus has these rules.", 3),
        firing,
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.lines(
        About("VMs with a problem", "A bump: a dump left late. A step that stays: a job that no longer runs.", 12),
        {"stale": stale, "without a copy": never, "last dump failed": failed},
        units.NoUnit,
        colours={"stale": panels.ORANGE, "without a copy": panels.RED, "last dump failed": "purple"},
    )
    yield panels.rows(
        About("Alerts that fire", "Each links to its runbook: what it means, what to check, what to do.", 12),
        {"A": f"max by (alertname, severity, instance, vm, watch, reason) ({queries.FIRING})"},
        [
            Column(
                "alert",
                "alertname",
                _ALERT,
            ),
            Column("severity", "severity", [panels.width(80)]),
            Column("VM", "vm", [panels.width(100)]),
            Column("folder", "watch", [panels.width(80)]),
            Column("reason", "reason", [panels.width(90)]),
            Column("host", "instance"),
        ],
        height=8,
        first=("severity", False),
    )
