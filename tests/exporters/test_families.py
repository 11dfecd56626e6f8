"""The text of a table is written as prometheus_client writes it."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from exporters.families import Collector, Family, Histogram, Table

VALUES = st.none() | st.floats(allow_nan=False) | st.integers(-(2**63), 2**63 - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.text('\\"\n{},= a', min_size=1)
#: Two labels and two values.
ROWS = st.lists(st.tuples(NAMES, NAMES, VALUES, VALUES), unique_by=lambda one: one[:2], max_size=250)
TABLE = Table(
    lambda _: [],
    {"vm": lambda row: row[0], "backup_set": lambda row: row[1]},
    Family("one_seconds", lambda row: row[2], "The first."),
    Family("two_total", lambda row: row[3], "The second."),
)


class Given:
    """A collector of these."""

    def __init__(self, *metrics: Metric) -> None:
        self.metrics = metrics

    def collect(self) -> tuple[Metric, ...]:
        return self.metrics


def by_the_library(*metrics: Metric) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given(*metrics))
    return generate_latest(registry)


@given(ROWS)
def test_a_table_is_written_as_prometheus_client_writes_it(
    rows: list[tuple[str, str, float | None, float | None]],
) -> None:
    """Byte for byte, whatever the VMs are called; a row without a value has no series."""
    gauge = GaugeMetricFamily("one_seconds", "The first.", labels=("vm", "backup_set"))
    counter = CounterMetricFamily("two_total", "The second.", labels=("vm", "backup_set"))
    for *labels, first, second in rows:
        for metric, value in ((gauge, first), (counter, second)):
            if value is not None:
                metric.add_metric(labels, value)
    assert "".join(TABLE.text(rows, lambda: None)).encode() == by_the_library(gauge, counter)


def test_a_histogram_too() -> None:
    class Row:
        buckets = (("0.01", 3), ("1.0", 5), ("+Inf", 8))
        sum = 7.5

    ours = Histogram(lambda _: [], "took_seconds", "How long.").text([Row], lambda: None)
    library = HistogramMetricFamily("took_seconds", "How long.", buckets=Row.buckets, sum_value=Row.sum)
    assert "".join(ours).encode() == by_the_library(library)


def test_between_two_stretches_others_have_their_turn() -> None:
    """Each stretch is short; a service of many VMs goes on recording."""
    rested: list[int] = []
    rows = [(f"vm{number}", "set", 1.0, 2.0) for number in range(250)]
    Collector("vms", TABLE).text([rows], lambda: rested.append(1))
    assert len(rested) == 2 * 3
