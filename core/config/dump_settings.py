"""How the VMs of a backup set are dumped, as frozen objects. Sizes are bytes, spans are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.enums import AdapterName

#: A check of a finished dump: the words of a command, or one of the two that need none.
Check = tuple[str, ...]
SIZE: Check = ("size",)
SHA256: Check = ("sha256",)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a dump that others have made must pass before a pass lets it out, and what each check may take."""

    checks: tuple[Check, ...] = ()
    timeout: float = 0.0


NOTHING_TO_VERIFY = Verification()


@dataclass(frozen=True, slots=True)
class DumpRule:
    """How one VM is dumped.

    ``stdout``: what the command prints is the dump. ``keep`` None: no dump is ever removed.
    ``margin`` None: a tenth of the VM's last dump. ``uri``: where libvirt is; None: on this host.
    """

    adapter: AdapterName
    command: tuple[str, ...]
    stdout: bool
    suffix: str
    pre: tuple[str, ...]
    post: tuple[str, ...]
    timeout: float
    retries: int
    margin: int | None
    checksum: bool
    verify: tuple[Check, ...]
    keep: int | None
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class SetDumping:
    """What ``tidegate dump`` runs for a backup set, in the order of its VMs.

    ``folder``: where the dumps go, relative to the watch folder of the name ``watch``; "" is that folder itself.
    """

    watch: str
    folder: str
    parallel: int
    rules: Mapping[str, DumpRule]
