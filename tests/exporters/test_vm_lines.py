"""The series of single VMs are written as prometheus_client writes them, and kept as long as nothing changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric

from core import dump_history
from core.state.vms import VmFigures
from exporters import vm_lines
from exporters.family import as_text
from exporters.vm_lines import FAMILIES, VmLines

TIMES = st.floats(0, 4e9) | st.integers(0, 2**40).map(float)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.text('\\"\n{},= a', min_size=1)
FIGURES = st.builds(
    VmFigures,
    name=NAMES,
    backup_set=st.none() | NAMES,
    first_seen=TIMES,
    last_dump_time=st.none() | TIMES,
    last_dump_bytes=st.integers(0, 2**63 - 1),
    last_result_at=st.none() | TIMES,
    last_dump_failed=st.booleans(),
    dump_sizes=st.sampled_from(["", "1:900 2:800 3:10", "1:900 2:800 3:700"]),
    offsite_time=st.none() | TIMES,
    is_dropped=st.booleans(),
    target=st.none() | TIMES,
)


def by_the_library(figures: list[VmFigures]) -> bytes:
    """The same, one sample at a time."""

    def samples(one: VmFigures) -> tuple[float | None, ...]:
        dumped = one.last_dump_time is not None
        return (
            1,
            one.first_seen,
            one.last_dump_time,
            one.last_dump_bytes if dumped else None,
            int(dump_history.shrunk_from(one.dump_sizes) is not None) if dumped else None,
            int(not one.last_dump_failed) if one.last_result_at is not None else None,
            None if one.is_dropped else one.offsite_time,
            one.target,
        )

    metrics: list[Metric] = []
    for number, family in enumerate(FAMILIES):
        labels = [(one.name, one.backup_set or "")[: len(family.labels)] for one in figures]
        values = [samples(one)[number] for one in figures]
        metrics.append(family.of(zip(labels, values, strict=True)))
    return as_text(metrics)


@given(st.lists(FIGURES, unique_by=lambda one: one.name))
def test_they_are_what_prometheus_client_would_write(figures: list[VmFigures]) -> None:
    """Byte for byte, whatever the VMs are called and whatever is known of them."""
    pairs = [figures[start : start + 2] for start in range(0, len(figures), 2)]
    assert VmLines().write(pairs) == by_the_library(figures)


@given(st.lists(FIGURES, min_size=1, unique_by=lambda one: one.name), st.data())
def test_what_is_kept_of_the_others_changes_nothing(figures: list[VmFigures], data: st.DataObject) -> None:
    """After any change the text is the same as one that was written anew."""
    lines = VmLines()
    lines.write([figures])
    changed = data.draw(st.lists(st.sampled_from(figures) | FIGURES, min_size=1, unique_by=lambda one: one.name))
    assert lines.write([changed]) == VmLines().write([changed])


def test_only_vms_with_news_are_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = vm_lines._lines

    def noted(one: VmFigures) -> tuple[str, ...]:
        written.append(one.name)
        return real(one)

    monkeypatch.setattr(vm_lines, "_lines", noted)
    lines = VmLines()
    figures = [VmFigures(f"vm{number}", None, 1.0, None, 0, None, False, "", None, False, None) for number in range(9)]
    lines.write([figures])
    written.clear()
    lines.write([[*figures[:8], figures[8]._replace(target=5.0)]])
    assert written == ["vm8"]
    assert len(lines._kept) == 9  # and of what was before nothing is kept


def test_between_two_stretches_others_have_their_turn() -> None:
    """Each stretch is short; a service of many VMs goes on recording."""
    given_way: list[int] = []
    one = VmFigures("vm", None, 1.0, None, 0, None, False, "", None, False, None)
    VmLines(lambda: given_way.append(1)).write([[one._replace(name=f"vm{number}")] for number in range(5)])
    assert len(given_way) == 5
