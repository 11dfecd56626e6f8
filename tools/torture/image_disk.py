"""Small filesystems in image files: with a copy, a whole host is put back to an instant, inodes and all."""

import subprocess
from pathlib import Path

#: Bytes, and the words that make one. btrfs and xfs have a least size of their own.
_MADE = {
    "ext4": (16 << 20, ("mkfs.ext4", "-q", "-F", "-m", "0")),
    "xfs": (300 << 20, ("mkfs.xfs", "-q", "-f")),
    "btrfs": (128 << 20, ("mkfs.btrfs", "-q", "-f")),
}
KINDS = tuple(_MADE)


class Disk:
    """``image``, mounted at ``point`` or not. Methods raise CalledProcessError."""

    def __init__(self, image: Path, point: Path) -> None:
        self.image = image
        self.point = point

    def make(self, kind: str) -> None:
        """An empty filesystem."""
        size, words = _MADE[kind]
        with self.image.open("wb") as file:
            file.truncate(size)
        subprocess.run([*words, self.image], check=True, capture_output=True)

    def mount(self) -> None:
        """Also one that was not unmounted: its journal is recovered."""
        self.point.mkdir(exist_ok=True)
        how = () if self.image.is_block_device() else ("-o", "loop")
        subprocess.run(["mount", *how, self.image, self.point], check=True, capture_output=True, text=True)

    def unmount(self) -> None:
        """All that was written is in the image then."""
        subprocess.run(["umount", self.point], check=True, capture_output=True, text=True)

    def save(self, target: Path) -> None:
        """A copy of the whole filesystem, which is mounted before and afterwards."""
        self.unmount()
        copy(self.image, target)
        self.mount()

    def put_back(self, saved: Path) -> None:
        """What ``save`` has saved, in place of what is there; mounted before and afterwards."""
        self.unmount()
        copy(saved, self.image)
        self.mount()


def copy(image: Path, target: Path) -> None:
    """Holes stay holes."""
    target.unlink(missing_ok=True)
    subprocess.run(["cp", "--sparse=auto", "--reflink=never", image, target], check=True)
