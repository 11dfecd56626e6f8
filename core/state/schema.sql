-- The state file. Times are seconds since the epoch, sizes are bytes, BOOLEAN is 0 or 1.
--
-- The watcher writes vm and dump; the policy writes day, link and sync; everybody reads all of them.
-- A file name is a BLOB, since a disk holds names that are no text. Words are those of core/enums.py.
-- A table is below those that it refers to: in this order a backup is restored.
-- To change a table, change it here and add a step to migrations.py.


-- One row for each VM of which a dump was ever recorded.
CREATE TABLE vm (
    name              TEXT PRIMARY KEY NOT NULL,
    backup_set        TEXT,
    first_seen        REAL NOT NULL,

    -- its dumps, as the watcher recorded them
    period            REAL,                          -- seconds between its dumps, learned from dump_times
    dump_times        TEXT NOT NULL DEFAULT '',      -- of its latest dumps (core/dump_history.py)
    dump_sizes        TEXT NOT NULL DEFAULT '',      -- of its latest dumps: which size is usual
    last_dump_time    REAL,                          -- of its newest finished dump
    last_dump_bytes   INTEGER NOT NULL DEFAULT 0,
    last_result_at    REAL,                          -- when its last dump finished or failed
    last_dump_failed  BOOLEAN NOT NULL DEFAULT 0,
    failures          INTEGER NOT NULL DEFAULT 0,    -- dumps that failed since the last finished one

    -- its off-site copy
    offsite_time      REAL,                          -- dump time of its newest confirmed dump
    offsite_by        TEXT,                          -- Evidence
    offsite_dump_id   INTEGER,                       -- NULL: the copy left another way (mark-sent)
    offsite_at        REAL,                          -- when the storage was found to have that dump
    is_dropped        BOOLEAN NOT NULL DEFAULT 0,    -- by the storage since, as the last pass found it
    target            REAL,                          -- highest wanted age of the copy, seconds, as of the last pass

    -- what the admin or a pass decided about it
    on_hold           BOOLEAN NOT NULL DEFAULT 0,
    forced            TEXT,                          -- Force: its next dump comes first
    backing_off_until REAL,
    retired_at        REAL
);


-- One row for each dump, and for each marker that is bad or of a failure.
CREATE TABLE dump (
    id              INTEGER PRIMARY KEY,
    watch           TEXT NOT NULL,                   -- name of its watch folder
    path            BLOB NOT NULL,                   -- relative to the watch folder
    fingerprint     TEXT NOT NULL,                   -- '': no files that could be released were seen
    is_folder       BOOLEAN NOT NULL DEFAULT 0,
    bytes           INTEGER NOT NULL DEFAULT 0,
    vm              TEXT,                            -- NULL: the marker is too bad to name it
    series          TEXT NOT NULL DEFAULT '',        -- dumps of one series replace each other (core/markers/vm_name.py)
    backup_set      TEXT,
    state           TEXT NOT NULL,                   -- DumpState
    reason          TEXT,                            -- Reason why it cannot leave, whatever is left of the day
    detail          TEXT NOT NULL DEFAULT '',
    dump_time       REAL NOT NULL,
    recorded_at     REAL NOT NULL,
    ended_at        REAL,
    signature       TEXT NOT NULL,                   -- of its markers when they were last read
    has_marker BOOLEAN NOT NULL DEFAULT 1,      -- whether a marker of it is there
    sha256          TEXT,
    body            TEXT,                            -- the marker's JSON, unknown keys too
    verified        BOOLEAN NOT NULL DEFAULT 0,      -- it has passed its checks
    UNIQUE (watch, path, fingerprint)
);
CREATE INDEX dump_by_vm ON dump (vm, dump_time);
CREATE INDEX dump_with_marker ON dump (watch) WHERE has_marker;
CREATE INDEX dump_without_end ON dump (state) WHERE ended_at IS NULL;


-- The files of dumps that are folders; of a single file the fingerprint has it all.
CREATE TABLE member (
    dump_id  INTEGER NOT NULL REFERENCES dump (id) ON DELETE CASCADE,
    name     BLOB NOT NULL,                          -- relative to the dump's folder
    inode    INTEGER NOT NULL,                       -- above 2^63 as its negative complement
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    PRIMARY KEY (dump_id, name)
) WITHOUT ROWID;


