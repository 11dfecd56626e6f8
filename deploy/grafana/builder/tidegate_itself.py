"""The row "Is Tidegate healthy?"."""

from collections.abc import Iterator

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.builder import panels
from deploy.grafana.builder.panels import About
from deploy.grafana.builder.queries import a_day, of_host


def row() -> Iterator[Builder[Panel]]:
    """Its panels, from left to right."""
    buckets = of_host("tidegate_marker_record_seconds_bucket")
    yield panels.states(
        About(
            "State of each part",
            "Each host's scrape, state file and configuration, and each watch folder. A textfile has no metrics of"
            " state file and configuration.",
            12,
            "TidegateServiceGone",
        ),
        {
            "scrape of {{instance}}": of_host("up", 'job="tidegate"'),
            "state file of {{instance}}": f"min by (instance) ({of_host('tidegate_collect_success')})",
            "configuration of {{instance}}": of_host("tidegate_config_last_reload_successful"),
            "watch folder {{watch}} of {{instance}}": of_host("tidegate_watch_up"),
        },
    )
    yield panels.stacked_days(
        About("Failures each day", "`tidegate history`, `tidegate plan` and the log list them.", 12),
        {
            "failed dumps": a_day("tidegate_markers_total", 'state="failed"'),
            "bad markers": a_day("tidegate_markers_total", 'state="bad"'),
            "failed passes": a_day("tidegate_pass_failures_total"),
            "failed links": a_day("tidegate_link_failures_total"),
            "links revoked": a_day("tidegate_links_taken_back_total"),
            "foreign files": a_day("tidegate_foreign_files_total"),
        },
        units.NoUnit,
    )
    yield panels.lines(
        About(
            "Free space on dump disks",
            "As of the last pass, beside the configured min_free. Pinned: deleted dumps that only a link keeps.",
            12,
            "TidegateDiskLow",
        ),
        {
            "free, {{watch}} of {{instance}}": of_host("tidegate_watch_free_bytes"),
            "pinned, {{watch}} of {{instance}}": of_host("tidegate_watch_pinned_bytes"),
            "min_free, {{watch}} of {{instance}}": of_host("tidegate_watch_min_free_bytes"),
        },
        units.BytesSI,
    )
    yield panels.lines(
        About(
            "Delay from marker to record",
            "99 of 100 markers of a day were recorded within this time. Seconds are usual. Minutes: the service was"
            " down, a disk was unmounted, or the folder has no kernel events.",
            12,
            "TidegateMarkersLate",
        ),
        {"{{instance}}": f"histogram_quantile(0.99, sum by (instance, le) (increase({buckets}[1d])))"},
        units.Seconds,
    )
