"""The row "What left, and what waits?"."""

from collections.abc import Iterator

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import panels, queries
from deploy.grafana.builder.panels import About
from deploy.grafana.builder.queries import a_day, of_host

#: What is held since a newer dump or copy is there does not wait.
TO_LEAVE = 'reason!~"superseded|already_offsite"'


def row() -> Iterator[Builder[Panel]]:
    """Its panels, from left to right."""
    yield panels.days(
        About(
            "Let out each day",
            "Against the limit. Above it there is only what was forced there. Days here end at midnight UTC; those of"
            " the limit may end at another hour.",
            12,
            "TidegateLimitExceeded",
        ),
        {
            "let out": a_day("tidegate_released_bytes_total"),
            "confirmed": a_day("tidegate_confirmed_bytes_total"),
            "forced above the limit": a_day("tidegate_limit_exceeded_bytes_total"),
        },
        units.BytesSI,
        limit=queries.LIMIT,
        colours={"let out": "blue", "confirmed": panels.GREEN, "forced above the limit": panels.ORANGE},
    )
    yield panels.lines(
        About(
            "Where the open day's limit goes",
            "Outstanding counts against every day until the storage has it; used comes back with the next day. Nothing"
            " left to let out is how a busy day ends, and no fault.",
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
            "Size of what the last pass held, by its reason. limit_reached that grows for weeks: the limit cannot keep"
            " up. oversize, changed, unsafe, ambiguous, bad_marker and link_error need you: `tidegate plan` names"
            " them.",
            12,
            "TidegateBacklogGrowing",
        ),
        {"{{reason}}": f"sum by (reason) ({of_host('tidegate_dumps_waiting_bytes', TO_LEAVE)}) > 0"},
        units.BytesSI,
        stacked=True,
    )
    yield panels.bars(
        About(
            "Held by the last pass", "Dumps, by reason; `tidegate plan` names them, `tidegate explain` says why.", 12
        ),
        f"sort_desc(sum by (reason) ({of_host('tidegate_dumps_waiting')}) > 0)",
        "{{reason}}",
        units.NoUnit,
    )
