"""The tables of the archive, as they are and as they came to be.

`sessions.started_at` is when a session is taken to have started, `declared_at` what its own clock said of that,
NULL as long as it has not said; `mark` is the kind of mark with which it goes on with the run.
A process that goes on in another session (`continuation.py`) has several, in the streams `<first stream>+1`, `+2`, ...
`sessions.told` is what of `dropped` figures have told of already (`losses.py`).
`sessions.latest_*` are the time and the step of a session's newest figures;
`runs.changes` grows with all that is archived for a run, and is larger for one that is there anew.
`chunks` of the metric '' hold when figures were made; `crc` is the CRC-32 of steps and values, NULL in old ones,
in other tables that of what else stands in a row (`checksum.py`).
`contests` has a row for each session, and each later one, its rival, that took a run from it while it went on.
`runs.tables_from` is the step before which the tables of steps were let go, NULL if none were.
`runs.tags` are what people have called a run, a list in JSON, and `archived` whether they have put it away.
`deletions` has the sessions of deleted runs of which rows are left, which nobody is shown;
their ids are given to no other session.
`removals` tells which runs were deleted, when and why.

`rule_sets` are the rules in force, the newest one counts; without any the default ones are.
`alert_runs` is how far a run is evaluated: its open step, what came of that, the rule set, and behind which step rules count;
`birth` tells a run from a deleted one of that id, `broken` why it is not evaluated any more.
`alert_states` are the states that are not as at the beginning, `transitions` all that ever happened to alerts,
`given_up` those that the run has gone back behind: found `during` a step, the open one, that is done again.
`alerts` are what people see: one from firing to resolved.
`actions` are what people ever said of an `alert`, or by a `silence` of all that patterns match, and when that ended.
`feed_notes` tell how what was evaluated differs from what is shown: figures that came late or again, where a run went back.
`outbox` has the events that somebody is to be told of, `deliveries` the messages made of them, one for each target.
"""

SCHEMA = 9

TABLES = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL,
    started_at REAL NOT NULL, updated_at REAL NOT NULL, first_step INTEGER, last_step INTEGER,
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}',
    changes INTEGER NOT NULL DEFAULT 0, tables_from INTEGER,
    tags TEXT NOT NULL DEFAULT '[]', archived INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL UNIQUE, run TEXT NOT NULL,
    started_at REAL NOT NULL, heard_at REAL NOT NULL,
    outcome TEXT, dropped TEXT NOT NULL DEFAULT '{}',
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}',
    latest_time REAL, latest_step INTEGER,
    declared_at REAL, mark TEXT NOT NULL DEFAULT 'restart', told TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX sessions_of_run ON sessions (run);
