"""VMs that the hypervisor has and that nobody dumps."""

from pathlib import Path

import pytest

from core.errors import FaultError
from core.state.database import State
from dumps.hypervisor import machines
from exporters import exposition
from tests.dumps.house import dump, house, released, shell, tell
from tests.host import Host

#: As the commands print them.
VIRSH = "vm1\nother vm\n\n"
QM = """\
      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID
       100 db1                  running    2048              32.00 1234
       101 mail                 stopped    1024              16.00 0
"""
PCT = """\
VMID       Status     Lock         Name
200        running                 proxy
"""


def asking(folder: Path, printed: str, *, ignore: list[str] | None = None) -> Host:
    host = house(folder / "host")
    (folder / "vms").write_text(printed)
    section = f'[hypervisor]\nlist = ["cat", "{folder}/vms"]\nignore = {ignore or []}\n'
    host.file.write_text(host.file.read_text() + section)
    return host


def metrics(host: Host) -> list[str]:
    """Those of the hypervisor, without its times."""
    state = State(host.config().state.path)
    lines = exposition.render(state, host.config(), 0).decode().splitlines()
    state.close()
    return [line for line in lines if line.startswith("tidegate_hypervisor_vms")]


def test_check_names_the_vms_that_nobody_dumps(tmp_path: Path) -> None:
    """Not those of a set, those that were dumped before, those that are retired, and those to be ignored."""
    host = asking(tmp_path, "vm1\nlost\nscratch\ndumped\nretired\n", ignore=["scratch"])
    for vm in ("dumped", "retired"):
        host.dump(vm, 100)
    released(host)
    tell(host, "retire", "retired")
    assert "in no backup: lost; list them in `vms` of a backup set" in tell(host, "check")
    (tmp_path / "vms").write_text("vm1\ndumped\n")
    assert "in no backup" not in tell(host, "check")


@pytest.mark.parametrize("command", ["dump", "pass"])
def test_dumps_and_passes_count_them_for_the_metrics(tmp_path: Path, command: str) -> None:
    """What was found stays until the hypervisor answers again."""
    host = asking(tmp_path, "vm1\nlost\n")
    assert metrics(host) == []
    run = {"dump": dump, "pass": released}[command]
    run(host)
    found = ["tidegate_hypervisor_vms 2.0", "tidegate_hypervisor_vms_without_backup 1.0"]
    assert metrics(host) == found
    (tmp_path / "vms").unlink()
    run(host)
    assert metrics(host) == found
    (tmp_path / "vms").write_text("vm1\n")
    run(host)
    assert metrics(host) == ["tidegate_hypervisor_vms 1.0", "tidegate_hypervisor_vms_without_backup 0.0"]


def test_a_hypervisor_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """By `check`, with its own words."""
    host = asking(tmp_path, "")
    (tmp_path / "vms").unlink()
    assert f"[hypervisor]: cat {tmp_path}/vms: cat: {tmp_path}/vms: No such file or directory" in tell(host, "check")


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **printing: str) -> None:
    """A PATH on which these stand-ins print what the real ones do."""
    for name, printed in printing.items():
        (folder / name).write_text(f"#!/bin/sh\ncat <<'X'\n{printed}X\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin" if printing else str(folder))


def test_without_a_command_whoever_is_there_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxmox's tables begin with the number, by which its dumps are called."""
    programs(tmp_path, monkeypatch, virsh=VIRSH, qm=QM, pct=PCT)
    assert machines(()) == {"vm1", "other vm", "100", "101", "200"}
    assert machines(("qm", "list")) == {"100", "101"}


def test_without_any_of_them_a_command_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing found must not look like nothing missing."""
    programs(tmp_path, monkeypatch)
    with pytest.raises(FaultError, match="none of virsh, qm and pct"):
        machines(())


def test_a_command_that_fails_is_no_answer() -> None:
    """However much it has printed."""
    with pytest.raises(FaultError, match="ended with status 3"):
        machines(shell("echo vm1; exit 3"))
