"""Talks to libvirt: `virsh`, one process a question.

libvirt's Python binding is left out: it has to fit the library of the host, is not among what a wheel can bring, and
a call of it that hangs hangs this process too. A virsh that hangs is ended.
"""

from dumps import leftovers
from dumps.commands import Commands
from dumps.failure import DumpFailed, Stopped

#: What it prints is translated; and a daemon that it starts, as it does for `qemu:///session`, is none of the dump's.
_ENVIRONMENT = {"LC_ALL": "C", leftovers.MARK: ""}
#: libvirt itself waits 30 s for a VM that somebody else has in his hands. What takes longer does not come back.
_SECONDS = 120.0


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
        """What ``domjobinfo`` tells: ``Job type`` and, of a job, much more."""
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