CREATE TABLE streams (
    stream TEXT PRIMARY KEY, session INTEGER, cursor TEXT NOT NULL, archived_to TEXT NOT NULL,
    dead_letters INTEGER NOT NULL, crc INTEGER
);
CREATE TABLE beginnings (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, UNIQUE (session, metric)
);
CREATE INDEX beginnings_of_run ON beginnings (run);
CREATE TABLE recent (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, metrics BLOB NOT NULL, crc INTEGER
);
CREATE INDEX recent_of_run ON recent (run, step);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, last_step INTEGER NOT NULL,
    steps BLOB, vals BLOB NOT NULL, crc INTEGER
);
CREATE INDEX chunks_of_series ON chunks (run, metric, last_step);
CREATE TABLE step_tables (
    run TEXT NOT NULL, step INTEGER NOT NULL, session INTEGER NOT NULL, time REAL NOT NULL,
    histogram BLOB, sequences BLOB, sample_ids BLOB, groups BLOB, tokens BLOB,
    PRIMARY KEY (run, step, session)
);
CREATE TABLE marks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL, fields BLOB NOT NULL
);
CREATE INDEX marks_of_run ON marks (run, kind, step);
CREATE TABLE contests (
    run TEXT NOT NULL, session INTEGER NOT NULL, rival INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, PRIMARY KEY (session, rival)
);
CREATE INDEX contests_of_run ON contests (run);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, entry TEXT NOT NULL, reason TEXT NOT NULL,
    head BLOB NOT NULL, time REAL NOT NULL, run TEXT NOT NULL
);
CREATE INDEX dead_letters_of_run ON dead_letters (run);
CREATE TABLE deletions (session INTEGER PRIMARY KEY, run TEXT NOT NULL);
CREATE TABLE removals (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, time REAL NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX removals_of_run ON removals (run);
"""

_ALERTS = """
CREATE TABLE rule_sets (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, author TEXT NOT NULL, origin TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE TABLE alert_runs (
    run TEXT PRIMARY KEY, open_step INTEGER, rule_set INTEGER NOT NULL DEFAULT 0, begun INTEGER NOT NULL DEFAULT -1,
    heard_at REAL, skew REAL, ended INTEGER NOT NULL DEFAULT 0, came BLOB,
    birth INTEGER NOT NULL DEFAULT 0, broken TEXT NOT NULL DEFAULT ''
);
CREATE TABLE alert_states (
    run TEXT NOT NULL, rule TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (run, rule)
);
CREATE TABLE transitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL UNIQUE, run TEXT NOT NULL, rule TEXT NOT NULL,
    change TEXT NOT NULL, epoch INTEGER NOT NULL, severity INTEGER NOT NULL, step INTEGER NOT NULL, time REAL NOT NULL,
    seen_at REAL NOT NULL, vals BLOB NOT NULL, reason TEXT NOT NULL DEFAULT '',
    quiet INTEGER NOT NULL DEFAULT 0, late INTEGER NOT NULL DEFAULT 0, given_up INTEGER NOT NULL DEFAULT 0,
    during INTEGER NOT NULL
);
CREATE INDEX transitions_of_run ON transitions (run, step);
CREATE INDEX transitions_of_rule ON transitions (run, rule, epoch);
CREATE TABLE alerts (
    id TEXT PRIMARY KEY, run TEXT NOT NULL, rule TEXT NOT NULL, epoch INTEGER NOT NULL, severity INTEGER NOT NULL,
    condition TEXT NOT NULL, summary TEXT NOT NULL, cure TEXT NOT NULL, guide TEXT NOT NULL,
    firing_step INTEGER NOT NULL, firing_time REAL NOT NULL, vals BLOB NOT NULL,
    resolved_step INTEGER, resolved_time REAL, reason TEXT NOT NULL DEFAULT '',
    acknowledged_by TEXT NOT NULL DEFAULT '', acknowledged_until REAL, note TEXT NOT NULL DEFAULT '',
    flapping INTEGER NOT NULL DEFAULT 0, late INTEGER NOT NULL DEFAULT 0, given_up INTEGER NOT NULL DEFAULT 0,
    told_at REAL, repeats INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX alerts_of_run ON alerts (run, firing_step);
CREATE INDEX alerts_of_rule ON alerts (run, rule, epoch);
CREATE INDEX alerts_that_fire ON alerts (run) WHERE resolved_step IS NULL;
CREATE TABLE silences (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, rule TEXT NOT NULL, until REAL NOT NULL,
    author TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL
);
CREATE TABLE actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, what TEXT NOT NULL, author TEXT NOT NULL, until REAL,
    note TEXT NOT NULL DEFAULT '', run TEXT NOT NULL, rule TEXT NOT NULL, alert TEXT, silence INTEGER
);
CREATE INDEX actions_of_run ON actions (run);
CREATE INDEX actions_of_alert ON actions (alert) WHERE alert IS NOT NULL;
CREATE INDEX actions_of_silence ON actions (silence) WHERE silence IS NOT NULL;
CREATE TABLE feed_notes (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL, content BLOB NOT NULL
);
CREATE INDEX feed_notes_of_run ON feed_notes (run, step);
CREATE TABLE outbox (
    event TEXT PRIMARY KEY, run TEXT NOT NULL, severity INTEGER NOT NULL, late INTEGER NOT NULL, created_at REAL NOT NULL
);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, target TEXT NOT NULL, run TEXT NOT NULL, events TEXT NOT NULL,
    created_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL, done_at REAL,
    state TEXT NOT NULL DEFAULT 'waiting', error TEXT NOT NULL DEFAULT '', UNIQUE (key, target)
);
CREATE INDEX deliveries_that_wait ON deliveries (next_at) WHERE state = 'waiting';
"""

_BEGINNINGS = "CREATE INDEX beginnings_of_judging ON feed_notes (run, id) WHERE kind = 'began';\n"

TABLES += _ALERTS + _BEGINNINGS

# a session has had one stream, and has several
_TO_2 = """
ALTER TABLE sessions RENAME TO sessions_1;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE, run TEXT NOT NULL,
    started_at REAL NOT NULL, heard_at REAL NOT NULL,
    outcome TEXT, dropped TEXT NOT NULL DEFAULT '{}'
);
INSERT INTO sessions SELECT id, stream, run, started_at, heard_at, outcome, dropped FROM sessions_1;
CREATE TABLE streams (
    stream TEXT PRIMARY KEY, session INTEGER, cursor TEXT NOT NULL, archived_to TEXT NOT NULL,
    dead_letters INTEGER NOT NULL
);
INSERT INTO streams SELECT stream, id, cursor,
    CASE WHEN stream IN (SELECT stream FROM dead_letters) THEN '0' ELSE substr(cursor, 1, instr(cursor, '-') - 1) END,
    (SELECT count(*) FROM dead_letters WHERE dead_letters.stream = sessions_1.stream) FROM sessions_1;
