BEGIN TRANSACTION;
CREATE TABLE beginnings (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, UNIQUE (session, metric)
);
INSERT INTO "beginnings" VALUES(1,'math~a',1,'kl',0);
INSERT INTO "beginnings" VALUES(2,'math~a',2,'kl',2);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, last_step INTEGER NOT NULL,
    steps BLOB, vals BLOB NOT NULL
);
INSERT INTO "chunks" VALUES(1,'math~a',1,'kl',0,2,NULL,X'0000000000000000000000000000F03F0000000000000040');
INSERT INTO "chunks" VALUES(2,'math~a',2,'kl',2,2,NULL,X'0000000000003440');
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, entry TEXT NOT NULL, reason TEXT NOT NULL,
    head BLOB NOT NULL, time REAL NOT NULL
);
INSERT INTO "dead_letters" VALUES(1,'rolloutwatch:stream:{math~a}:s2','3-0','noise',X'6E6F697365',7.0);
CREATE TABLE recent (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, metrics BLOB NOT NULL
);
INSERT INTO "recent" VALUES(1,'math~a',2,3,3.0,X'81A26B6CCB403E000000000000');
CREATE TABLE runs (
    id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL,
    started_at REAL NOT NULL, updated_at REAL NOT NULL, first_step INTEGER, last_step INTEGER,
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}'
);
INSERT INTO "runs" VALUES('math~a','math','a',0.0,9.0,0,3,'{}','{}');
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE, run TEXT NOT NULL,
    started_at REAL NOT NULL, heard_at REAL NOT NULL,
    cursor TEXT NOT NULL, outcome TEXT, dropped TEXT NOT NULL DEFAULT '{}'
);
INSERT INTO "sessions" VALUES(1,'rolloutwatch:stream:{math~a}:s1','math~a',0.0,100.0,'4-0',NULL,'{}');
INSERT INTO "sessions" VALUES(2,'rolloutwatch:stream:{math~a}:s2','math~a',5.0,100.0,'5-0','finished','{}');
CREATE TABLE step_tables (
    run TEXT NOT NULL, step INTEGER NOT NULL, session INTEGER NOT NULL, time REAL NOT NULL,
    histogram BLOB, sequences BLOB, PRIMARY KEY (run, step, session)
);
CREATE INDEX sessions_of_run ON sessions (run);
CREATE INDEX beginnings_of_run ON beginnings (run);
CREATE INDEX recent_of_run ON recent (run, step);
CREATE INDEX chunks_of_series ON chunks (run, metric, last_step);
COMMIT;
PRAGMA user_version = 1;
