"""What of the whole is shown: filters and pages, said in the query of the address."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlencode

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Choice:
    """``vm`` is a part of the VM's name in either case, ``backup_set`` a set's name; '' each for all."""

    vm: str = ""
    backup_set: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: str) -> "Choice":
        """As the address says it; what makes no sense there is as if it were not."""
        try:
            said = parse_qs(query, errors="surrogateescape", max_num_fields=20)
        except ValueError:
            return cls()
        page = said.get("page", ["1"])[0]
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < 7 else 1
        return cls(said.get("vm", [""])[0].strip(), said.get("set", [""])[0], max(1, number))

    @property
    def is_of_all(self) -> bool:
        """Whether nothing is left out."""
        return not (self.vm or self.backup_set)

    def takes(self, vm: str, backup_set: str | None) -> bool:
        """Whether this VM is shown."""
        return self.vm.lower() in vm.lower() and self.backup_set in ("", backup_set or "")

    def query(self, page: int) -> str:
        """The same choice on another page, with its ``?``."""
        said = {"vm": self.vm, "set": self.backup_set, "page": "" if page == 1 else str(page)}
        written = urlencode({key: value for key, value in said.items() if value}, errors="surrogateescape")
        return f"?{written}" if written else ""


@dataclass(frozen=True, slots=True)
class Leaf(Generic[_T]):
    """One page of a list: its ``rows``, of ``total`` that were chosen, from ``first`` on, which is 1 for the first."""

    rows: Sequence[_T]
    total: int
    first: int
    page: int
    pages: int


def leaf(rows: Sequence[_T], is_chosen: Callable[[_T], bool], page: int, size: int) -> Leaf[_T]:
    """A page past the last is the last."""
    chosen = [row for row in rows if is_chosen(row)]
    pages = max(1, -(-len(chosen) // size))
    page = min(page, pages)
    first = (page - 1) * size
    return Leaf(chosen[first : first + size], len(chosen), first + 1, page, pages)
