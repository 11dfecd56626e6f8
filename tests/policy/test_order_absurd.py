"""Whatever facts come in, a plan comes out, and the promises of every plan hold."""

from hypothesis import given
from hypothesis import strategies as st

from core.reasons import Reason, Verdict
from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Dump, Rules, Vm
from tests.policy.planner_facts import DAY, NOW

times = st.sampled_from((0.0, 1.0, NOW - 400 * DAY, NOW - DAY, NOW, NOW + DAY, NOW * 1000)) | st.floats(0, 4e12)
sizes = st.sampled_from((0, 1, 10**9, 10**15)) | st.integers(0, 10**15)
spans = st.none() | st.sampled_from((0.0, 1e-9, 1.0, 3600.0, DAY, 7 * DAY, 1e12))


@st.composite
def hosts(draw: st.DrawFn) -> tuple[list[Vm], list[Dump]]:
    vms, dumps = [], []
    for number in range(draw(st.integers(0, 7))):
        name = f"vm{number}"
        vms.append(
            Vm(
                name,
                None,
                draw(times),
                draw(sizes),
                draw(st.none() | times),
                draw(spans),
                draw(spans),
            )
        )
        if draw(st.booleans()):
            dumps.append(Dump(number, name, name, draw(sizes), draw(times)))
    return vms, dumps


@given(hosts(), sizes, sizes, st.just(()) | st.lists(sizes, min_size=1, max_size=7).map(tuple))
def test_no_fact_is_too_absurd_for_a_plan(
    host: tuple[list[Vm], list[Dump]], limit: int, daily: int, coming: tuple[int, ...]
) -> None:
    """Periods of nothing, sizes of nothing or a petabyte, targets of a second, ages of thousands of years."""
    vms, dumps = host
    day = Day(1, NOW, DayAccount(limit))

    plan = decide(vms, dumps, day, Rules(daily, coming=coming), NOW)

    assert len(plan.decisions) == len(dumps)
    assert plan.released_bytes <= limit
    left = limit - plan.released_bytes
    assert all(one.dump.bytes > left for one in plan.decisions if one.reason is Reason.LIMIT_REACHED)
    assert all((one.rule is not None) == (one.verdict is Verdict.RELEASED) for one in plan.decisions)
    assert decide(vms[::-1], dumps[::-1], day, Rules(daily, coming=coming), NOW) == plan
