"""What must hold at every instant of a host, and what when a pass has gone on; each fault is one sentence."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tools.torture.expected_state import Made, Truth, standing

#: Dumps whose markers are no longer needed.
_ENDED = ("confirmed", "superseded", "expired", "revoked")
#: What a pass that has nothing to do leaves as it is.
_LASTING = (
    "SELECT id, path, fingerprint, bytes, vm, state, reason, ended_at, has_marker FROM dump",
    *(f"SELECT * FROM {table}" for table in ("link", "member", "day", "sync", "sealed_link")),
)


class Ledger(NamedTuple):
    """Rows of the state by table."""

    links: list[dict[str, Any]]
    dumps: dict[int, dict[str, Any]]
    copies: list[dict[str, Any]]


class End(NamedTuple):
    """What a command has come to: what stands, the state of each dump, the VMs' copies, the markers."""

    tree: dict[str, Made]
    dumps: list[tuple[str, int, str]]
    copies: dict[str, str | None]
    markers: list[str]


# --- at every instant


def at_once(folder: Path, truth: Truth) -> list[str]:
    """Right after whatever has happened, before anybody has looked."""
    stands = standing(folder)
    ledger = _ledger(folder)
    return [
        *_whole(stands, truth),
        *_within_the_limit(stands, truth),
        *_charged(stands, truth, ledger),
        *_linked_stands(stands, truth, ledger),
        *_confirmed_is_had(truth, ledger),
        *_nothing_lost(folder, truth, ledger),
        *_papers_whole(folder),
    ]


def _whole(stands: Mapping[str, Made], truth: Truth) -> Iterator[str]:
    for name, made in stands.items():
        if made not in truth.dumps:
            yield f"{name} stands in the tree and is no whole dump: {sorted(made)}"


def _within_the_limit(stands: Mapping[str, Made], truth: Truth) -> Iterator[str]:
    new = sum(truth.dumps[made].bytes for made in stands.values() if made in truth.dumps and made not in truth.had)
    if new > truth.limit:
        yield f"a sync would find {new} bytes that it has not had; the limit is {truth.limit}"


def _charged(stands: Mapping[str, Made], truth: Truth, ledger: Ledger) -> Iterator[str]:
    charged = {(link["export_name"], *_dump_of(ledger, link)) for link in ledger.links if link["state"] != "void"}
    for name, made in stands.items():
        dump = truth.dumps.get(made)
        if dump is not None and (name, dump.path, dump.bytes) not in charged:
            yield f"{name} stands in the tree, and nothing is charged for it"


def _linked_stands(stands: Mapping[str, Made], truth: Truth, ledger: Ledger) -> Iterator[str]:
    for link in ledger.links:
        if link["state"] != "linked" or not link["in_tree"]:
            continue
        made = [one for one, dump in truth.dumps.items() if (dump.path, dump.bytes) == _dump_of(ledger, link)]
        if stands.get(link["export_name"]) not in made and not set(made) & truth.gone:
            yield f"{link['export_name']} is recorded as linked and does not stand"


def _confirmed_is_had(truth: Truth, ledger: Ledger) -> Iterator[str]:
    had = {(truth.dumps[made].path, truth.dumps[made].bytes) for made in truth.had}
    for link in ledger.links:
        if link["state"] == "confirmed" and _dump_of(ledger, link) not in had:
            yield f"{link['export_name']} is recorded as confirmed, and the storage has not had it"
    for vm in ledger.copies:
        row = ledger.dumps.get(vm["offsite_dump_id"] or 0)
        if row is not None and (row["path"], row["bytes"]) not in had:
            yield f"{vm['name']} is held to be off-site by {row['path']}, which the storage has not had"


def _nothing_lost(folder: Path, truth: Truth, ledger: Ledger) -> Iterator[str]:
    """Of each dump that was marked either the marker stands, or the state knows that it has had its end."""
    ended = {(row["path"], row["bytes"]) for row in ledger.dumps.values() if row["state"] in _ENDED}
    for dump in truth.finished():
        if not _markers(folder, dump.path) and (dump.path, dump.bytes) not in ended:
            yield f"{dump.path} has lost its marker, and nothing is recorded of its end"


