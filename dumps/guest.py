"""A guest whose agent brings its filesystems to rest for the instant at which a backup begins.

A file stands for as long as the guest may be frozen, so that whoever cleans up after a run that was killed knows it.
"""

import logging
from pathlib import Path

from dumps.commands import Commands
from dumps.failure import DumpFailed, Stopped
from dumps.virsh import Virsh

log = logging.getLogger("tidegate.dumps")

_MARK = "frozen"
#: What libvirt gives the agent for an answer. Without it, it waits for ever, and keeps the word to thaw waiting too.
_FREEZE_SECONDS = "30"
_THAW_SECONDS = "10"
_TRIES, _PAUSE_SECONDS = 5, 2.0


class Guest:
    """Of the dump that is made in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._mark = folder / _MARK

    def freeze(self, virsh: Virsh, commands: Commands) -> bool:
        """Whether the agent has done it. A guest that does not answer is dumped as it stands. Raises Stopped."""
        self._mark.touch()
        try:
            virsh.ask("qemu-agent-command", '{"execute": "guest-fsfreeze-freeze"}', "--timeout", _FREEZE_SECONDS)
        except Stopped:
            raise
        except DumpFailed as error:
            commands.note(f"the guest does not freeze, and is dumped as it stands: {error.sentence}")
            return False
        return True

    def thaw(self, virsh: Virsh, commands: Commands, *, must: bool) -> None:
        """Lets the guest go on, also one that did not say that it froze: it may have done so later.

        ``must``: raises DumpFailed where it does not answer. Does nothing for one that was never asked to freeze.
        """
        if not self._mark.exists():
            return
        for tries in reversed(range(_TRIES if must else 1)):
            try:
                virsh.ask("qemu-agent-command", '{"execute": "guest-fsfreeze-thaw"}', "--timeout", _THAW_SECONDS)
                self._mark.unlink()
                return
            except DumpFailed as error:
                if not tries:
                    self._give_up(error, commands, must=must)
                    return
                commands.pause(_PAUSE_SECONDS)

    def _give_up(self, error: DumpFailed, commands: Commands, *, must: bool) -> None:
        sentence = f"the guest may still be frozen: `virsh domfsthaw`, or restart it: {error.sentence}"
        if must:
            raise DumpFailed(sentence)
        commands.note(sentence)
        log.warning("%s", sentence)
