PRAGMA user_version=5;
PRAGMA application_id=1380141929;
BEGIN TRANSACTION;
CREATE TABLE answer (
            key TEXT PRIMARY KEY,
            text TEXT NOT NULL,
            expires REAL NOT NULL
        ) STRICT, WITHOUT ROWID;
INSERT INTO "answer" VALUES('answer','null',1700000030.0);
CREATE TABLE aside (
            sink TEXT NOT NULL,
            request INTEGER NOT NULL REFERENCES request (number),
            since REAL NOT NULL,
            tries INTEGER NOT NULL,
            due REAL,
            reason TEXT NOT NULL,
            PRIMARY KEY (sink, request)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "aside" VALUES('webhook:lab',1,1700000000.0,1,1700000060.0,'the webhook answers 401');
CREATE TABLE cursor (
            name TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            moved REAL NOT NULL,
            tries INTEGER NOT NULL,
            due REAL NOT NULL,
            reason TEXT NOT NULL,
            begun INTEGER NOT NULL
        ) STRICT;
INSERT INTO "cursor" VALUES('json_file:/retests.json',1,1700000000.0,0,0.0,'',0);
CREATE TABLE feed (
            name TEXT NOT NULL,
            part TEXT NOT NULL,
            position TEXT NOT NULL,
            begun REAL NOT NULL,
            moved REAL NOT NULL,
            tries INTEGER NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (name, part)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "feed" VALUES('inbox.dev','','',1700000000.0,1700000060.0,0,'');
INSERT INTO "feed" VALUES('inbox.dev','0','0123456789abcdef0123456789abcdef01234567 1700000000',0.0,1700000060.0,0,'');
CREATE TABLE mail (
            id INTEGER PRIMARY KEY,
            identity TEXT NOT NULL UNIQUE,
            message_id TEXT NOT NULL,
            list_id TEXT NOT NULL,
            source TEXT NOT NULL,
            envelope TEXT NOT NULL,
            received REAL NOT NULL,
            size INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            due REAL,
            waiting TEXT NOT NULL DEFAULT '',
            since REAL NOT NULL,
            tries INTEGER NOT NULL DEFAULT 0,
            claimed INTEGER NOT NULL DEFAULT 0,
            starts INTEGER NOT NULL DEFAULT 0,
            ended REAL,
            story TEXT NOT NULL,
            raw BLOB
        , begun REAL NOT NULL DEFAULT 0, waited REAL NOT NULL DEFAULT 0, missing REAL NOT NULL DEFAULT 0) STRICT;
INSERT INTO "mail" VALUES(1,'done@example.org dev.dpdk.org','done@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,55,'done','it is done',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "done", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B049C9CF4B7548AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE40200146E12D1',0.0,0.0,0.0);
INSERT INTO "mail" VALUES(2,'failed@example.org dev.dpdk.org','failed@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,57,'failed','it is failed',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "failed", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B0494BCCCC494D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE402003D351390',0.0,0.0,0.0);
INSERT INTO "mail" VALUES(3,'ignored@example.org dev.dpdk.org','ignored@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,58,'ignored','it is ignored',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "ignored", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B0C94CCFCB2F4A4D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE40200580D1413',0.0,0.0,0.0);
INSERT INTO "mail" VALUES(4,'queued@example.org dev.dpdk.org','queued@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,57,'queued','it has to wait',1700000060.0,'down',1700000000.0,1,0,0,NULL,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "waits", {"until": 1700000060.0}]
',X'7801F34D2D2E4E4C4FD5F574B152B0292C4D2D4D4D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A054A1797582964E6E7E826720100433E13B4',1700000000.0,0.0,0.0);
INSERT INTO "mail" VALUES(5,'rejected@example.org dev.dpdk.org','rejected@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,59,'rejected','it is rejected',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "rejected", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B0294ACD4A4D2E494D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE402006D461471',0.0,0.0,0.0);
INSERT INTO "mail" VALUES(6,'unresolved@example.org dev.dpdk.org','unresolved@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,61,'unresolved','it is unresolved',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "unresolved", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B029CD2B4A2DCECF294B4D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE40200A49A1572',0.0,0.0,0.0);
CREATE TABLE request (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            mail INTEGER NOT NULL REFERENCES mail (id),
            message_id TEXT NOT NULL,
            series INTEGER NOT NULL,
            submission TEXT NOT NULL,
            project TEXT NOT NULL,
            contexts TEXT NOT NULL,
            arguments TEXT NOT NULL,
            leftovers TEXT NOT NULL,
            requester TEXT NOT NULL,
            subject TEXT NOT NULL,
            date REAL NOT NULL,
            recorded REAL NOT NULL, received REAL NOT NULL DEFAULT 0,
            UNIQUE (message_id, series)
        ) STRICT;
INSERT INTO "request" VALUES(1,1,'done@example.org',29430,'patch 131182','dpdk','["iol-a", "iol-b"]','{"rebase": "main"}','[".11"]','Robin Reviewer <robin@example.org>','Re: [PATCH] a: fix it',1699999940.0,1700000000.0,1700000000.0);
CREATE TABLE tally (
            kind TEXT NOT NULL,
            waiting TEXT NOT NULL DEFAULT '',
            number INTEGER NOT NULL,
            PRIMARY KEY (kind, waiting)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "tally" VALUES('done','',1);
INSERT INTO "tally" VALUES('failed','',1);
INSERT INTO "tally" VALUES('ignored','',1);
INSERT INTO "tally" VALUES('queued','down',1);
INSERT INTO "tally" VALUES('rejected','',1);
INSERT INTO "tally" VALUES('request','',1);
INSERT INTO "tally" VALUES('unresolved','',1);
CREATE INDEX mail_due ON mail (due, id) WHERE outcome = 'queued';
CREATE INDEX mail_claimed ON mail (id) WHERE claimed = 1;
CREATE INDEX mail_ended ON mail (ended) WHERE raw IS NOT NULL;
CREATE INDEX mail_message_id ON mail (message_id);
CREATE INDEX mail_outcome ON mail (outcome);
CREATE INDEX mail_received ON mail (received);
CREATE INDEX request_series ON request (series, number);
CREATE INDEX request_mail ON request (mail);
CREATE INDEX answer_expires ON answer (expires);
CREATE INDEX request_recorded ON request (recorded);
CREATE INDEX mail_waits ON mail (received) WHERE outcome = 'queued';
CREATE TRIGGER mail_comes AFTER INSERT ON mail BEGIN
            INSERT INTO tally VALUES (new.outcome, new.waiting, 1)
                ON CONFLICT DO UPDATE SET number = number + 1;
        END;
CREATE TRIGGER mail_changes AFTER UPDATE OF outcome, waiting ON mail
            WHEN new.outcome IS NOT old.outcome OR new.waiting IS NOT old.waiting BEGIN
            UPDATE tally SET number = number - 1
                WHERE kind = old.outcome AND waiting = old.waiting;
            INSERT INTO tally VALUES (new.outcome, new.waiting, 1)
                ON CONFLICT DO UPDATE SET number = number + 1;
        END;
CREATE TRIGGER request_comes AFTER INSERT ON request BEGIN
            UPDATE tally SET number = number + 1 WHERE kind = 'request';
        END;
CREATE INDEX mail_begun ON mail (begun) WHERE outcome = 'queued';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('request',1);
COMMIT;
