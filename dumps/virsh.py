"""Talks to libvirt and, through it, to the agent in a guest: `virsh`, one process a question.

libvirt's Python binding is left out: it has to fit the library of the host, is not among what a wheel can bring, and
a call of it that hangs hangs this process too. A virsh that hangs is ended.
"""

import logging
from pathlib import Path

from dumps import leftovers
from dumps.commands import Commands
from dumps.failure import DumpFailed, Stopped

log = logging.getLogger("tidegate.dumps")

#: What it prints is translated; and a daemon that it starts, as it does for `qemu:///session`, is none of the dump's.
_ENVIRONMENT = {"LC_ALL": "C", leftovers.MARK: ""}
#: libvirt itself waits 30 s for a VM that somebody else works on. What takes longer does not come back.
_SECONDS = 120.0

_FROZEN = "frozen"
#: What libvirt gives the agent for an answer. Without it, it waits for ever, and keeps the word to thaw waiting too.
_FREEZE_SECONDS = "30"
_THAW_SECONDS = "10"
_TRIES, _PAUSE_SECONDS = 5, 2.0


class Virsh:
    """For the VM of this name at ``uri``. Each call raises DumpFailed with what virsh complained of."""

    def __init__(self, commands: Commands, uri: str, vm: str) -> None:
        self._commands = commands.within(_SECONDS)
        self._uri = uri
        self._vm = vm
        self._uuid = ""

    def ask(self, question: str, *words: str) -> str:
        """What ``virsh QUESTION VM WORDS`` prints."""
        return self._run(question, self._domain(), *words)

    def job(self, *words: str) -> dict[str, str]:
        """What ``domjobinfo`` prints: ``Job type`` and, of a job, much more."""
        lines = (line.partition(":") for line in self.ask("domjobinfo", *words).splitlines())
        return {key.strip(): value.strip() for key, _, value in lines if value.strip()}

    def _domain(self) -> str:
        """The VM's UUID: of a VM whose name is a number virsh would take that for another's id."""
        if not self._uuid:
            listed = (line.split(maxsplit=1) for line in self._run("list", "--all", "--uuid", "--name").splitlines())
            known = {words[1].strip(): words[0] for words in listed if len(words) == 2}
            if self._vm not in known:
                raise DumpFailed(f"{self._uri} has no VM of this name; it has: {', '.join(sorted(known)) or 'none'}")
            self._uuid = known[self._vm]
        return self._uuid

    def _run(self, *words: str) -> str:
        try:
            return self._commands.read(["virsh", "--quiet", "--connect", self._uri, *words], **_ENVIRONMENT)
        except Stopped:
            raise
        except DumpFailed as error:
            error.sentence = f"{words[0]}: {error.sentence}"
            raise


class Guest:
    """Of the dump that is made in ``folder``: its agent brings the filesystems to rest while the backup begins.

    A file is there for as long as the guest may be frozen, so that whoever cleans up after a run that was killed
    knows it.
    """

    def __init__(self, folder: Path) -> None:
        self._mark = folder / _FROZEN

    def freeze(self, virsh: Virsh, commands: Commands) -> bool:
        """Whether the agent has done it. A guest that does not answer is dumped as it is. Raises Stopped."""
        self._mark.touch()
        try:
            virsh.ask("qemu-agent-command", '{"execute": "guest-fsfreeze-freeze"}', "--timeout", _FREEZE_SECONDS)
        except Stopped:
            raise
        except DumpFailed as error:
            commands.note(f"the guest did not freeze, and its dump is only crash-consistent: {error.sentence}")
            return False
        return True

    def thaw(self, virsh: Virsh, commands: Commands, *, must: bool) -> None:
        """Thaws the guest, also one that did not answer when it was to freeze: it may have done so later.

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
