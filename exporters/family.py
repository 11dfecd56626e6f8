"""What a family of metrics is, and how it stands in the text (Prometheus' format 0.0.4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


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

    def line(self, labels: str, value: float | None) -> str:
        """One sample of it, as `as_text` writes it at many times the price; "" for None. ``labels``: `labelled`."""
        return "" if value is None else f"{self.name}{labels} {floatToGoString(value)}\n"  # type: ignore[no-untyped-call]


class Distribution(Family):
    """A family that is a histogram without labels."""

    @property
    def type(self) -> str:
        """``histogram``."""
        return "histogram"

    def of_buckets(self, buckets: Sequence[tuple[str, float]], total: float) -> Metric:
        """``buckets``: (upper bound, how many are at most so), ascending to ``+Inf``. ``total``: the sum of all."""
        return HistogramMetricFamily(self.name, self.help, buckets=buckets, sum_value=total)


def labelled(**words: str) -> str:
    """Labels with their words, as they stand behind a name."""
    named = [f'{label}="{word.translate(_ESCAPES)}"' for label, word in sorted(words.items())]
    return f"{{{','.join(named)}}}"


def as_text(metrics: Iterable[Metric]) -> bytes:
    """The families with headings and samples."""
    return generate_latest(_Given(metrics))


class _Given(Collector):
    """Hands families that are there already to `generate_latest`."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
