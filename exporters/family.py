"""What a family of metrics is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric


@dataclass(frozen=True, slots=True)
class Family:
    """One family. A name that ends in ``_total`` is a counter; a Distribution is a histogram; others are gauges."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """``counter``, ``gauge`` or ``histogram``."""
        return "counter" if self.name.endswith("_total") else "gauge"

    def of(self, samples: Iterable[tuple[Sequence[str], float | None]]) -> Metric:
        """The family with its samples: (label values, value) each. A value of None has no series."""
        kind = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        metric = kind(self.name, self.help, labels=self.labels)
        for labels, value in samples:
            if value is not None:
                metric.add_metric(labels, value)
        return metric

    def one(self, value: float | None) -> Metric:
        """The family with its only sample, or with none."""
        return self.of([((), value)])


class Distribution(Family):
    """A family that is a histogram without labels."""

    @property
    def type(self) -> str:
        """``histogram``."""
        return "histogram"

    def of_buckets(self, buckets: Sequence[tuple[str, float]], total: float) -> Metric:
        """``buckets``: (upper bound, how many are at most so), ascending to ``+Inf``. ``total``: the sum of all."""
        return HistogramMetricFamily(self.name, self.help, buckets=buckets, sum_value=total)