DROP TABLE sessions_1;
CREATE INDEX sessions_of_run ON sessions (run);
ALTER TABLE dead_letters ADD COLUMN run TEXT NOT NULL DEFAULT '';
UPDATE dead_letters SET run = substr(stream, instr(stream, '{') + 1, instr(stream, '}') - instr(stream, '{') - 1);
CREATE INDEX dead_letters_of_run ON dead_letters (run);
"""

# only the run had a configuration and an environment, those of the session that was read last
_TO_3 = """
ALTER TABLE sessions ADD COLUMN config TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sessions ADD COLUMN environment TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sessions ADD COLUMN latest_time REAL;
ALTER TABLE sessions ADD COLUMN latest_step INTEGER;
UPDATE sessions SET config = runs.config, environment = runs.environment FROM runs
    WHERE runs.id = run AND sessions.id = (SELECT max(id) FROM sessions AS one WHERE one.run = runs.id);
ALTER TABLE step_tables ADD COLUMN sample_ids BLOB;
ALTER TABLE step_tables ADD COLUMN groups BLOB;
ALTER TABLE step_tables ADD COLUMN tokens BLOB;
CREATE TABLE marks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL, fields BLOB NOT NULL
);
CREATE INDEX marks_of_run ON marks (run, kind, step);
CREATE TABLE contests (
    run TEXT NOT NULL, session INTEGER NOT NULL, rival INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, PRIMARY KEY (session, rival)
);
CREATE INDEX contests_of_run ON contests (run);
"""

# a session was where its trainer's clock said, and a process had one
_TO_4 = """
ALTER TABLE sessions ADD COLUMN declared_at REAL;
ALTER TABLE sessions ADD COLUMN mark TEXT NOT NULL DEFAULT 'restart';
UPDATE sessions SET declared_at = started_at;
"""

# columns had no checksum, and nothing told when a figure was made once its row was folded
_TO_5 = """
ALTER TABLE runs ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunks ADD COLUMN crc INTEGER;
"""

# nothing was ever deleted, and an id that was free was given to the next session; rows had no checksum
_TO_6 = """
ALTER TABLE streams ADD COLUMN crc INTEGER;
ALTER TABLE recent ADD COLUMN crc INTEGER;
ALTER TABLE runs ADD COLUMN tables_from INTEGER;
ALTER TABLE sessions RENAME TO sessions_5;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL UNIQUE, run TEXT NOT NULL,
    started_at REAL NOT NULL, heard_at REAL NOT NULL,
    outcome TEXT, dropped TEXT NOT NULL DEFAULT '{}',
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}',
    latest_time REAL, latest_step INTEGER,
    declared_at REAL, mark TEXT NOT NULL DEFAULT 'restart'
);
INSERT INTO sessions SELECT id, stream, run, started_at, heard_at, outcome, dropped, config, environment,
    latest_time, latest_step, declared_at, mark FROM sessions_5;
DROP TABLE sessions_5;
CREATE INDEX sessions_of_run ON sessions (run);
CREATE TABLE deletions (session INTEGER PRIMARY KEY, run TEXT NOT NULL);
CREATE TABLE removals (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, time REAL NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX removals_of_run ON removals (run);
"""

# nobody was called, and what a process had lost before is nothing new
_TO_7 = (
    _ALERTS
    + """
ALTER TABLE sessions ADD COLUMN told TEXT NOT NULL DEFAULT '{}';
UPDATE sessions SET told = dropped;
"""
)

# a run was in every list, and had nothing but its name
_TO_8 = """
ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runs ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
"""

# nobody asked what a run is compared with
_TO_9 = _BEGINNINGS

MIGRATIONS = {
    1: _TO_2,
    2: _TO_3,
    3: _TO_4,
    4: _TO_5,
    5: _TO_6,
    6: _TO_7,
    7: _TO_8,
    8: _TO_9,
}  # from each schema to the next
