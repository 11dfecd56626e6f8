"""``tidegate restore VM``: back from any copy, compared, and never over anything."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from core.errors import TidegateError
from dumps import domain
from tests.dumps.house import dump, house, is_tidy, shell, tell
from tidegate.cli.main import tidegate

FOLDER = "mkdir -p $OUT/disks; yes $VM | head -c 5000 > $OUT/disks/vda; echo $VM > $OUT/notes"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a storage has pulled, with rsync, of a host that is gone since: ``vm1`` is a file, ``vm2`` a folder."""
    folder = tmp_path_factory.mktemp("host")
    host = house(folder / "host", "vm1", "vm2", own={"vm2": {"command": shell(FOLDER)}})
    host.tree.mkdir()
    dump(host)
    assert is_tidy(host)
    tell(host, "pass")
    tell(host, "sync-started")
    pulled = folder / "storage"
    subprocess.run(["rsync", "-a", f"{host.tree}/", f"{pulled}/"], check=True)
    shutil.rmtree(host.folder)
    return pulled


@pytest.fixture
def copy(storage: Path, tmp_path: Path) -> Path:
    """One that a test may spoil."""
    return Path(shutil.copytree(storage, tmp_path / "storage"))


def restore(vm: str, source: Path, to: Path, *words: str) -> dict[str, Any]:
    """What it prints; raises what it refuses with. No configuration stands anywhere near."""
    ended = CliRunner().invoke(tidegate, ["restore", vm, "--from", str(source), "--to", str(to), "--json", *words])
    if ended.exception is not None:
        raise ended.exception
    shape: dict[str, Any] = json.loads(ended.stdout)
    return shape


def refused(code: int, vm: str, source: Path, to: Path, *words: str) -> str:
    """The sentence; nothing was restored."""
    before = sorted(to.rglob("*")) if to.exists() else []
    with pytest.raises(TidegateError) as caught:
        restore(vm, source, to, *words)
    assert caught.value.exit_code == code
    assert (sorted(to.rglob("*")) if to.exists() else []) == before
    return str(caught.value)


def test_a_file_comes_back_from_the_copy_of_the_tree(storage: Path, tmp_path: Path) -> None:
    """By the VM's name alone: the manifest knows where it is."""
    shape = restore("vm1", storage, tmp_path / "to")
    assert Path(shape["restored"]) == tmp_path / "to" / "vm1"
    assert Path(shape["restored"]).read_text() == "vm1\n" * 250
    assert shape["checked_by"] == str(storage / ".tidegate" / "manifest.json")
    assert [file["name"] for file in shape["files"]] == [""]
    assert shape["define"] is None


def test_a_folder_comes_back_with_all_its_files(storage: Path, tmp_path: Path) -> None:
    """When it is named itself, too."""
    for source in (storage, storage / "vm2"):
        shape = restore("vm2", source, tmp_path / source.name)
        assert (Path(shape["restored"]) / "disks" / "vda").stat().st_size == 5000
        assert (Path(shape["restored"]) / "notes").read_text() == "vm2\n"
        assert [file["name"] for file in shape["files"]] == ["disks/vda", "notes"]


def test_what_differs_in_one_byte_is_not_restored(copy: Path, tmp_path: Path) -> None:
    """Of the same size, and in the last of its files."""
    (copy / "vm2" / "notes").write_text("vm3\n")
    assert "its sha256 is not the one in" in refused(3, "vm2", copy, tmp_path / "to")
    (copy / "vm1").write_bytes(b"short")
    assert "it has 5 bytes, and" in refused(3, "vm1", copy, tmp_path / "to")
    (copy / "vm2" / "notes").unlink()
    assert "No such file" in refused(3, "vm2", copy, tmp_path / "to")


def test_nothing_is_overwritten(storage: Path, tmp_path: Path) -> None:
    """Neither by the name that it would get, nor under it."""
    to = tmp_path / "to"
    restore("vm1", storage, to)
    assert "exists already" in refused(2, "vm1", storage, to)
    (to / "vm2").mkdir()
    assert "exists already" in refused(2, "vm2", storage, to)


def test_without_the_manifest_the_list_of_sums_does(copy: Path, tmp_path: Path) -> None:
    """The dump has to be named then."""
    (copy / ".tidegate" / "manifest.json").unlink()
    for vm in ("vm1", "vm2"):
        shape = restore(vm, copy / vm, tmp_path / "to")
        assert shape["checked_by"] == str(copy / ".tidegate" / "SHA256SUMS")
    assert "no dump of 'vm1' is there" in refused(2, "vm1", copy, tmp_path / "other")


def test_the_marker_beside_a_dump_tells_what_the_papers_do_not(tmp_path: Path) -> None:
    """As in the dump folder itself."""
    host = house(tmp_path / "host", "vm2", script=FOLDER)
    path = host.dumps / dump(host)["dumps"][0]["dump"]
    shape = restore("vm2", path, tmp_path / "to")
    assert shape["checked_by"] == f"{path}.done"
    (path / "notes").write_text("vm3\n")
    assert "its sha256" in refused(3, "vm2", path, tmp_path / "other")


def test_a_dump_of_which_nobody_has_told_a_sum_needs_a_word(copy: Path, tmp_path: Path) -> None:
    """A backup that nobody can check is not restored as if it were checked."""
    shutil.rmtree(copy / ".tidegate")
    assert "--without-checksums" in refused(2, "vm2", copy / "vm2", tmp_path / "to")
    shape = restore("vm2", copy / "vm2", tmp_path / "to", "--without-checksums")
    assert (shape["checked_by"], (tmp_path / "to" / "vm2" / "notes").read_text()) == (None, "vm2\n")


