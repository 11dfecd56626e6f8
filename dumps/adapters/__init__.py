"""What makes dumps, by the name that the configuration has for it. One small file each."""

from dumps.adapter import Adapter
from dumps.adapters.command import Command
from dumps.adapters.libvirt import Libvirt
from tidegate.terms import AdapterName

ADAPTERS: dict[AdapterName, Adapter] = {AdapterName.COMMAND: Command(), AdapterName.LIBVIRT: Libvirt()}
