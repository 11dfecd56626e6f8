"""What an adapter may count on."""

from pathlib import Path

import pytest

from core.enums import AdapterName
from dumps.adapter import Adapter, FailedDump, Task, Written
from dumps.adapters import ADAPTERS
from dumps.commands import Commands
from dumps.failure import DumpFailed
from tests.dumps.house import dump, house, one


class Hypervisor:
    """Begins a job and fails; ends it when it is told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.left: list[FailedDump] = []

    def dump(self, task: Task) -> Written | None:
        task.out.mkdir()
        raise self.error

    def clean_up(self, left: FailedDump, commands: Commands) -> None:
        assert left.out.is_dir()
        self.left.append(left)
        assert commands.read(["echo", left.vm]) == "vm1\n"
        raise DumpFailed("its job does not end")


@pytest.mark.parametrize("error", [DumpFailed("the job failed", 4), OSError(5, "Input/output error")], ids=str)
def test_what_an_adapter_has_begun_is_ended_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """By its own word, and what cannot be ended is told with the failure."""
    hypervisor: Adapter = Hypervisor(error)
    monkeypatch.setitem(ADAPTERS, AdapterName.COMMAND, hypervisor)
    host = house(tmp_path / "host")
    shape = dump(host, code=1)
    assert one(shape)["error"] in {"the job failed; its job does not end", "input/output error; its job does not end"}
    assert isinstance(hypervisor, Hypervisor)
    [left] = hypervisor.left
    assert (left.vm, left.backup_set) == ("vm1", "weekly")
    assert not left.out.exists()
