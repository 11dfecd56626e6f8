"""The real service under limits of the kernel that nobody else meets: a user namespace has its own."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.host import ROOT
from tests.real_parts import cannot
from tests.waiting import until
from tests.watcher.site import Site

_LIMITS = Path("/proc/sys/user")


class Started:
    """A service that was started; ``log`` is what it has logged so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def logs(self, words: str) -> None:
        """Waits until it has logged this."""
        until(lambda: words in self.log, f"{words!r} was never logged: {self.log}")


@contextmanager
def started(site: Site, limits: Mapping[str, int] | None = None) -> Iterator[Started]:
    """`tidegate watch` once it watches; killed at the end. ``limits``: names in /proc/sys/user."""
    command = [*_within(limits), *site.host.command("watch")] if limits else site.host.command("watch")
    log = site.host.folder / "log"
    with log.open("wb") as stderr, subprocess.Popen(command, cwd=ROOT, stderr=stderr) as process:
        try:
            until(lambda: process.poll() is not None or (site.status() is not None), "it never looked")
            assert process.poll() is None, log.read_text()
            yield Started(process, log)
        finally:
            process.kill()


def _within(limits: Mapping[str, int]) -> list[str]:
    namespace = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode != 0:
        cannot("no user namespace can be made")
    sets = "".join(f"echo {value} > {_LIMITS / name}; " for name, value in limits.items())
    return [*namespace, "sh", "-c", f'{sets}exec "$@"', "limited"]
