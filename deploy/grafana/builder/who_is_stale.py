"""The row "Who is stale?"."""

from collections.abc import Iterator

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import TableCellBackgroundDisplayMode, TableCellDisplayMode
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, Panel

from deploy.grafana.builder import panels, queries
from deploy.grafana.builder.panels import About, Column, Steps
from deploy.grafana.builder.queries import of_host, of_vms

#: The same dashboard with the VM that a cell names.
ONLY = "/d/tidegate?${__url_time_range}&${datasource:queryparam}&${instance:queryparam}&var-vm=${__value.raw}"

#: What the host itself shows, where its page is served to others.
PAGE = "${scheme}://${__data.fields.host}/"


def row() -> Iterator[Builder[Panel]]:
    """Its panels, from left to right."""
    yield panels.lines(
        About(
            "Off-site age, as a part of the target",
            "Below 100 % no VM is stale. Only the worst is above: check that VM. The median too: check passes, syncs"
            " and the limit. Above 300 % nothing is drawn.",
            12,
            "TidegateManyVmsStale",
        ),
        {
            "worst": f"max({of_vms(queries.TARGET_USED)})",
            "worst tenth": f"quantile(0.9, {of_vms(queries.TARGET_USED)})",
            "median": f"quantile(0.5, {of_vms(queries.TARGET_USED)})",
        },
        units.PercentUnit,
        steps=panels.TARGETS,
        most=3,
        colours={"worst": "purple", "worst tenth": "blue", "median": "light-blue"},
    )
    yield panels.lines(
        About("Size of the newest dumps", "Sum over the chosen VMs. Growth needs more of the limit.", 12),
        {"{{instance}}": f"sum by (instance) ({of_vms(of_host('tidegate_vm_last_dump_size_bytes'))})"},
        units.BytesSI,
    )
    yield panels.rows(
        About(
            "VMs, worst first",
            "Click a VM to filter the panels above; `tidegate explain VM` has the reason for the age of its copy, and"
            " the expected day.",
            24,
            "TidegateVmStale",
        ),
        {
            "A": of_vms(queries.TARGET_USED),
            "B": of_vms(queries.OFFSITE_AGE),
            "C": of_vms(of_host("tidegate_vm_target_seconds")),
            "D": of_vms(queries.DUMP_AGE),
            "E": of_vms(of_host("tidegate_vm_last_dump_size_bytes")),
            "F": of_vms(of_host("tidegate_vm_last_dump_success")),
        },
        [
            Column("VM", "vm", [panels.links(Only_this_VM=ONLY, Its_page=PAGE + "vm/${__data.fields.VM}")]),
            Column("backup set", "backup_set"),
            Column("of its target", "A", [_unit(units.PercentUnit), *_judged(panels.TARGETS)]),
            Column("off-site age", "B", [_unit(units.Seconds)]),
            Column("target", "C", [_unit(units.Seconds)]),
            Column("newest dump's age", "D", [_unit(units.Seconds)]),
            Column("size", "E", [_unit(units.BytesSI)]),
            Column("last dump", "F", _RESULT),
            Column("host", "instance", [panels.links(Its_page=PAGE)]),
        ],
        height=12,
        first=("of its target", True),
    )


_RESULT = [
    DynamicConfigValue("mappings", panels.mapped({"1": ("finished", panels.GREEN), "0": ("failed", panels.RED)})),
    DynamicConfigValue("custom.cellOptions", {"type": TableCellDisplayMode.COLOR_TEXT}),
]


def _unit(unit: str) -> DynamicConfigValue:
    return DynamicConfigValue("unit", unit)


def _judged(steps: Steps) -> list[DynamicConfigValue]:
    cell = {"type": TableCellDisplayMode.COLOR_BACKGROUND, "mode": TableCellBackgroundDisplayMode.BASIC}
    return [
        DynamicConfigValue("thresholds", panels.thresholds(steps).build()),
        DynamicConfigValue("custom.cellOptions", cell),
    ]
