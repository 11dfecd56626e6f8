"""Runs a command under what a unit forbids by system calls: SystemCallFilter=, MemoryDenyWriteExecute=.

    python confined.py UNIT COMMAND ...

systemd itself cannot be run in a test; the kernel's part of its sandbox can. What the unit does with mounts and
namespaces is not tried here.
"""

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from tests.deploy.units import setting, settings

_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM  # SystemCallErrorNumber=EPERM
_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN = 65, 1


def syscalls(names: Sequence[str]) -> set[str]:
    """The system calls of these names; a name with an @ is a set of them, as this machine's systemd knows it."""
    found: set[str] = set()
    for name in names:
        found |= set(_members(name)) if name.startswith("@") else {name}
    return found


def _members(group: str) -> Iterator[str]:
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    inside = [line.strip() for line in listed.stdout.splitlines() if line.startswith("    ")]
    yield from syscalls([one for one in inside if not one.startswith("#")])


def allowed(unit: str) -> set[str]:
    """What the lines of SystemCallFilter= leave."""
    left = syscalls(["@default"])
    for value in [value for key, value in settings(unit) if key == "SystemCallFilter"]:
        names = syscalls(value.removeprefix("~").split())
        left = left - names if value.startswith("~") else left | names
    return left


def confine(names: set[str]) -> None:
    """Refuses every other system call to this process and its children, and memory that becomes executable."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_REFUSE)))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else this machine has no such call
            _must(library.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), number, 0))
    _must(library.seccomp_load(context))


def refuse_executable_memory() -> None:
    """What the kernel itself has for it since 6.3; systemd does it by a filter."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0 and ctypes.get_errno() != errno.EINVAL:
        raise OSError(ctypes.get_errno(), "prctl")


def _must(result: int) -> None:
    if result != 0:
        raise OSError(-result, os.strerror(-result))


def main(unit: str, *command: str) -> NoReturn:
    """Becomes the command."""
    names = allowed(unit)
    assert setting(unit, "SystemCallErrorNumber") == "EPERM"
    if setting(unit, "MemoryDenyWriteExecute") == "yes":
        refuse_executable_memory()
    confine(names)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