-- The days of the account. One is open at a time; its number is its key, never a date.
CREATE TABLE day (
    number        INTEGER PRIMARY KEY,
    opened_at     REAL NOT NULL,
    opened_boot   TEXT NOT NULL,                     -- opened_boot and opened_uptime: core.clock.Instant
    opened_uptime REAL NOT NULL,
    closed_at     REAL,
    closed_by     TEXT,
    limit_bytes   INTEGER NOT NULL,
    reserve_bytes INTEGER NOT NULL,
    used_bytes    INTEGER NOT NULL DEFAULT 0,        -- as the last pass counted it, debt included
    debt_bytes    INTEGER NOT NULL DEFAULT 0         -- as the last pass counted it
);
-- On the expression, which is 1: an index on the column itself would take each NULL for another value.
CREATE UNIQUE INDEX one_open_day ON day (closed_at IS NULL) WHERE closed_at IS NULL;


-- The ledger: one row for each time that a dump was released, and for each foreign file found in an export tree.
CREATE TABLE link (
    id              INTEGER PRIMARY KEY,             -- in the order of releasing
    day             INTEGER NOT NULL REFERENCES day (number),
    watch           TEXT NOT NULL,
    dump_id         INTEGER REFERENCES dump (id),    -- NULL: a foreign file
    vm              TEXT,
    export_name     BLOB NOT NULL,                   -- relative to the export tree
    fingerprint     TEXT NOT NULL,
    bytes           INTEGER NOT NULL,                -- charged to its day
    state           TEXT NOT NULL,                   -- LinkState
    detail          TEXT NOT NULL DEFAULT '',
    released_at     REAL NOT NULL,
    released_boot   TEXT NOT NULL,
    released_uptime REAL NOT NULL,
    linked_at       REAL,
    linked_ctime_ns INTEGER,                         -- of its files right after linking: a later atime is a read
    confirmed_at    REAL,
    confirmed_by    TEXT,                            -- Evidence
    read_at         REAL,                            -- the newest read seen
    read_again_at   REAL,                            -- the newest read of a kept one that the storage long had
    ended_at        REAL,                            -- when it ceased to be outstanding
    in_tree         BOOLEAN NOT NULL,
    forced          TEXT,                            -- Force, as the VM was when it was released
    debt_bytes      INTEGER NOT NULL DEFAULT 0,      -- of its bytes, what the days after its own pay
    copy_inodes     TEXT,                            -- of a copy that shares the dump's blocks; NULL: hard links
    since_id        INTEGER                          -- the first of the unread links that it replaced one after another
);
CREATE INDEX link_outstanding ON link (state) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX link_in_tree ON link (watch, export_name) WHERE in_tree;
CREATE INDEX link_by_day ON link (day);
CREATE INDEX link_by_vm ON link (vm);
CREATE INDEX link_read ON link (read_at) WHERE read_at IS NOT NULL;
CREATE INDEX link_in_debt ON link (id) WHERE debt_bytes > 0;


-- Links that leave in slices: what is set for each of one day, in place of the charge of the whole.
CREATE TABLE slice (
    link_id         INTEGER NOT NULL REFERENCES link (id),
    day             INTEGER NOT NULL REFERENCES day (number),
    bytes           INTEGER NOT NULL,
    released_at     REAL NOT NULL,
    released_boot   TEXT NOT NULL,
    released_uptime REAL NOT NULL,
    PRIMARY KEY (link_id, day)
) WITHOUT ROWID;
CREATE INDEX slice_by_day ON slice (day);


-- One row for each sync that was announced or reported.
CREATE TABLE sync (
    id             INTEGER PRIMARY KEY,
    watch          TEXT,                             -- NULL: all export trees
    sealed_at      REAL,                             -- when it was announced
    reported_at    REAL,
    started_at     REAL,
    started_boot   TEXT NOT NULL DEFAULT '',
    started_uptime REAL NOT NULL DEFAULT 0,
    day            INTEGER,
    evidence       TEXT NOT NULL DEFAULT '',
    confirmed      INTEGER NOT NULL DEFAULT 0,       -- how many links
    sent_bytes     INTEGER,                          -- to the storage; NULL: nobody reported it
    received_bytes INTEGER,                          -- from the storage
    beyond_bytes   INTEGER NOT NULL DEFAULT 0,       -- of sent_bytes, what no link was charged for
    leased_bytes   INTEGER NOT NULL DEFAULT 0,       -- what a push may have sent: recorded before it is sent
    process        INTEGER                           -- of the rsync daemon that serves it
);
CREATE INDEX sync_by_day ON sync (day);


