BEGIN TRANSACTION;
CREATE TABLE beginnings (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, UNIQUE (session, metric)
);
INSERT INTO "beginnings" VALUES(1,'math~a',1,'kl',0);
INSERT INTO "beginnings" VALUES(2,'math~a',1,'ess',1);
INSERT INTO "beginnings" VALUES(3,'math~b',2,'kl',0);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, last_step INTEGER NOT NULL,
    steps BLOB, vals BLOB NOT NULL, crc INTEGER
);
INSERT INTO "chunks" VALUES(1,'math~a',1,'',0,1,NULL,X'000000000000F03F000000000000F83F',1736216135);
INSERT INTO "chunks" VALUES(2,'math~a',1,'kl',0,1,NULL,X'000000000000E03F000000000000D03F',495952133);
INSERT INTO "chunks" VALUES(3,'math~a',1,'ess',1,1,NULL,X'000000000000F03F',3354924009);
CREATE TABLE contests (
    run TEXT NOT NULL, session INTEGER NOT NULL, rival INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, PRIMARY KEY (session, rival)
);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, entry TEXT NOT NULL, reason TEXT NOT NULL,
    head BLOB NOT NULL, time REAL NOT NULL, run TEXT NOT NULL
);
CREATE TABLE marks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL, fields BLOB NOT NULL
);
INSERT INTO "marks" VALUES(1,'math~a',1,2,2.5,'checkpoint',X'81A470617468A161');
CREATE TABLE recent (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, session INTEGER NOT NULL,
    step INTEGER NOT NULL, time REAL NOT NULL, metrics BLOB NOT NULL
);
INSERT INTO "recent" VALUES(1,'math~a',1,2,2.0,X'81A26B6CCB3FC0000000000000');
INSERT INTO "recent" VALUES(2,'math~b',2,0,4.0,X'81A26B6CCB3FF0000000000000');
CREATE TABLE runs (
    id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL,
    started_at REAL NOT NULL, updated_at REAL NOT NULL, first_step INTEGER, last_step INTEGER,
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}',
    changes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "runs" VALUES('math~a','math','a',1.0,100.0,0,2,'{"rollout_is": "token"}','{"host": "h"}',100000002);
INSERT INTO "runs" VALUES('math~b','math','b',3.0,100.0,0,0,'{}','{}',100000001);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE, run TEXT NOT NULL,
    started_at REAL NOT NULL, heard_at REAL NOT NULL,
    outcome TEXT, dropped TEXT NOT NULL DEFAULT '{}',
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}',
    latest_time REAL, latest_step INTEGER,
    declared_at REAL, mark TEXT NOT NULL DEFAULT 'restart'
);
INSERT INTO "sessions" VALUES(1,'rolloutwatch:stream:{math~a}:s1','math~a',1.0,100.0,NULL,'{}','{"rollout_is": "token"}','{"host": "h"}',2.0,2,1.0,'restart');
INSERT INTO "sessions" VALUES(2,'rolloutwatch:stream:{math~b}:s1','math~b',3.0,100.0,'finished','{}','{}','{}',4.0,0,3.0,'restart');
CREATE TABLE step_tables (
    run TEXT NOT NULL, step INTEGER NOT NULL, session INTEGER NOT NULL, time REAL NOT NULL,
    histogram BLOB, sequences BLOB, sample_ids BLOB, groups BLOB, tokens BLOB,
    PRIMARY KEY (run, step, session)
);
INSERT INTO "step_tables" VALUES('math~a',1,1,1.5,NULL,X'28B52FFD202B59010083A56474797065A33C6638A57368617065920102A464617461C410000000000000F03F000000000000F03F',NULL,NULL,NULL);
CREATE TABLE streams (
    stream TEXT PRIMARY KEY, session INTEGER, cursor TEXT NOT NULL, archived_to TEXT NOT NULL,
    dead_letters INTEGER NOT NULL
);
INSERT INTO "streams" VALUES('rolloutwatch:stream:{math~a}:s1',1,'5-0','5',0);
INSERT INTO "streams" VALUES('rolloutwatch:stream:{math~b}:s1',2,'3-0','3',0);
CREATE INDEX sessions_of_run ON sessions (run);
CREATE INDEX beginnings_of_run ON beginnings (run);
CREATE INDEX recent_of_run ON recent (run, step);
CREATE INDEX chunks_of_series ON chunks (run, metric, last_step);
CREATE INDEX marks_of_run ON marks (run, kind, step);
CREATE INDEX contests_of_run ON contests (run);
CREATE INDEX dead_letters_of_run ON dead_letters (run);
COMMIT;
PRAGMA user_version = 5;
