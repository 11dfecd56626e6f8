"""A lowered limit holds at once: what may still leave is the smaller of the limits of the day and the configuration."""

from pathlib import Path
from typing import Any

import pytest

from tests.host import Host, reasons


@pytest.mark.parametrize(
    ("before", "after", "released"),
    [
        pytest.param({"daily": 100}, {"daily": 50}, 1, id="lowered"),
        pytest.param({"daily": 100}, {"daily": 20}, 0, id="lowered below what is outstanding"),
        pytest.param({"daily": 50}, {"daily": 100}, 1, id="raised: from the next day on"),
        pytest.param({"daily": 100}, {"daily": 100, "limit": {"reserve": "50 B"}}, 1, id="reserve raised"),
    ],
)
def test_what_a_pass_releases_on_an_open_day_after_the_limit_was_changed(
    before: dict[str, Any], after: dict[str, Any], released: int, tmp_path: Path
) -> None:
    host = Host(tmp_path, offsite={"confirm": "report"}, **before)
    host.dump("first", 30)
    host.run("pass")
    host.configure(offsite={"confirm": "report"}, **after)
    for name in ("second", "third"):
        host.dump(name, 20)
    found = reasons(host.json("pass"))
    assert sum(reason == "released" for reason in found.values()) == released
    assert sum(host.exported().values()) == 30 + 20 * released
