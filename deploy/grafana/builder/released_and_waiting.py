"""The row "What was released, and what waits?"."""

from collections.abc import Iterator

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import panels, queries
from deploy.grafana.builder.panels import About
from deploy.grafana.builder.queries import a_day, of_host

#: Superseded dumps and dumps that are off-site do not wait.
TO_LEAVE = 'reason!~"superseded|already_offsite"'


def row() -> Iterator[Builder[Panel]]:
    """Its panels, from left to right."""
    yield panels.days(
        About(
            "Released each day",
            "Against the limit. Only a forced dump exceeds it. Days here end at midnight UTC; the days of the limit"
            " may end at another hour.",
            12,
            "TidegateLimitExceeded",
        ),
        {
            "released": a_day("tidegate_released_bytes_total"),
            "confirmed": a_day("tidegate_confirmed_bytes_total"),
            "forced above the limit": a_day("tidegate_limit_exceeded_bytes_total"),
        },
        units.BytesSI,
        limit=queries.LIMIT,
        colours={"released": "blue", "confirmed": panels.GREEN, "forced above the limit": panels.ORANGE},
    )
    yield panels.lines(
        About(
            "Where the open day's limit goes",
            "Outstanding counts against every day until it is confirmed; used is available again the next day. No"
            " bytes left at the end of a busy day is normal.",
            12,
        ),
        {
            "outstanding": f"sum({of_host('tidegate_outstanding_bytes')})",
            "used": f"sum({of_host('tidegate_day_used_bytes')})",
            "left": f"sum({of_host('tidegate_day_left_bytes')})",
            "reserve": f"sum({of_host('tidegate_day_reserve_bytes')})",
        },
        units.BytesSI,
        stacked=True,
        colours={"outstanding": panels.ORANGE, "used": "blue", "left": panels.GREEN, "reserve": panels.GREY},
    )
    yield panels.lines(
        About(
            "Waiting",
            "Size of the dumps that the last pass did not release, by reason. limit_reached grows for weeks: the limit"
            " is too small. oversize, changed, unsafe, ambiguous, bad_marker and link_error need you: `tidegate plan`"
            " lists them.",
            12,
            "TidegateBacklogGrowing",
        ),
        {"{{reason}}": f"sum by (reason) ({of_host('tidegate_dumps_waiting_bytes', TO_LEAVE)}) > 0"},
        units.BytesSI,
        stacked=True,
    )
    yield panels.bars(
        About(
            "Not released by the last pass",
            "Dumps, by reason; `tidegate plan` lists them, `tidegate explain` has the details of one VM.",
            12,
        ),
        f"sort_desc(sum by (reason) ({of_host('tidegate_dumps_waiting')}) > 0)",
        "{{reason}}",
        units.NoUnit,
    )
