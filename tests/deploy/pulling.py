"""A storage that runs the shipped wrapper against a host with the shipped forced command, over the real ssh."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.host import ROOT, Host

FOLDER = ROOT / "deploy" / "storage"
WRAPPER = FOLDER / "tidegate-pull"


class Storage:
    """``folder/copies`` is its target. ``ssh`` are the words of its client; without a source it pulls by them, too."""

    def __init__(self, folder: Path, ssh: list[str], *, storage: str, source: str = "root@127.0.0.1:/") -> None:
        self.folder = folder
        self.target = folder / "copies"
        self.target.mkdir(parents=True)
        self.bin = folder / "bin"  # programs of its own, before those of the machine
        self.bin.mkdir()
        self.settings = {
            "source": source,
            "target": str(self.target),
            "host": "root@127.0.0.1",
            "storage": storage,
            "ssh": " ".join(ssh),
        }
        self.file = folder / "settings"

    @property
    def command(self) -> list[str]:
        """The words of a run."""
        self.file.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in self.settings.items()))
        return [str(WRAPPER), str(self.file)]

    @property
    def environment(self) -> Mapping[str, str]:
        """Its own programs come first."""
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def pull(self, *, code: int = 0) -> str:
        """Runs the wrapper to its end and gives what it says."""
        done = subprocess.run(
            self.command, capture_output=True, text=True, check=False, env=self.environment, timeout=120
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert done.returncode == code, said
        return said

    def program(self, name: str, body: str) -> None:
        """Puts a program in the place of the machine's."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def copies(self) -> dict[str, int]:
        """Bytes of each plain file that it keeps, by its path in the target; Tidegate's papers are none."""
        files = (path for path in self.target.rglob("*") if path.is_file() and ".tidegate" not in path.parts)
        return {str(path.relative_to(self.target)): path.stat().st_size for path in files}


def let_in(server: Path, host: Host) -> None:
    """Gives the key of the server's client the shipped line of authorized_keys."""
    program = server / "tidegate"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(host.command()[:3])} "$@"\n')
    program.chmod(0o755)
    words = f"env TIDEGATE={program} {FOLDER / 'tidegate-host'} {host.file} {host.tree}"
    key = (server / "client-key.pub").read_text()
    (server / "authorized").write_text(f'restrict,command="{words}" {key}')
