"""A host whose sets are dumped by shell commands, and what is left there afterwards."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.host import Host, reasons
from tidegate.cli.main import tidegate

#: 1000 bytes that differ from VM to VM.
WRITE = "yes $VM | head -c 1000 > $OUT"


def shell(script: str) -> list[str]:
    """The command that a shell script is."""
    return ["sh", "-c", script]


def house(folder: Path, *vms: str, script: str = WRITE, own: Mapping[str, Any] | None = None, **keys: Any) -> Host:
    """A host with the set ``weekly`` of these VMs. ``own``: VM -> what is different of it."""
    return Host(
        folder,
        daily=10_000_000,
        backup_sets={"weekly": {"vms": list(vms) or ["vm1"], "command": shell(script), **keys}},
        **({"vms": own} if own else {}),
    )


def tell(host: Host, *words: str, code: int = 0) -> str:
    """What a command prints; in this process, which need not load Python for each of them."""
    ended = CliRunner().invoke(tidegate, ["--config", str(host.file), *words])
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert ended.exit_code == code, ended.output
    return ended.stdout


def dump(host: Host, *words: str, code: int = 0) -> dict[str, Any]:
    """What ``tidegate dump weekly --json`` prints."""
    shape: dict[str, Any] = json.loads(tell(host, "dump", "weekly", "--json", *words, code=code))
    return shape


def released(host: Host) -> dict[str, str]:
    """Runs a pass: dump -> reason."""
    return reasons(json.loads(tell(host, "pass", "--json")))


def results(shape: Mapping[str, Any]) -> dict[str, str]:
    """VM -> result, of ``dump --json``."""
    return {one["vm"]: one["result"] for one in shape["dumps"]}


def one(shape: Mapping[str, Any], vm: str = "vm1") -> Mapping[str, Any]:
    """What ``dump --json`` tells of one VM."""
    [found] = [each for each in shape["dumps"] if each["vm"] == vm]
    return dict(found)


def marker(host: Host, kind: str, vm: str = "vm1") -> dict[str, Any]:
    """The body of the VM's only marker of this kind."""
    [path] = host.dumps.glob(f"{vm}-*.{kind}")
    body: dict[str, Any] = json.loads(path.read_text())
    return body


def standing(host: Host) -> set[str]:
    """What can be seen in the dump folder, times left out: ``vm1-TIME``."""
    names = (path.name for path in host.dumps.iterdir() if not path.name.startswith("."))
    return {
        "-".join(part if "Z" not in part else "TIME" + part.partition("Z")[2] for part in name.split("-"))
        for name in names
    }


def is_tidy(host: Host) -> bool:
    """Whether nothing unfinished is left."""
    workshop = host.dumps / ".tidegate-dumps"
    return not any(workshop.iterdir()) and not list(host.dumps.glob("*.running"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_alive(pid: int) -> bool:
    """Not one that has ended and that nobody has asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
