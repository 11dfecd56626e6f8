"""What makes dumps, by the name that the configuration has for it. One small file each."""

from core.enums import AdapterName
from dumps.adapter import Adapter
from dumps.adapters.command import Command
from dumps.adapters.libvirt import Libvirt

ADAPTERS: dict[AdapterName, Adapter] = {AdapterName.COMMAND: Command(), AdapterName.LIBVIRT: Libvirt()}
