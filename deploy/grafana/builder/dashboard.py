"""The whole dashboard: its variables, its rows, and its text."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from deploy.grafana.builder.panels import DATA_SOURCE
from deploy.grafana.builder.queries import of_host
from deploy.grafana.builder.rows import ROWS

#: As in the alerting rules, so that one sed command changes both.
RUNBOOKS = "file:///usr/local/share/doc/tidegate/runbooks"


def text() -> str:
    """What tidegate.json holds."""
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(build())}\n"


def build() -> Dashboard:
    """Variables, then a row for each question."""
    builder = (
        dashboard.Dashboard("Tidegate")
        .uid("tidegate")
        .description("VM dumps for off-site storage: what was released, what waits, which VMs are stale.")
        .tags(["tidegate", "backup"])
        .timezone("browser")
        .time("now-30d", "now")
        .refresh("5m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_chosen("instance", "Host", "tidegate_build_info"))
        .with_variable(_chosen("backup_set", "Backup set", of_host("tidegate_vm_info")))
        .with_variable(_chosen("vm", "VM", of_host("tidegate_vm_info", 'backup_set=~"$backup_set"')))
        .with_variable(dashboard.ConstantVariable("scheme").value("https"))
        .with_variable(dashboard.ConstantVariable("runbooks").value(RUNBOOKS))
    )
    for question, row in ROWS.items():
        builder.with_row(dashboard.Row(question))
        for panel in row():
            builder.with_panel(panel)
    return _finished(builder.build())


def _finished(built: Dashboard) -> Dashboard:
    """What the builders leave to their user: the numbers of panels, and hiding the constants."""
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    for variable in built.templating.list_val or []:
        if variable.type_val == VariableType.CONSTANT:
            variable.hide = VariableHide.HIDE_VARIABLE
    return built


def _chosen(name: str, label: str, series: str) -> dashboard.QueryVariable:
    """Values of a label, all of them at first. What has none, as a VM of no set, is among all."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATA_SOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
