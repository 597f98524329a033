BEGIN TRANSACTION;
CREATE TABLE beginnings (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, UNIQUE (session, metric)
);
INSERT INTO "beginnings" VALUES(1,'math~a',1,'mismatch_k3_kl',0);
INSERT INTO "beginnings" VALUES(2,'math~a',1,'ess',0);
INSERT INTO "beginnings" VALUES(3,'math~b',2,'mismatch_k3_kl',0);
INSERT INTO "beginnings" VALUES(4,'math~b',2,'reward',0);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, last_step INTEGER NOT NULL,
    steps BLOB, vals BLOB NOT NULL, crc INTEGER
);
INSERT INTO "chunks" VALUES(1,'math~b',2,'',0,0,NULL,X'0000000000000440',2006080509);
INSERT INTO "chunks" VALUES(2,'math~b',2,'mismatch_k3_kl',0,0,NULL,X'000000000000E03F',2369388984);
INSERT INTO "chunks" VALUES(3,'math~b',2,'reward',0,0,NULL,X'000000000000F03F',3354924009);
CREATE TABLE contests (
    run TEXT NOT NULL, session INTEGER NOT NULL, rival INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, PRIMARY KEY (session, rival)
);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, entry TEXT NOT NULL, reason TEXT NOT NULL,
    head BLOB NOT NULL, time REAL NOT NULL, run TEXT NOT NULL
);
CREATE TABLE deletions (session INTEGER PRIMARY KEY, run TEXT NOT NULL);
INSERT INTO "deletions" VALUES(3,'math~c');
CREATE TABLE marks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL, fields BLOB NOT NULL
);
CREATE TABLE recent (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, metrics BLOB NOT NULL, crc INTEGER
);
INSERT INTO "recent" VALUES(1,'math~a',1,0,1.0,X'82AE6D69736D617463685F6B335F6B6CCB3FE0000000000000A3657373CB0000000000000000',1874698086);
INSERT INTO "recent" VALUES(2,'math~a',1,1,2.0,X'82AE6D69736D617463685F6B335F6B6CCB3FE0000000000000A3657373CB3FF0000000000000',358536994);
INSERT INTO "recent" VALUES(3,'math~a',1,2,3.0,X'82AE6D69736D617463685F6B335F6B6CCB3FE0000000000000A3657373CB4000000000000000',3564926229);
INSERT INTO "recent" VALUES(4,'math~a',1,3,4.0,X'82AE6D69736D617463685F6B335F6B6CCB3FE0000000000000A3657373CB4008000000000000',3009365560);
CREATE TABLE removals (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, time REAL NOT NULL, reason TEXT NOT NULL
);
INSERT INTO "removals" VALUES(1,'math~c',1000.0,'by hand');
CREATE TABLE runs (
    id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL,
    started_at REAL NOT NULL, updated_at REAL NOT NULL, first_step INTEGER, last_step INTEGER,
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}',
    changes INTEGER NOT NULL DEFAULT 0, tables_from INTEGER
);
INSERT INTO "runs" VALUES('math~a','math','a',1.0,1000.0,0,3,'{}','{}',1000000001,NULL);
INSERT INTO "runs" VALUES('math~b','math','b',1.0,1000.0,0,0,'{}','{}',1000000001,NULL);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL UNIQUE, run TEXT NOT NULL,
    started_at REAL NOT NULL, heard_at REAL NOT NULL,
    outcome TEXT, dropped TEXT NOT NULL DEFAULT '{}',
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}',
    latest_time REAL, latest_step INTEGER,
    declared_at REAL, mark TEXT NOT NULL DEFAULT 'restart'
);
INSERT INTO "sessions" VALUES(1,'rolloutwatch:stream:{math~a}:s1','math~a',1.0,1000.0,NULL,'{"queue_full": 3}','{}','{}',4.0,3,1.0,'restart');
INSERT INTO "sessions" VALUES(2,'rolloutwatch:stream:{math~b}:s1','math~b',1.0,1000.0,'finished','{}','{}','{}',2.5,0,1.0,'restart');
CREATE TABLE step_tables (
    run TEXT NOT NULL, step INTEGER NOT NULL, session INTEGER NOT NULL, time REAL NOT NULL,
    histogram BLOB, sequences BLOB, sample_ids BLOB, groups BLOB, tokens BLOB,
    PRIMARY KEY (run, step, session)
);
CREATE TABLE streams (
    stream TEXT PRIMARY KEY, session INTEGER, cursor TEXT NOT NULL, archived_to TEXT NOT NULL,
    dead_letters INTEGER NOT NULL, crc INTEGER
);
INSERT INTO "streams" VALUES('rolloutwatch:stream:{math~a}:s1',1,'5-0','5',0,488226650);
INSERT INTO "streams" VALUES('rolloutwatch:stream:{math~b}:s1',2,'4-0','4',0,3238838154);
INSERT INTO "streams" VALUES('rolloutwatch:stream:{math~c}:s1',0,'3-0','3',0,2004712446);
CREATE INDEX sessions_of_run ON sessions (run);
CREATE INDEX beginnings_of_run ON beginnings (run);
CREATE INDEX recent_of_run ON recent (run, step);
CREATE INDEX chunks_of_series ON chunks (run, metric, last_step);
CREATE INDEX marks_of_run ON marks (run, kind, step);
CREATE INDEX contests_of_run ON contests (run);
CREATE INDEX dead_letters_of_run ON dead_letters (run);
CREATE INDEX removals_of_run ON removals (run);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sessions',3);
PRAGMA user_version = 6;
COMMIT;
