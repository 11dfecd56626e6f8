"""Names of dumps: those that scripts give, and those that a disk allows."""

import datetime
import os
import random

_FIRST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
_VMS = 60
_LONGEST_BYTES = 255 - len(".done")


class Names:
    """Each name once. ``writer`` begins the clean ones, so that no two writers dump the same VM."""

    def __init__(self, writer: str, dice: random.Random) -> None:
        self._writer = writer
        self._dice = dice
        self._count = 0

    def fresh(self) -> str:
        """Of one of some sixty VMs, dated."""
        self._count += 1
        stamp = (_FIRST + datetime.timedelta(seconds=self._count)).strftime("%Y-%m-%d_%H-%M-%S")
        return f"{self._writer}{self._dice.randrange(_VMS)}-{stamp}.img"

    def folder(self) -> str:
        """For a folder of dumps."""
        self._count += 1
        return f"{self._writer}-folder{self._count}"

    def again(self) -> str:
        """A name that comes again and again."""
        return f"{self._writer}again{self._dice.randrange(20)}.img"

    def odd(self) -> str:
        """Any bytes that a file name may have; often the longest there can be."""
        self._count += 1
        own = f"{self._writer}{self._count}".encode()
        kinds = (b"\n line", b"\xff\xfe\xc3", " ü漢".encode(), b"\x1b[31m", b"* ?'\"\\$(x)", b".done", b" ")
        name = own + b"".join(self._dice.choices(kinds, k=self._dice.randint(1, 3)))
        form = self._dice.choice(("as it is", "longest", "any bytes"))
        if form == "longest":
            name = name.ljust(_LONGEST_BYTES, b"x")
        elif form == "any bytes":
            name += bytes(self._dice.choices([*range(1, ord("/")), *range(ord("0"), 256)], k=20))
        return os.fsdecode(name)