def _papers_whole(folder: Path) -> Iterator[str]:
    manifest = folder / "dumps" / ".rsync" / ".tidegate" / "manifest.json"
    if manifest.exists():
        try:
            json.loads(manifest.read_text())
        except ValueError as error:
            yield f"the manifest is not whole: {error}"


# --- when a whole pass has gone on


def after_a_pass(folder: Path, truth: Truth, day: Mapping[str, int]) -> list[str]:
    """The ledger is what stands in the tree, each marker's dump is known, and nothing is left half-done."""
    return [*at_once(folder, truth), *_settled(folder, truth, _ledger(folder), day)]


def within_the_account(day: Mapping[str, int]) -> Iterator[str]:
    """Nobody has forced anything."""
    if day["outstanding_bytes"] + day["used_bytes"] > day["limit_bytes"]:
        yield f"the account exceeds the limit: {day}"


def _settled(folder: Path, truth: Truth, ledger: Ledger, day: Mapping[str, int]) -> Iterator[str]:
    stands = {name: truth.dumps[made] for name, made in standing(folder).items() if made in truth.dumps}
    tree = {name: (dump.path, dump.bytes) for name, dump in stands.items()}
    rows = {link["export_name"]: _dump_of(ledger, link) for link in ledger.links if link["in_tree"]}
    if tree != rows:
        yield f"in the tree stand {tree}, in the ledger {rows}"
    yield from (f"{one['export_name']} is still granted" for one in ledger.links if one["state"] == "released")
    outstanding = sum(link["bytes"] for link in ledger.links if link["ended_at"] is None)
    if day["outstanding_bytes"] != outstanding:
        yield f"the account has {day['outstanding_bytes']} bytes outstanding, the ledger {outstanding}"
    known = {row["path"] for row in ledger.dumps.values()}
    for dump in truth.finished():
        if dump.path not in known:
            yield f"{dump.path} is marked and not recorded"
    staging = folder / "dumps" / ".rsync.staging"
    if staging.exists() and (left := sorted(os.listdir(staging))):
        yield f"left in staging: {left}"


# --- what it has come to


def end(folder: Path) -> End:
    """What of the host another way to the same end must come to as well."""
    ledger = _ledger(folder)
    dumps = sorted((row["path"], row["bytes"], row["state"]) for row in ledger.dumps.values())
    copies = {vm["name"]: ledger.dumps.get(vm["offsite_dump_id"], {}).get("path") for vm in ledger.copies}
    names = [path.name for path in (folder / "dumps").iterdir()]
    return End(standing(folder), dumps, copies, sorted(name for name in names if _is_marker(name)))


def everything(folder: Path) -> tuple[End, list[Any]]:
    """All that a pass which has nothing to do must leave as it is."""
    with _opened(folder) as connection:
        rows = [row for query in _LASTING for row in connection.execute(query).fetchall()]
    return end(folder), [tuple(row) for row in rows]


# --- what is there


def _markers(folder: Path, path: str) -> list[str]:
    return [name for name in os.listdir(folder / "dumps") if name.lstrip(".").startswith(f"{path}.")]


def _is_marker(name: str) -> bool:
    """One that was moved aside to be removed is none: it goes when its dump has its end."""
    return name[0] != "." and name.endswith((".done", ".failed", ".running"))


def _dump_of(ledger: Ledger, link: Mapping[str, Any]) -> tuple[str, int]:
    row = ledger.dumps.get(link["dump_id"] or 0)
    return ("", 0) if row is None else (row["path"], row["bytes"])


def _ledger(folder: Path) -> Ledger:
    with _opened(folder) as connection:
        rows = {table: _rows(connection, table) for table in ("link", "dump", "vm")}
    return Ledger(rows["link"], {row["id"]: row for row in rows["dump"]}, rows["vm"])


def _rows(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}").fetchall()]
    return [{key: os.fsdecode(one) if isinstance(one, bytes) else one for key, one in row.items()} for row in rows]


def _opened(folder: Path) -> Any:
    """A copy of the state: to look at the state itself would recover it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as aside:
        for name in ("state.db", "state.db-wal"):
            if (folder / name).exists():
                shutil.copy(folder / name, aside)
        file = sqlite3.connect(Path(aside) / "state.db")
        memory = sqlite3.connect(":memory:")
        file.backup(memory)
        file.close()
    memory.row_factory = sqlite3.Row
    return closing(memory)
