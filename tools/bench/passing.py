"""A pass over 10,000 waiting dumps, all of which leave, beside ``cp -al`` of the same files."""

from pathlib import Path

from tools.bench.bench_host import BenchHost
from tools.bench.paired import Cost, cpus, median, ratios, rounds, run, walls
from tools.bench.results_page import Aim, Line, Section, milliseconds, times

DUMPS = 10_000
ROUNDS = 5
AIM = 5.0


def measure(scratch: Path) -> Section:
    """Each round has a host of its own."""
    again: list[Cost] = []

    def one_pass(number: int) -> Cost:
        host, _ = _filled(scratch / f"pass-{number}")
        cost = run(host.command("pass"))
        again.append(run(host.command("pass")))
        if len(list((host.dumps / ".rsync").iterdir())) != DUMPS:
            raise RuntimeError("not all dumps have left")
        host.remove()
        return cost

    def copy(number: int) -> Cost:
        host, names = _filled(scratch / f"copy-{number}")
        target = host.folder / "copy"
        target.mkdir()
        cost = run(["cp", "-al", "-t", str(target), *(str(host.dumps / name) for name in names)])
        host.remove()
        return cost

    costs = rounds(ROUNDS, {"pass": one_pass, "copy": copy})
    copied = walls(costs["copy"])
    found = median(ratios(walls(costs["pass"]), copied))
    return Section(
        f"A pass over {DUMPS:,} waiting dumps",
        f"Single files of 1 to 4096 bytes, recorded beforehand, and a limit under which all of them leave; {ROUNDS} "
        "rounds. `cp -al` is given the same files by name: it opens none, looks at none twice, keeps no account, and "
        "does not see to it that a power cut leaves its links.",
        "`cp -al`",
        (
            Line("`tidegate pass`", walls(costs["pass"]), milliseconds, copied),
            Line("`tidegate pass` once more: nothing new", walls(again), milliseconds, copied),
            Line("`cp -al` of the same files", copied, milliseconds),
            Line("processor time: `tidegate pass`", cpus(costs["pass"]), milliseconds, cpus(costs["copy"])),
            Line("processor time: `cp -al`", cpus(costs["copy"]), milliseconds),
        ),
        (Aim(f"the whole pass within {AIM:.0f} × `cp -al`", times(found), found <= AIM),),
    )


def _filled(folder: Path) -> tuple[BenchHost, list[str]]:
    host = BenchHost(folder)
    names = host.dump(DUMPS)
    host.mark(names)
    host.record()
    return host, names
