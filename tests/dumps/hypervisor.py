"""A real libvirt with real QEMU, of the test's own: no system service, no KVM, and firmware that halts.

libvirtd serves a session when it is not root. Started by root it is put into a user namespace in which it is not; the
files it makes are root's all the same, and nothing outside of its folder is touched.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.dumps import guest
from tests.host import Host
from tests.waiting import until

MIB = 1 << 20
_DOMAIN = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os>{firmware}<type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    {devices}
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
  {more}
</domain>
"""
_FILE = "<source file='{path}'/>"
_SOCKET = "<source protocol='nbd'><host transport='unix' socket='{path}'/></source>"
_AGENT = f"""
<controller type='virtio-serial' index='0'><address type='pci' bus='0' slot='{guest.SLOT}' function='0'/></controller>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
"""
_FIRMWARE = "<loader readonly='yes' type='rom'>{path}</loader>"
_QTEST = """
<qemu:commandline>
  <qemu:arg value='-qtest'/><qemu:arg value='unix:{path},server=on,wait=off'/>
  <qemu:arg value='-qtest-log'/><qemu:arg value='none'/>
</qemu:commandline>
"""
#: Bytes a second of a slow disk: a job on it lasts as long as a test wants to look at it.
_SLOW = 1_000_000


class Hypervisor:
    """libvirtd and its VMs, in ``folder``; ``uri`` leads to it. Disks are of 16 MiB unless said otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"qemu+unix:///session?socket={folder}/run/libvirt/libvirt-sock"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Returns when it answers."""
        for name in ("run", "config/libvirt", "disks"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "config" / "libvirt" / "qemu.conf").write_text('stdio_handler = "file"\n')
        (self.folder / "libvirtd.conf").write_text('log_outputs = "3:stderr"\n')
        own = {"HOME": "", "XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}
        environment = {**os.environ, **{name: str(self.folder / path) for name, path in own.items()}}
        not_root = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
        daemon = shutil.which("libvirtd", path=f"{os.environ['PATH']}:/usr/sbin") or "libvirtd"
        with (self.folder / "libvirtd.log").open("ab") as log:
            command = [*not_root, daemon, "--config", str(self.folder / "libvirtd.conf")]
            self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        until(self._answers)

    def stop(self) -> None:
        """Ends the VMs, and whatever was started here."""
        for told in (self.folder / "run" / "libvirt" / "qemu" / "run").glob("*.pid"):
            if told.stem != "driver":  # that is libvirtd's own
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(told.read_text()), signal.SIGKILL)
        for process in reversed(self._processes):
            process.terminate()
            process.wait()

    def restart(self) -> None:
        """libvirtd is killed and started anew; the VMs run on."""
        daemon = self._processes.pop()
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        self.start()

    def virsh(self, *words: str) -> str:
        """What virsh prints."""
        return self._virsh(*words).stdout

    # --- VMs

    def define(
        self, name: str, *, agent: bool = False, slow: bool = False, variables: bool = False, **disks: int
    ) -> None:
        """A VM with these disks, by their names in it: MiB of random data at the beginning of each.

        ``agent``: it has the channel of a guest agent, and is driven by ``guest.Agent``. ``variables``: its firmware
        keeps some in a file.
        """
        devices = [self._disk(name, target, filled, slow=slow) for target, filled in (disks or {"vda": 1}).items()]
        halting = self.folder / "firmware"
        halting.write_bytes(guest.FIRMWARE)
        description = _DOMAIN.format(
            name=name,
            firmware=self._flash(name) if variables else _FIRMWARE.format(path=halting),
            devices="".join([*devices, _AGENT * agent]),
            more=_QTEST.format(path=self.qtest(name)) * agent,
        )
        self.define_as(description)

    def qtest(self, name: str) -> Path:
        """Where the hardware of a VM with an agent is driven from outside."""
        return self.folder / f"{name}.qtest"

    def define_as(self, description: str) -> None:
        """A VM of which everything is said."""
        file = self.folder / "domain.xml"
        file.write_text(description)
        self.virsh("define", str(file))

    def write(self, name: str, offset: int, *, pattern: int, disk: int = 0) -> None:
        """What a guest does: 64 KiB are written into the disk of a VM that runs."""
        backend = f"/machine/peripheral/virtio-disk{disk}/virtio-backend"
        for command in (f"write -P {pattern} {offset} 64k", "flush"):  # who looks at the file sees it, too
            told = self.virsh("qemu-monitor-command", name, "--hmp", f'qemu-io -d {backend} "{command}"')
            assert not told.strip(), told  # its status is always 0

    def disk(self, name: str, target: str = "vda") -> Path:
        """Where a VM's disk lies."""
        return self.folder / "disks" / f"{name}-{target}.qcow2"

    def process(self, name: str) -> int:
        """The number of the QEMU that is a VM."""
        return int((self.folder / "run" / "libvirt" / "qemu" / "run" / f"{name}.pid").read_text())

    def is_backed_up(self, name: str) -> bool:
        """Whether a backup job of the VM goes on."""
        return self._virsh("backup-dumpxml", name, check=False).returncode == 0

    def variables(self, name: str) -> Path:
        """Where those of a VM's firmware lie."""
        return self.folder / "disks" / f"{name}.fd"

    def _flash(self, name: str) -> str:
        flash = self.folder / "flash"
        for file, content in ((flash, guest.FIRMWARE), (self.variables(name), os.urandom(64 << 10))):
            file.write_bytes(content)
        return f"<loader readonly='yes' type='pflash'>{flash}</loader><nvram>{self.variables(name)}</nvram>"

    def _disk(self, name: str, target: str, filled: int, *, slow: bool) -> str:
        path = self.disk(name, target)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, f"{max(16, filled)}M"], check=True)
        with tempfile.NamedTemporaryFile(dir=self.folder) as data:
            data.write(os.urandom(filled * MIB))
            data.flush()
            convert = ["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", data.name, str(path)]
            subprocess.run(convert, check=True)
        source, kind = _FILE.format(path=path), "file"
        if slow:
            source, kind = _SOCKET.format(path=self._serve_slowly(path)), "network"
        driver = f"<driver name='qemu' type='{'raw' if slow else 'qcow2'}'/>"
        return f"<disk type='{kind}' device='disk'>{driver}{source}<target dev='{target}' bus='virtio'/></disk>"

    def _serve_slowly(self, path: Path) -> Path:
        socket = path.with_suffix(".sock")
        image = "driver=throttle,throttle-group=slow,file.driver=qcow2,file.file.driver=file,file.file.filename="
        group = f"throttle-group,id=slow,x-bps-total={_SLOW}"
        command = ["qemu-nbd", "--persistent", "--shared=4", "--object", group, "-k", str(socket)]
        self._processes.insert(0, subprocess.Popen([*command, "--image-opts", f"{image}{path}"]))
        until(socket.exists)
        return socket

    # --- virsh

    def _answers(self) -> bool:
        return self._virsh("version", check=False).returncode == 0

    def _virsh(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["virsh", "--quiet", "--connect", self.uri, *words]
        done = subprocess.run(
            command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False, timeout=120
        )
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done


@contextlib.contextmanager
def started() -> Iterator[Hypervisor]:
    """One that is stopped, and all its files removed, at the end."""
    with tempfile.TemporaryDirectory(prefix="lv") as folder:  # paths of sockets are short
        hypervisor = Hypervisor(Path(folder))
        hypervisor.start()
        try:
            yield hypervisor
        finally:
            hypervisor.stop()


def house_of(libvirt: Hypervisor, folder: Path, *vms: str, **sections: Any) -> Host:
    """A host with the set ``weekly`` of these VMs of libvirt."""
    backup_set = {"vms": list(vms), "adapter": "libvirt", "uri": libvirt.uri, **sections.pop("keys", {})}
    return Host(folder, daily=1_000_000_000, backup_sets={"weekly": backup_set}, **sections)


def is_same(first: Path, second: Path) -> bool:
    """Whether two images hold the same, also of a VM that runs. Raises where one cannot be read."""
    compare = ["qemu-img", "compare", "-q", "-U", str(first), str(second)]
    status = subprocess.run(compare, check=False).returncode
    assert status in (0, 1)
    return status == 0