def test_a_folder_of_dumps_without_papers_is_no_dump(copy: Path, tmp_path: Path) -> None:
    """All that the storage has would come back under the name of one VM."""
    shutil.rmtree(copy / ".tidegate")
    (copy / "vm1.done").touch()
    for vm in ("vm1", "vm2"):
        said = refused(2, vm, copy, tmp_path / "to", "--without-checksums")
        assert said.endswith(f"name the dump: --from {copy / vm}")


def test_another_vms_dump_is_refused(storage: Path, tmp_path: Path) -> None:
    """And a VM that is not there gets to know which ones are."""
    assert "is a dump of 'vm1', not of 'vm2'" in refused(2, "vm2", storage / "vm1", tmp_path / "to")
    assert "it names: vm1, vm2" in refused(2, "vm3", storage, tmp_path / "to")
    assert "cannot be read" in refused(2, "vm1", storage / "nothing", tmp_path / "to")
    assert "is no name" in refused(2, "../vm1", storage, tmp_path / "to")


def _outside(manifest: dict[str, Any]) -> None:
    manifest["links"][1]["files"][0]["name"] = "../../outside"


def _elsewhere(manifest: dict[str, Any]) -> None:
    manifest["links"][1]["export_name"] = "../elsewhere"


def _damaged(manifest: dict[str, Any]) -> None:
    manifest["links"][1]["files"] = 7


def _none(manifest: dict[str, Any]) -> None:
    del manifest["links"]


@pytest.mark.parametrize("spoil", [_outside, _elsewhere, _damaged, _none])
def test_a_manifest_leads_nowhere_out_of_the_copy(
    copy: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    """Whoever can write in the storage might else have any file of this host overwritten or shown."""
    file = copy / ".tidegate" / "manifest.json"
    manifest = json.loads(file.read_text())
    spoil(manifest)
    file.write_text(json.dumps(manifest))
    assert "manifest" in refused(3, "vm2", copy, tmp_path / "to")


def test_a_symbolic_link_in_the_copy_is_not_followed(copy: Path, tmp_path: Path) -> None:
    (copy / "vm1").unlink()
    (copy / "vm1").symlink_to("/etc/passwd")
    refused(3, "vm1", copy, tmp_path / "to")


def test_what_a_killed_one_has_left_goes_with_the_next(storage: Path, tmp_path: Path) -> None:
    """While another is at it, it waits its turn."""
    left = tmp_path / ".tidegate-restore-vm2"
    (left / "vm2").mkdir(parents=True)
    (left / "vm2" / "half").touch()
    held = os.open(left, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert "somebody else" in refused(75, "vm2", storage, tmp_path)
    os.close(held)
    restore("vm2", storage, tmp_path)
    assert not left.exists()
    assert not (tmp_path / "vm2" / "half").exists()


def test_zeros_take_no_room(tmp_path: Path) -> None:
    """A raw image is mostly holes."""
    image = tmp_path / "vm1.img"
    with image.open("wb") as file:
        file.write(b"data")
        file.truncate(64 << 20)
    shape = restore("vm1", image, tmp_path / "to", "--without-checksums")
    restored = Path(shape["restored"])
    assert restored.stat().st_blocks * 512 < 4 << 20
    assert restored.stat().st_size == 64 << 20
    assert restored.read_bytes()[:5] == b"data\0"


# --- definitions

DOMAIN = """<domain type='kvm'><name>vm1</name>
<os><type>hvm</type><nvram template='/t.fd' type='file'><source file='/var/vm1_VARS.fd'/></nvram></os><devices>
<disk type='block' device='lun' rawio='yes'><driver name='qemu' type='raw' cache='none'/><source dev='/dev/vg/vm1'/>
<backingStore/><target dev='sda' bus='scsi'/></disk>
<disk type='network' device='disk'><auth username='u'/><source protocol='rbd' name='pool/vm1'><host name='h'/></source>
<target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='disk'><source file='/left.raw'/><target dev='vdc' bus='virtio'/></disk>
<disk type='file' device='disk'><source file='/read.raw'/><target dev='vdd' bus='virtio'/><readonly/></disk>
<disk type='file' device='cdrom'><source file='/nowhere.iso'/><target dev='hda' bus='ide'/><readonly/></disk>
</devices></domain>"""


def test_a_definition_gets_the_disks_that_were_put_back(tmp_path: Path) -> None:
    """Whatever they were before, they are qcow2 files now; what is not there is told."""
    text, notes = domain.moved(DOMAIN, tmp_path, {"sda.qcow2", "vdb.qcow2", "nvram.fd", "domain.xml"})
    root = ElementTree.fromstring(text)
    disks = {target.get("dev", ""): disk for disk in root.iter("disk") if (target := disk.find("target")) is not None}
    for name in ("sda", "vdb"):
        disk = disks[name]
        assert (disk.attrib, [child.tag for child in disk]) == (
            {"type": "file", "device": "disk"},
            ["driver", "source", "target"],
        )
        assert [one.get("file") for one in disk.iter("source")] == [str(tmp_path / f"{name}.qcow2")]
        assert [one.get("type") for one in disk.iter("driver")] == ["qcow2"]
    assert root.findtext("./os/nvram") == str(tmp_path / "nvram.fd")
    assert disks["hda"].find("source") is None
    assert notes == [
        "disk vdc is not in the dump, and is left as it was",
        "the CD-ROM /nowhere.iso is not here, and its drive is empty now",
    ]
    assert [one.get("file") for one in disks["vdd"].iter("source")] == ["/read.raw"]
