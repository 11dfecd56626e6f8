"""``kill -9`` of a run at each of its instants: the next one cleans up, and all is there."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.warm import Warm
from tests.dumps.house import dump, house, is_alive, is_tidy, marker, released, results, shell, tell
from tests.host import ROOT, Host
from tests.users import NOBODY
from tests.waiting import until

pytestmark = pytest.mark.slow

#: Each trace point of a dump, and what becomes of the one that was killed there.
UNDONE = ("dump claimed", "dump begins", "dump made", "dump verified", "dump named")
SCRIPT = "mkdir $OUT; yes $VM | head -c 1000 > $OUT/vda; yes $VM | head -c 500 > $OUT/vdb"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with Warm(tmp_path_factory.mktemp("warm") / "run") as warm:
        yield warm


def kill(host: Host, warm: Warm, point: str) -> None:
    assert warm.run("--config", str(host.file), "dump", "weekly", kill_at=point).was_killed


def names(host: Host) -> dict[str, list[str]]:
    """Kind -> names of what stands, "" for dumps."""
    found = sorted(path.name for path in host.dumps.iterdir() if not path.name.startswith("."))
    marked = {kind: [name for name in found if name.endswith(f".{kind}")] for kind in ("done", "failed", "running")}
    return {**marked, "": [name for name in found if not re.search(r"\.(done|failed|running)$", name)]}


def test_these_are_all_the_points_at_which_a_run_may_be_killed() -> None:
    """But for those of a dump that failed, which come below."""
    sources = (file.read_text() for file in (ROOT / "dumps").rglob("*.py"))
    found = {name for source in sources for name in re.findall(r'failpoints\.point\("(.+?)"\)', source)}
    assert found == {*UNDONE, "dump marked", "dump undone", "dump recovered"}


@pytest.mark.parametrize("script", [SCRIPT, "yes $VM | head -c 1000 > $OUT"], ids=["folder", "file"])
@pytest.mark.parametrize("point", UNDONE)
def test_what_was_begun_is_undone_and_told_by_the_next_run(tmp_path: Path, warm: Warm, point: str, script: str) -> None:
    """The dump has failed; nothing of it is left but the marker that says so. Nothing of it was ever let out."""
    host = house(tmp_path / "host", script=script)
    kill(host, warm, point)
    [claim] = names(host)["running"]
    assert names(host)["done"] == []
    assert set(released(host).values()) == {"running"}
    shape = dump(host)
    assert [one["dump"] for one in shape["cleaned_up"]] == [claim.removesuffix(".running")]
    assert results(shape) == {"vm1": "done"}
    assert names(host)["failed"] == [claim.replace("running", "failed")]
    assert marker(host, "failed")["error"] == "its run was killed, or the host went down"
    assert len(names(host)["done"]) == len(names(host)[""]) == 1
    assert is_tidy(host)
    assert "released" in released(host).values()


def test_a_dump_that_has_its_marker_is_kept(tmp_path: Path, warm: Warm) -> None:
    """Killed after that, its run has left a folder, and no mistake."""
    host = house(tmp_path / "host")
    kill(host, warm, "dump marked")
    assert (len(names(host)["done"]), len(names(host)[""])) == (1, 1)
    shape = dump(host)
    assert shape["cleaned_up"] == []
    assert (len(names(host)["done"]), len(names(host)[""])) == (2, 2)
    assert is_tidy(host)


def test_a_dump_whose_marker_has_not_yet_taken_the_place_of_its_claim_is_kept(tmp_path: Path, warm: Warm) -> None:
    """Between the two a kill leaves both; the dump is whole."""
    host = house(tmp_path / "host")
    kill(host, warm, "dump named")
    [claim] = host.dumps.glob("*.running")
    done = claim.with_suffix(".done")
    done.touch()
    shape = dump(host)
    assert [one["detail"] for one in shape["cleaned_up"]] == ["was finished"]
    assert names(host)["failed"] == []
    assert done.exists()
    assert done.with_suffix("").exists()


@pytest.mark.parametrize("point", ["dump undone", "dump recovered"])
def test_who_is_killed_at_undoing_it_is_followed_by_another(tmp_path: Path, warm: Warm, point: str) -> None:
    """A failure, or a recovery, that is itself killed."""
    host = house(tmp_path / "host", script="echo a > $OUT; exit 1")
    kill(host, warm, "dump begins" if point == "dump recovered" else point)
    if point == "dump recovered":
        kill(host, warm, point)
    assert len(names(host)["running"]) == 1
    shape = dump(host, code=1)
    assert len(shape["cleaned_up"]) == 1
    assert (len(names(host)["failed"]), names(host)[""]) == (2, [])
    assert is_tidy(host)


def test_processes_of_a_killed_run_are_ended_by_the_next_one(tmp_path: Path) -> None:
    """Also those that have left their group: their environment tells."""
    pids, go = tmp_path / "pids", tmp_path / "go"
    wait = f"setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' & echo $$ >> {pids}; echo a > $OUT; wait"
    host = house(tmp_path / "host", script=f"test -e {go} || {{ {wait}; }}; echo a > $OUT")
    run = host.start("dump", "weekly")
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    run.kill()
    run.communicate()
    assert [is_alive(int(pid)) for pid in pids.read_text().split()] == [True, True]
    go.touch()
    assert results(dump(host)) == {"vm1": "done"}
    assert [is_alive(int(pid)) for pid in pids.read_text().split()] == [False, False]
    assert is_tidy(host)


def test_post_runs_for_a_dump_whose_run_was_killed(tmp_path: Path, warm: Warm) -> None:
    """What pre has frozen would else stay so."""
    log = tmp_path / "log"
    host = house(tmp_path / "host", post=shell(f"echo $VM $RESULT >> {log}"))
    kill(host, warm, "dump begins")
    dump(host)
    assert log.read_text().splitlines() == ["vm1 failed", "vm1 done"]


def test_what_another_set_has_left_is_not_touched(tmp_path: Path, warm: Warm) -> None:
    """Its run may be alive: its lock is not ours."""
    host = house(tmp_path / "host")
    kill(host, warm, "dump made")
    text = host.file.read_text()
    host.file.write_text(text + text[text.index("[backup_sets.weekly]") :].replace("weekly", "daily"))
    host.run("dump", "daily")
    assert len(names(host)["running"]) == 1
    assert [path.suffix for path in (host.dumps / ".tidegate-dumps").iterdir()] == [".part"]
    dump(host)
    assert is_tidy(host)


def test_what_a_set_has_left_that_is_configured_no_more_is_cleaned_up_by_another(tmp_path: Path, warm: Warm) -> None:
    """It was renamed: no run of its old name will ever come."""
    host = house(tmp_path / "host")
    kill(host, warm, "dump made")
    host.file.write_text(host.file.read_text().replace("weekly", "daily"))
    assert "1 dumped, 0 failed" in tell(host, "dump", "daily")
    assert is_tidy(host)


def test_what_somebody_else_claims_is_not_acted_upon(tmp_path: Path, warm: Warm) -> None:
    """Others may write into the folder, and what a claim says is done with our rights."""
    host = house(tmp_path / "host")
    kill(host, warm, "dump made")
    [claim] = host.dumps.glob("*.running")
    os.chown(claim, NOBODY, NOBODY)
    assert dump(host)["cleaned_up"] == []
    assert claim.exists()
