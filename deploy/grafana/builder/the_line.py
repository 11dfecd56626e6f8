"""The row "Is the line used?"."""

from collections.abc import Iterator

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import panels, queries
from deploy.grafana.builder.panels import About, Steps
from deploy.grafana.builder.queries import a_day, of_host


def row() -> Iterator[Builder[Panel]]:
    """Its panels, from left to right."""
    released = a_day("tidegate_released_bytes_total", days=7)
    sent = a_day("tidegate_wire_sent_bytes_total", days=7)
    waiting = of_host("tidegate_dumps_waiting_bytes", 'reason="limit_reached"')
    free = f"({of_host('tidegate_day_limit_bytes')} - {of_host('tidegate_day_reserve_bytes')})"
    yield panels.figure(
        About("Limit used", "What was let out in seven days, as a part of seven limits. Low while nothing waits.", 6),
        f"{released} / (7 * sum(avg_over_time({of_host('tidegate_day_limit_bytes')}[7d])))",
        units.PercentUnit,
    )
    yield panels.figure(
        About(
            "Sent, of what was let out",
            "In seven days, as rsync told. Far below 100 %: the storage had most of it already. Above: something is"
            " sent twice. 0 while no sync tells (`tidegate synced --stats FILE`).",
            6,
            "TidegateMoreThanReleased",
        ),
        f"{sent} / ({released} > 0)",
        units.PercentUnit,
        Steps(1.02, 1.5),
    )
    yield panels.figure(
        About(
            "Limit that the targets need",
            "Above 100 % some copies get older than they may, whatever leaves first. `tidegate forecast --needed` tells"
            " the limit that would do.",
            6,
            "TidegateLimitTooSmall",
        ),
        f"max({queries.DENSITY})",
        units.PercentUnit,
        Steps(0.9, 1),
    )
    yield panels.figure(
        About("Days that wait", "Whole limits that what waits for room would take.", 6, "TidegateBacklogGrowing"),
        f"max(sum without (reason) ({waiting}) / {free})",
        units.Days,
    )
    yield panels.days(
        About(
            "Crossed the line each day",
            "As rsync told, beside what was let out. Received is what the storage says, checksums above all;"
            " sent twice is what crossed beyond all that was let out.",
            12,
            "TidegateMoreThanReleased",
        ),
        {
            "let out": a_day("tidegate_released_bytes_total"),
            "sent": a_day("tidegate_wire_sent_bytes_total"),
            "received": a_day("tidegate_wire_received_bytes_total"),
            "sent twice": a_day("tidegate_wire_beyond_charge_bytes_total"),
        },
        units.BytesSI,
        limit=queries.LIMIT,
        colours={"let out": "blue", "sent": panels.GREEN, "received": panels.GREY, "sent twice": panels.ORANGE},
    )
    yield panels.lines(
        About(
            "Links not fetched",
            "Each sync should bring it down to nothing. What stays counts against every day's limit.",
            12,
            "TidegateLinksNotFetched",
        ),
        {"{{instance}}": of_host("tidegate_outstanding_links")},
        units.NoUnit,
    )
