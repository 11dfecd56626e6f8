"""The VMs of libvirt: every disk that a VM may write to as a qcow2 file, its description, its firmware's variables.

::

    vm1-20261122T030000Z/domain.xml   as `virsh define` takes it
    vm1-20261122T030000Z/vda.qcow2    each disk, by its name in the VM
    vm1-20261122T030000Z/nvram.fd     where it has one

A running VM is dumped by libvirt's backup job, as of the instant at which that begins; one that is shut off is read.
"""

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from core.fs.openat import open_folder, write_new
from core.units import format_span
from dumps import domain
from dumps.adapter import FailedDump, Task, Written
from dumps.commands import Commands
from dumps.domain import Disk, Domain
from dumps.failure import DumpFailed, Stopped
from dumps.virsh import Guest, Virsh

DEFINITION = "domain.xml"
_SYSTEM = "qemu:///system"
#: libvirt's instructions are beside $OUT, and removed with it.
_JOB = "backup.xml"
#: libvirt may be started anew while a job runs in QEMU, which needs it not.
_SILENCE_SECONDS = 60.0
_UNDO_SECONDS = 60.0
#: What virsh complains of where no backup job runs, the VM has been shut off, or is gone.
_NO_JOB = ("no domain backup job", "domain is not running", "has no VM of this name")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 15.0


class Libvirt:
    """libvirt is asked by `virsh`, and believed only where it reports the end of a job."""

    def dump(self, task: Task) -> Written | None:
        """Makes a folder."""
        virsh = Virsh(task.commands, task.rule.uri or _SYSTEM, task.vm)
        live = domain.parse(virsh.ask("dumpxml"))
        task.out.parent.chmod(0o711)  # QEMU mostly runs as a user of its own, and has to get at its files
        task.out.mkdir()
        task.out.chmod(0o755)  # whatever the umask
        _describe(task, virsh, live)
        if live.is_active:
            _push(task, virsh, live)
        else:
            _convert(task, virsh, live)
        _compare(task, live)
        return None

    def clean_up(self, left: FailedDump, commands: Commands) -> None:
        """Ends the backup job that writes to its files, and thaws the guest."""
        if left.out.is_dir():
            virsh = Virsh(commands, left.uri or _SYSTEM, left.vm)
            try:
                _abort(left.out, virsh, commands)
            finally:
                Guest(left.out.parent).thaw(virsh, commands, must=True)


# --- what belongs to the VM besides its disks


def _describe(task: Task, virsh: Virsh, live: Domain) -> None:
    """The VM's definition; where its disks are others than those that it has now, what it is now."""
    text = virsh.ask("dumpxml", "--inactive", "--security-info")
    if domain.parse(text).disks != live.disks:
        task.commands.note("its definition has other disks than it has now: what it is now is written down")
        text = virsh.ask("dumpxml", "--migratable", "--security-info")
    with open_folder(task.out) as folder:  # nobody else's business: it may hold the password of the VM's screen
        write_new(folder, DEFINITION, text.encode(), mode=0o600)
    if live.nvram is not None:
        _copy_variables(task, live, live.nvram)


def _copy_variables(task: Task, live: Domain, nvram: Path) -> None:
    try:
        shutil.copyfile(nvram, task.out / f"nvram{nvram.suffix}")
    except FileNotFoundError:
        if live.is_active:
            raise
        task.commands.note(f"{nvram} is not there: a VM that was never started has none")


# --- a running VM


def _push(task: Task, virsh: Virsh, live: Domain) -> None:
    """Where it fails, ``clean_up`` ends the job and thaws the guest."""
    if not live.disks:
        return
    job = task.out.parent / _JOB
    job.write_text(domain.backup(live.disks, task.out))
    virsh.job("--completed")  # and so libvirt forgets how an earlier job ended
    guest = Guest(task.out.parent)
    is_frozen = live.has_agent and guest.freeze(virsh, task.commands)
    virsh.ask("backup-begin", "--backupxml", str(job))  # 0 means that it has begun
    guest.thaw(virsh, task.commands, must=is_frozen)
    _await_end(task, virsh)
    ended = virsh.job("--completed")
    if (ended.get("Job type"), ended.get("Operation")) != ("Completed", "Backup"):
        why = ended.get("Error message", "libvirt gives no reason; a full disk is the usual cause")
        raise DumpFailed(f"libvirt's backup job ended as {ended.get('Job type', 'unknown')}: {why}")


def _await_end(task: Task, virsh: Virsh) -> None:
    """Returns when there is no job any more; how it ended is another question."""
    began = heard = time.monotonic()
    while True:
        try:
            if virsh.job().get("Job type") == "None":
                return
            heard = time.monotonic()
        except Stopped:
            raise
        except DumpFailed:
            if time.monotonic() - heard > _SILENCE_SECONDS:
                raise
        taken = time.monotonic() - began
        if taken > task.rule.timeout:
            raise DumpFailed(f"libvirt's backup job took longer than {format_span(task.rule.timeout)}")
        task.commands.pause(min(max(_SHORTEST_PAUSE, taken / 10), _LONGEST_PAUSE))


def _abort(out: Path, virsh: Virsh, commands: Commands) -> None:
    """Ends a job that writes into ``out``, and nobody else's: returns when QEMU has let go of it. Raises DumpFailed."""
    if not _is_written(out, virsh):
        return
    virsh.ask("domjobabort")
    give_up = time.monotonic() + _UNDO_SECONDS
    while _is_written(out, virsh):
        if time.monotonic() > give_up:
            raise DumpFailed("libvirt's backup job was asked to end and still runs")
        commands.pause(_SHORTEST_PAUSE)


def _is_written(out: Path, virsh: Virsh) -> bool:
    try:
        running = virsh.ask("backup-dumpxml")
    except DumpFailed as error:
        if any(words in error.sentence for words in _NO_JOB):
            return False
        raise
    return any(out in target.parents for target in domain.backup_targets(running))


# --- a VM that is shut off


def _convert(task: Task, virsh: Virsh, live: Domain) -> None:
    """QEMU's locks keep the VM from being started while a disk is read; between two disks nothing does."""
    before = _changes(live.disks)
    for disk in live.disks:
        if disk.path is None:
            raise DumpFailed(f"disk {disk.target} is neither a file nor a block device: it can be dumped while it runs")
        target = task.out / domain.file_of(disk.target)
        task.commands.run(["qemu-img", "convert", "-f", disk.format, "-O", "qcow2", disk.path, str(target)])
    if domain.parse(virsh.ask("dumpxml")) != live or _changes(live.disks) != before:
        raise DumpFailed("the VM was started, or its disks were changed, while they were read")


def _changes(disks: Iterable[Disk]) -> list[tuple[int, int]]:
    """What changes when a file is written to; of a block device nothing does, but its VM was looked at as well."""
    status = [os.stat(disk.path) for disk in disks if disk.path is not None]
    return [(one.st_ino, one.st_mtime_ns) for one in status]


# --- what was made


def _compare(task: Task, live: Domain) -> None:
    """Every disk is there, and whole. libvirt removes what a job that failed has written; others may as well."""
    files = [domain.file_of(disk.target) for disk in live.disks]
    missing = sorted(set(files) - set(os.listdir(task.out)))
    if missing:
        raise DumpFailed(f"not every disk of the VM was dumped: {', '.join(missing)} is missing")
    for file in files:
        task.commands.run(["qemu-img", "check", "-q", "-f", "qcow2", str(task.out / file)])