-- Which links were in the export trees when a sync was announced.
CREATE TABLE sealed_link (
    sync_id INTEGER NOT NULL REFERENCES sync (id) ON DELETE CASCADE,
    link_id INTEGER NOT NULL REFERENCES link (id),
    PRIMARY KEY (sync_id, link_id)
) WITHOUT ROWID;


-- Bytes transferred for one link in one sync, where a log has them.
CREATE TABLE transfer (
    sync_id INTEGER NOT NULL REFERENCES sync (id) ON DELETE CASCADE,
    link_id INTEGER NOT NULL REFERENCES link (id),
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (sync_id, link_id)
) WITHOUT ROWID;
CREATE INDEX transfer_of_link ON transfer (link_id);


-- One row for each run of the policy.
CREATE TABLE pass (
    id             INTEGER PRIMARY KEY,
    started_at     REAL NOT NULL,
    finished_at    REAL,                             -- NULL: it runs, or was killed
    day            INTEGER,
    released       INTEGER NOT NULL DEFAULT 0,
    released_bytes INTEGER NOT NULL DEFAULT 0,
    held           INTEGER NOT NULL DEFAULT 0,
    failures       INTEGER NOT NULL DEFAULT 0,

    -- as it found them; NULL: it has not decided yet
    density        REAL,                             -- share of the limit that the targets need; above 1: too much
    needed_bytes   INTEGER,                          -- a day, for the targets
    mean_bytes     INTEGER,                          -- limit of a coming day, on the average
    forecast_days  INTEGER                           -- how far the forecast goes
);


-- What the last pass decided, one row for each dump that it decided about.
CREATE TABLE decision (
    dump_id      INTEGER PRIMARY KEY REFERENCES dump (id),
    place        INTEGER NOT NULL,                   -- in the plan: what it released, the queue, and the rest by VM
    reason       TEXT NOT NULL,                      -- Reason
    detail       TEXT NOT NULL,                      -- a sentence that stays true until the next pass
    in_queue     BOOLEAN NOT NULL,                   -- it leaves when what is before it has left
    forecast_day INTEGER,                            -- number of the day on which it is expected to leave
    rule         TEXT,                               -- ReleaseRule by which that pass released it
    slice_bytes  INTEGER                             -- what may go of it that day, where it leaves in slices
);


-- Which VMs leave on which of the coming days, as the last pass expects.
CREATE TABLE forecast (
    vm        TEXT NOT NULL,
    day       INTEGER NOT NULL,                      -- from that pass on, which is 0
    bytes     INTEGER NOT NULL,
    dump_time REAL,                                  -- of what leaves; NULL: only the day after would show it
    PRIMARY KEY (vm, day)
) WITHOUT ROWID;


-- Totals that only grow; kept here so that a restart loses none.
CREATE TABLE counter (
    name  TEXT NOT NULL,
    label TEXT NOT NULL,                             -- the value of its one label, '' without
    value INTEGER NOT NULL,
    PRIMARY KEY (name, label)
);


-- How each watch folder was when it was last looked at.
CREATE TABLE watch_status (
    watch             TEXT PRIMARY KEY NOT NULL,
    up                BOOLEAN NOT NULL,
    detail            TEXT NOT NULL DEFAULT '',
    last_scan_at      REAL,
    last_scan_seconds REAL,
    filesystem_id     TEXT,                          -- of the folder in which the known dumps were
    unmounted_since   REAL,                          -- since when another folder is in its place
    listening         BOOLEAN,                       -- whether the kernel reports all its folders; NULL: not asked to
    free_bytes        INTEGER,                       -- on its disk, as the last pass found it
    pinned_bytes      INTEGER                        -- what links alone keep from being free there
);


-- When the hypervisor was last asked, and how many VMs it had. One row, or none: nobody asks it.
CREATE TABLE hypervisor (
    id       INTEGER PRIMARY KEY,
    asked_at REAL NOT NULL,
    vms      INTEGER NOT NULL
);


-- VMs that the hypervisor had then, and that are in no backup.
CREATE TABLE without_backup (
    vm    TEXT PRIMARY KEY NOT NULL,
    since REAL NOT NULL
);


-- Alerts of which somebody was notified and that are not known to be over.
CREATE TABLE alert (
    what        TEXT NOT NULL,                       -- Trouble
    subject     TEXT NOT NULL,
    since       REAL NOT NULL,
    notified_at REAL NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (what, subject)
);
