"""A stand-in for Proxmox VE's vzdump: its files and its calls of a hook script, as they are published.

It is no vzdump. It follows what pve-manager 9.2 (``PVE/VZDump.pm``) does around an archive: which phases, in which
order, with which environment, what stands on the disk meanwhile, what a status of the hook's does. Nothing is backed
up: an archive holds a few bytes.
"""

import contextlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Phases around the archive, by the mode of the backup: before it, between it and the end, after the end.
_MODES = {
    "snapshot": (("pre-stop", "pre-restart", "post-restart"), ()),
    "stop": (("pre-stop",), ("pre-restart", "post-restart")),
    "suspend": (("pre-stop",), ("pre-restart", "post-restart")),
}


class HookFailed(Exception):
    """Its status was not 0."""


class Killed(Exception):
    """vzdump was, with the archive half written."""


@dataclass(frozen=True)
class Guest:
    """``fails``: its archive cannot be written. ``is_killed``: vzdump is killed when it is half written."""

    vmid: int
    time: str = "2026_11_22-03_00_00"
    mode: str = "snapshot"
    fails: bool = False
    is_killed: bool = False

    @property
    def base(self) -> str:
        return f"vzdump-qemu-{self.vmid}-{self.time}"


class Vzdump:
    """``target``: what TARGET is where no file is written here, ``-`` or a snapshot of a backup server."""

    def __init__(self, folder: Path, script: Path, *, keep: int = 100, target: str = "") -> None:
        self.called: list[tuple[tuple[str, ...], dict[str, str], int]] = []
        self._folder, self._script, self._keep, self._target = folder, script, keep, target

    def run(self, guests: Sequence[Guest]) -> int:
        """The status of ``vzdump``: 255 after any guest failed."""
        self._call("job-init", environment={"STOREID": "local"})
        self._call("job-start")
        failed = [guest for guest in guests if not self._back_up(guest)]
        self._call("job-end")  # also then
        return 255 if failed else 0

    def _back_up(self, guest: Guest) -> bool:
        before, after = _MODES[guest.mode]
        try:
            for phase in ("backup-start", *before):
                self._call(phase, guest)
            self._archive(guest)
            self._call("backup-end", guest)
            for phase in after if guest.mode == "stop" else ():
                self._call(phase, guest)
        except (HookFailed, OSError):
            self._quietly("backup-abort", guest)
            self._end_log(guest, "ERROR: Backup of VM {} failed - broken pipe")
            return False
        if guest.mode == "suspend":
            for phase in after:
                self._call(phase, guest)
        self._end_log(guest, "INFO: Finished Backup of VM {} (00:00:01)")
        return True

    def _archive(self, guest: Guest) -> None:
        """Written under another name, renamed, and older ones pruned: all of it before the hook hears of the end."""
        if self._target:
            return
        unfinished = self._folder / f"{guest.base}.vma.dat"
        unfinished.write_bytes(b"half")
        if guest.is_killed:
            raise Killed
        if guest.fails:
            unfinished.unlink()
            raise OSError
        unfinished.write_bytes(b"archive of %d" % guest.vmid)
        unfinished.rename(self._archive_of(guest))
        archives = sorted(self._folder.glob(f"vzdump-qemu-{guest.vmid}-*.vma.zst"))
        for old in archives[: -self._keep]:
            old.unlink()
            old.with_suffix("").with_suffix(".log").unlink(missing_ok=True)

    def _end_log(self, guest: Guest, last: str) -> None:
        if not self._target:
            log = f"2026-11-22 03:00:00 INFO: Starting Backup\n2026-11-22 03:00:01 {last.format(guest.vmid)}\n"
            (self._folder / f"{guest.base}.log").write_text(log)
        self._quietly("log-end", guest)

    def _archive_of(self, guest: Guest) -> Path:
        return self._folder / f"{guest.base}.vma.zst"

    def _quietly(self, phase: str, guest: Guest) -> None:
        """What a hook does wrong here is nothing but a warning."""
        with contextlib.suppress(HookFailed):
            self._call(phase, guest)

    def _call(self, phase: str, guest: Guest | None = None, environment: dict[str, str] | None = None) -> None:
        """The environment is emptied: no PATH, no HOME."""
        words = (phase,) if guest is None else (phase, guest.mode, str(guest.vmid))
        told = {"STOREID": "local", "DUMPDIR": str(self._folder)} if environment is None else environment
        if guest is not None:
            told |= {"VMTYPE": "qemu", "HOSTNAME": f"guest-{guest.vmid}"}
            told |= {
                "TARGET": self._target or str(self._archive_of(guest)),
                "LOGFILE": f"{self._folder}/{guest.base}.log",
            }
        status = subprocess.run([str(self._script), *words], env=told, check=False, capture_output=True).returncode
        self.called.append((words, told, status))
        if status:
            raise HookFailed
