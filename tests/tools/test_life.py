"""Ten days of the life that `make life` makes two months of."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from core.enums import LinkState
from core.state import ledger
from tests.clock import DAY, HOUR
from tests.deploy.rules import promtool
from tools.life import fleet
from tools.life.life import Life

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """One that is over. It ends in a morning, after the dumps of the night."""
    morning = (time.time() - 9 * HOUR) // DAY * DAY + 9 * HOUR
    life = Life(tmp_path_factory.mktemp("life") / "host", count=24, days=10, end=morning)
    life.live(every=2)
    yield life
    life.close()


def test_everything_that_can_happen_has_happened(life: Life) -> None:
    assert [event.act for event in life.events if not event.has_happened] == []
    status = life.admin.status()
    assert status[fleet.OVERSIZE]["newest_dump"]["reason"] == "oversize"
    assert status[fleet.LEGACY]["offsite_age_seconds"] > 3 * DAY
    assert status["web-01"]["newest_dump"]["reason"] == "on_hold"
    assert status["db-01"]["last_dump_failed"]
    assert "changed" in {vm["newest_dump"]["reason"] for vm in status.values()}
    assert f"in no backup: {fleet.UNLISTED}" in life.admin.run("check", code=0)


def test_no_sync_finds_more_than_the_limit_and_what_was_forced_above_it(life: Life) -> None:
    assert life.beyond > 0
    above = [found - life.limit for found in life.puller.found if found > life.limit]
    assert len(above) <= 1
    assert sum(above) <= life.beyond


def test_the_ledger_has_what_the_passes_let_out_and_no_day_has_more_than_its_limit(life: Life) -> None:
    with life.state.read() as connection:
        last = ledger.open_day(connection)
        assert last is not None
        days = [ledger.of_day(connection, number) for number in range(1, last.number + 1)]
    assert sum(link.bytes for links in days for link in links) == life.released == life.counter("released_bytes")
    charged = [sum(link.bytes for link in links if link.state is not LinkState.VOID) for links in days]
    above = [size - life.limit for size in charged if size > life.limit]
    assert sum(above) <= life.beyond


def test_what_is_off_site_is_what_the_storage_has(life: Life) -> None:
    offsite = {f"{name}.qcow2" for name, vm in life.admin.status().items() if vm["offsite_time"] is not None}
    assert offsite == set(life.puller.has)


def test_each_trouble_was_told_when_it_began_and_when_it_was_over(life: Life) -> None:
    told: dict[tuple[str, str], list[str]] = {}
    for line in life.told.read_text().splitlines():
        for one in json.loads(line)["troubles"]:
            told.setdefault((one["what"], one["subject"]), []).append(one["news"])
    assert sum(news.count("new") for (what, _), news in told.items() if what == "over_limit") == 1
    assert told["dump_failed", "db-01"][:1] == ["new"]
    assert "over" not in told["blocked", fleet.OVERSIZE]
    lasting = [news for (what, _), news in told.items() if what != "over_limit"]
    assert all(
        (before == "over") == (after == "new") for news in lasting for before, after in pairwise(["over", *news])
    )
    assert any(news[-1] == "over" for news in lasting)


def test_prometheus_takes_the_metrics_of_all_the_days(life: Life, tmp_path: Path) -> None:
    file = tmp_path / "metrics.openmetrics"
    life.scrapes.write(file)
    promtool("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=96h", file, tmp_path / "blocks")
    assert list(tmp_path.glob("blocks/*/meta.json"))
