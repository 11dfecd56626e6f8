"""The tables of the state file, version 5. Times are seconds since the epoch, sizes are bytes.

``dump`` and ``vm`` are written by the recorder, ``day``, ``link``, ``sync`` by the policy; all of them are read by
everybody. A file name is kept as its bytes: a disk holds names that are no text.
"""

import os
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import UserDefinedType

from core.enums import DumpState, Evidence, Force, LinkState, Reason, Trouble

SCHEMA_VERSION = 1
metadata = MetaData()


class FileName(UserDefinedType[str]):
    """A file name as Python has it (undecodable bytes as surrogates), stored as its bytes."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """As SQLite calls it."""
        return "BLOB"

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], bytes]:
        """To the state."""
        return os.fsencode  # type: ignore[return-value]  # none of its columns may be NULL

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[bytes], str]:
        """From the state."""
        return os.fsdecode


class Word(Text):
    """A word of a closed set (``core.enums``), or NULL; stored as its text."""

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], StrEnum | None]:
        """From the state: by one look-up, since tens of thousands are read for each pass."""
        words: dict[str | None, StrEnum | None] = {None: None, **{word.value: word for word in self.words}}
        return words.__getitem__


vm = Table(
    "vm",
    metadata,
    Column("name", Text, primary_key=True),
    Column("backup_set", Text),
    Column("first_seen", Float, nullable=False),
    Column("period", Float),  # learned seconds between dumps
    Column("dump_times", Text, nullable=False, server_default=""),  # of which it was learned
    Column("last_dump_time", Float),  # of its newest finished dump
    Column("last_dump_bytes", Integer, nullable=False, server_default="0"),
    Column("last_result_at", Float),  # when its last dump finished or failed
    Column("last_dump_failed", Boolean, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),  # since its last finished dump
    Column("offsite_time", Float),  # dump time of its newest confirmed dump
    Column("offsite_by", Word(Evidence)),
    Column("offsite_dump_id", Integer),  # NULL when the copy was not let out by us (mark-sent)
    Column("on_hold", Boolean, nullable=False, server_default="0"),
    Column("backing_off_until", Float),
    Column("retired_at", Float),
    Column("target", Float),  # seconds of off-site age to stay under, as the last pass worked it out
    Column("forced", Word(Force)),  # the admin's word: its next dump comes first
    Column("offsite_at", Float),  # when the storage was found to have that dump
    Column("is_dropped", Boolean, nullable=False, server_default="0"),  # by the storage since, as the last pass saw it
    Column("dump_sizes", Text, nullable=False, server_default=""),  # of its latest dumps: what is usual
)

dump = Table(
    "dump",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("watch", Text, nullable=False),
    Column("path", FileName, nullable=False),  # relative to the watch folder
    Column("fingerprint", Text, nullable=False),  # '' while nothing that could be taken was seen
    Column("is_folder", Boolean, nullable=False, server_default="0"),
    Column("bytes", Integer, nullable=False, server_default="0"),
    Column("vm", Text),  # NULL when the marker is too bad to say
    Column("vm_said", Boolean, nullable=False, server_default="0"),  # by the marker or vm_pattern: never ambiguous
    Column("backup_set", Text),
    Column("state", Word(DumpState), nullable=False),
    Column("reason", Word(Reason)),  # why it cannot leave, whatever is left of the day
    Column("detail", Text, nullable=False, server_default=""),
    Column("dump_time", Float, nullable=False),
    Column("recorded_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("signature", Text, nullable=False),  # of its markers when they were last read
    Column("marker_standing", Boolean, nullable=False, server_default="1"),
    Column("sha256", Text),
    Column("body", Text),  # the marker's JSON, unknown keys too
    Column("verified", Boolean, nullable=False, server_default="0"),  # it has passed its checks
    UniqueConstraint("watch", "path", "fingerprint"),
    Index("dump_by_vm", "vm", "dump_time"),
    Index("dump_standing", "watch", sqlite_where=Column("marker_standing", Boolean)),
    Index("dump_without_end", "state", sqlite_where=Column("ended_at", Float).is_(None)),
)

#: The files of dumps that are folders; the fingerprint of a single file says it all.
member = Table(
    "member",
    metadata,
    Column("dump_id", ForeignKey("dump.id", ondelete="CASCADE"), primary_key=True),
    Column("name", FileName, primary_key=True),
    Column("inode", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    sqlite_with_rowid=False,
)

day = Table(
    "day",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("opened_at", Float, nullable=False),
    Column("opened_boot", Text, nullable=False),
    Column("opened_uptime", Float, nullable=False),
    Column("closed_at", Float),
    Column("closed_by", Text),
    Column("limit_bytes", Integer, nullable=False),
    Column("reserve_bytes", Integer, nullable=False),
    Column("used_bytes", Integer, nullable=False, server_default="0"),  # as the last pass counted it, debt included
    Column("debt_bytes", Integer, nullable=False, server_default="0"),  # as the last pass counted it
)

# On the expression, which is 1: an index on the column itself would hold each NULL for another value.
Index("one_open_day", day.c.closed_at.is_(None), unique=True, sqlite_where=day.c.closed_at.is_(None))

#: The ledger: one row for each dump let out and each foreign file found in an export tree.
link = Table(
    "link",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("day", ForeignKey("day.number"), nullable=False),
    Column("watch", Text, nullable=False),
    Column("dump_id", ForeignKey("dump.id")),  # NULL: a foreign file
    Column("vm", Text),
    Column("export_name", FileName, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("bytes", Integer, nullable=False),  # charged
    Column("state", Word(LinkState), nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("released_at", Float, nullable=False),
    Column("released_boot", Text, nullable=False),
    Column("released_uptime", Float, nullable=False),
    Column("linked_at", Float),
    Column("linked_ctime_ns", Integer),  # of its files right after linking: a later atime is a read
    Column("confirmed_at", Float),
    Column("confirmed_by", Word(Evidence)),
    Column("read_at", Float),  # the newest read seen
    Column("ended_at", Float),  # when it stopped to be outstanding
    Column("in_tree", Boolean, nullable=False),
    Column("forced", Word(Force)),  # as the VM was when it was granted
    Column("debt_bytes", Integer, nullable=False, server_default="0"),  # of it, what the days after its own pay
    Column("copy_inodes", Text),  # of a copy that shares the dump's blocks: its files' inodes; NULL: hard links
    Column("since_id", Integer),  # the first of the unread links in whose place it came one after another
    Column("read_again_at", Float),  # the newest read of a kept one that the storage had long had
    Index("link_outstanding", "state", sqlite_where=Column("ended_at", Float).is_(None)),
    Index("link_in_tree", "watch", "export_name", unique=True, sqlite_where=Column("in_tree", Boolean)),
    Index("link_by_day", "day"),
    Index("link_in_debt", "id", sqlite_where=Column("debt_bytes", Integer) > 0),
)

#: One row for each sync that was announced or reported. ``watch`` NULL: all export trees.
sync = Table(
    "sync",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("watch", Text),
    Column("sealed_at", Float),
    Column("reported_at", Float),
    Column("started_at", Float),
    Column("day", Integer),
    Column("evidence", Text, nullable=False, server_default=""),
    Column("confirmed", Integer, nullable=False, server_default="0"),
    Column("sent_bytes", Integer),  # what crossed the line to the storage; NULL: nobody told
    Column("received_bytes", Integer),  # and from it
    Column("beyond_bytes", Integer, nullable=False, server_default="0"),  # of it, what no link was charged for
    Column("process", Integer),  # of the daemon that served it
    Column("leased_bytes", Integer, nullable=False, server_default="0"),  # what a push may have sent: recorded before
    Column("started_boot", Text, nullable=False, server_default=""),
    Column("started_uptime", Float, nullable=False, server_default="0"),
    Index("sync_by_day", "day"),
)

sealed_link = Table(
    "sealed_link",
    metadata,
    Column("sync_id", ForeignKey("sync.id", ondelete="CASCADE"), primary_key=True),
    Column("link_id", ForeignKey("link.id"), primary_key=True),
    sqlite_with_rowid=False,
)

#: What is set of one day for a link that leaves in slices; it stands in place of the link's charge.
slice_of_day = Table(
    "slice",
    metadata,
    Column("link_id", ForeignKey("link.id"), primary_key=True),
    Column("day", ForeignKey("day.number"), primary_key=True),
    Column("bytes", Integer, nullable=False),
    Column("released_at", Float, nullable=False),
    Column("released_boot", Text, nullable=False),
    Column("released_uptime", Float, nullable=False),
    Index("slice_by_day", "day"),
    sqlite_with_rowid=False,
)

#: Bytes that crossed the line for one link in one sync, where a log tells.
crossing = Table(
    "crossing",
    metadata,
    Column("sync_id", ForeignKey("sync.id", ondelete="CASCADE"), primary_key=True),
    Column("link_id", ForeignKey("link.id"), primary_key=True),
    Column("bytes", Integer, nullable=False),
    Index("crossing_of_link", "link_id"),
    sqlite_with_rowid=False,
)

#: Totals that only grow; they live here so that a restart loses none.
counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),  # the value of its one label, '' without
    Column("value", Integer, nullable=False),
)

watch_status = Table(
    "watch_status",
    metadata,
    Column("watch", Text, primary_key=True),
    Column("up", Boolean, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("last_scan_at", Float),
    Column("last_scan_seconds", Float),
    Column("filesystem_id", Text),  # which folder of which filesystem it was when what is known of it stood there
    Column("unmounted_since", Float),  # since when another folder stands in its place
    Column("listening", Boolean),  # whether the kernel tells of all its folders; NULL: nobody asks it to
    Column("free_bytes", Integer),  # on its disk, as the last pass found it
    Column("pinned_bytes", Integer),  # what links alone keep from being free there
)

#: What the last pass left waiting, for those who show it and cannot ask the planner. No row: nothing waits.
waiting_tally = Table(
    "waiting",
    metadata,
    Column("reason", Word(Reason), primary_key=True),
    Column("dumps", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
)

#: VMs that the hypervisor had when it was last asked, and that are in no backup.
without_backup = Table(
    "without_backup",
    metadata,
    Column("vm", Text, primary_key=True),
    Column("since", Float, nullable=False),
)

#: The one row of when the hypervisor was last asked, and how many VMs it had. None: nobody asks it.
hypervisor = Table(
    "hypervisor",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("asked_at", Float, nullable=False),
    Column("vms", Integer, nullable=False),
)

#: Troubles of which somebody was told and that are not known to be over.
trouble = Table(
    "trouble",
    metadata,
    Column("what", Word(Trouble), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("since", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    Column("detail", Text, nullable=False),
)

policy_pass = Table(
    "pass",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("day", Integer),
    Column("released", Integer, nullable=False, server_default="0"),
    Column("released_bytes", Integer, nullable=False, server_default="0"),
    Column("held", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
)
