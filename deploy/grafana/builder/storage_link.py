"""The row "Is the link to the storage used?"."""

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
        About(
            "Limit used", "Released in seven days, as a part of seven daily limits. It is low while nothing waits.", 6
        ),
        f"{released} / (7 * sum(avg_over_time({of_host('tidegate_day_limit_bytes')}[7d])))",
        units.PercentUnit,
    )
    yield panels.figure(
        About(
            "Sent, of what was released",
            "Over seven days, as rsync reports. Far below 100 %: the storage had most of it already. Above: something"
            " is sent twice. 0 while no sync reports it (`tidegate synced --stats FILE`).",
            6,
            "TidegateMoreThanReleased",
        ),
        f"{sent} / ({released} > 0)",
        units.PercentUnit,
        Steps(1.02, 1.5),
    )
    yield panels.figure(
        About(
            "Limit the targets need",
            "Above 100 % some copies miss their target in any order. `tidegate forecast --needed` computes the limit"
            " that is enough.",
            6,
            "TidegateLimitTooSmall",
        ),
        f"max({queries.DENSITY})",
        units.PercentUnit,
        Steps(0.9, 1),
    )
    yield panels.figure(
        About(
            "Backlog in days",
            "How many daily limits the dumps with reason limit_reached need.",
            6,
            "TidegateBacklogGrowing",
        ),
        f"max(sum without (reason) ({waiting}) / {free})",
        units.Days,
    )
    yield panels.days(
        About(
            "Bytes transferred each day",
            "As rsync reports, beside the bytes released. Received is what the storage answers, mostly checksums;"
            " sent twice is what was transferred beyond all that was released.",
            12,
            "TidegateMoreThanReleased",
        ),
        {
            "released": a_day("tidegate_released_bytes_total"),
            "sent": a_day("tidegate_wire_sent_bytes_total"),
            "received": a_day("tidegate_wire_received_bytes_total"),
            "sent twice": a_day("tidegate_wire_beyond_charge_bytes_total"),
        },
        units.BytesSI,
        limit=queries.LIMIT,
        colours={"released": "blue", "sent": panels.GREEN, "received": panels.GREY, "sent twice": panels.ORANGE},
    )
    yield panels.lines(
        About(
            "Links not fetched",
            "Each sync should reduce it to 0. Links that stay count against every day's limit.",
            12,
            "TidegateLinksNotFetched",
        ),
        {"{{instance}}": of_host("tidegate_outstanding_links")},
        units.NoUnit,
    )
