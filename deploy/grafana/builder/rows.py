"""The dashboard's rows: each answers one question."""

from collections.abc import Callable, Iterator, Mapping

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import can_i_sleep, the_line, tidegate_itself, what_left, who_is_stale

#: Question -> the panels that answer it.
ROWS: Mapping[str, Callable[[], Iterator[Builder[Panel]]]] = {
    "Can I sleep?": can_i_sleep.row,
    "What left, and what waits?": what_left.row,
    "Who is stale?": who_is_stale.row,
    "Is the line used?": the_line.row,
    "Is Tidegate well?": tidegate_itself.row,
}
