"""The row "Can I sleep?"."""

from collections.abc import Iterator

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import panels, queries
from deploy.grafana.builder.panels import About, Column, Steps
from deploy.grafana.builder.queries import of_host, of_vms, or_none


def row() -> Iterator[Builder[Panel]]:
    """Its panels, from left to right."""
    stale = or_none(f"count({of_vms(queries.TARGET_USED)} > 1)")
    never = or_none(
        f"count({of_vms(of_host('tidegate_vm_first_seen_timestamp_seconds'))}"
        f" unless on (job, instance, vm) {of_host('tidegate_vm_offsite_timestamp_seconds')})"
    )
    failed = or_none(f"count({of_vms(of_host('tidegate_vm_last_dump_success'))} == 0)")
    firing = or_none(f"count({queries.FIRING})")
    oldest = f"time() - min({of_host('tidegate_outstanding_oldest_timestamp_seconds')})"
    yield panels.figure(
        About("Stale VMs", "VMs whose off-site copy is older than its target.", 4, "TidegateVmStale"),
        stale,
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.figure(
        About("VMs without a copy", "Never off-site, or kept there for its whole retention.", 4, "TidegateVmStale"),
        never,
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.figure(
        About(
            "Oldest copy, of its target",
            "The off-site age of the VM that is worst off, as a part of its target: stale at 100 %.",
            4,
            "TidegateRecoveryPointOld",
        ),
        f"max({of_vms(queries.TARGET_USED)})",
        units.PercentUnit,
        panels.TARGETS,
    )
    yield panels.figure(
        About(
            "Since the last pass",
            "As a part of the time in which one should come. Nothing new is let out until one does.",
            4,
            "TidegatePassMissed",
        ),
        f"max({queries.PASS_INTERVALS})",
        units.PercentUnit,
        Steps(1.1, 2.1),
    )
    yield panels.figure(
        About(
            "Oldest link not fetched",
            "How long the storage has left the oldest link that waits for it. A day is usual, three are not.",
            4,
            "TidegatePullerDown",
        ),
        or_none(f"({oldest})"),
        units.Seconds,
        Steps(1.5 * panels.DAY, 3 * panels.DAY),
    )
    yield panels.figure(
        About("Alerts", "Those of deploy/prometheus that fire now, if Prometheus has these rules.", 4),
        firing,
        units.NoUnit,
        Steps(1, 3),
    )
    yield panels.lines(
        About("VMs in trouble", "A bump is a late turn; a step that stays is a job that no longer runs.", 12),
        {"stale": stale, "without a copy": never, "last dump failed": failed},
        units.NoUnit,
        colours={"stale": panels.ORANGE, "without a copy": panels.RED, "last dump failed": "purple"},
    )
    yield panels.rows(
        About("Alerts that fire", "Each leads to its page: what it means, what to look at, what to do.", 12),
        {"A": f"max by (alertname, severity, instance, vm, watch, reason) ({queries.FIRING})"},
        [
            Column("alert", "alertname", [panels.links("What to do", "${runbooks}/${__data.fields.alert}.md")]),
            Column("severity", "severity"),
            Column("VM", "vm"),
            Column("watch folder", "watch"),
            Column("reason", "reason"),
            Column("host", "instance"),
        ],
        height=8,
    )
