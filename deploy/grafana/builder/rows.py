"""The dashboard's rows: each answers one question."""

from collections.abc import Callable, Iterator, Mapping

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import can_i_sleep, released_and_waiting, storage_link, tidegate_itself, who_is_stale

#: Question -> the panels that answer it.
ROWS: Mapping[str, Callable[[], Iterator[Builder[Panel]]]] = {
    "Can I sleep?": can_i_sleep.row,
    "What was released, and what waits?": released_and_waiting.row,
    "Who is stale?": who_is_stale.row,
    "Is the link to the storage used?": storage_link.row,
    "Is Tidegate healthy?": tidegate_itself.row,
}
