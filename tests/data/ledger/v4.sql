PRAGMA user_version=4;
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
CREATE TABLE baseline (
            request INTEGER PRIMARY KEY REFERENCES request (number),
            newest INTEGER NOT NULL
        , server TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE batch (
            consumer TEXT NOT NULL,
            after INTEGER NOT NULL,
            last INTEGER NOT NULL,
            contexts TEXT NOT NULL,
            generation TEXT NOT NULL,
            given INTEGER NOT NULL,
            due REAL NOT NULL,
            second REAL NOT NULL, server TEXT DEFAULT '',
            PRIMARY KEY (consumer, after, last, generation)
        ) STRICT, WITHOUT ROWID;
CREATE TABLE consumer (
            name TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            moved REAL NOT NULL,
            begun INTEGER NOT NULL,
            second REAL NOT NULL
        , told INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE cursor (
            name TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            moved REAL NOT NULL,
            tries INTEGER NOT NULL,
            due REAL NOT NULL,
            reason TEXT NOT NULL,
            begun INTEGER NOT NULL
        , second REAL NOT NULL DEFAULT 0) STRICT;
INSERT INTO "cursor" VALUES('json_file:/retests.json',1,1700000000.0,0,0.0,'',0,0.0);
CREATE TABLE event (
            number INTEGER PRIMARY KEY,
            mail INTEGER,
            text TEXT NOT NULL
        ) STRICT;
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
CREATE TABLE forwarding (
            mail INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            sent INTEGER NOT NULL
        ) STRICT;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), second REAL NOT NULL) STRICT;
INSERT INTO "head" VALUES(1,0.0);
CREATE TABLE known (identity TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE letter (
            id TEXT PRIMARY KEY,
            sink TEXT NOT NULL,
            request INTEGER NOT NULL,
            at REAL NOT NULL,
            recipients TEXT NOT NULL,
            tries INTEGER NOT NULL,
            due REAL NOT NULL,
            reason TEXT NOT NULL,
            sent REAL NOT NULL,
            raw BLOB
        ) STRICT;
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
        , begun REAL NOT NULL DEFAULT 0, waited REAL NOT NULL DEFAULT 0, missing REAL NOT NULL DEFAULT 0, holder TEXT NOT NULL DEFAULT '', sender TEXT NOT NULL DEFAULT '', turn INTEGER NOT NULL DEFAULT 0, filed_kind TEXT NOT NULL DEFAULT '', filed_submission INTEGER NOT NULL DEFAULT 0, filed_comment INTEGER NOT NULL DEFAULT 0, filed_parent TEXT NOT NULL DEFAULT '', passage TEXT NOT NULL DEFAULT '', proof TEXT, stored INTEGER NOT NULL DEFAULT 0, author TEXT NOT NULL DEFAULT '', subject TEXT NOT NULL DEFAULT '', filed_server TEXT NOT NULL DEFAULT '', cut INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "mail" VALUES(1,'tsxCNo8A1R-ULq8_F_5enFup','done@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,55,'done','it is done',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "done", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B049C9CF4B7548AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE40200146E12D1',0.0,0.0,0.0,'','',0,'',0,0,'','',NULL,63,'','','',0);
INSERT INTO "mail" VALUES(2,'S7bCgXGzEpyA7E4NrNUCQBTJ','failed@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,57,'failed','it is failed',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "failed", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B0494BCCCC494D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE402003D351390',0.0,0.0,0.0,'','',0,'',0,0,'','',NULL,65,'','','',0);
INSERT INTO "mail" VALUES(3,'ghe-wFnyCW9ake58qxYomatp','ignored@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,58,'ignored','it is ignored',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "ignored", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B0C94CCFCB2F4A4D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE40200580D1413',0.0,0.0,0.0,'','',0,'',0,0,'','',NULL,66,'','','',0);
INSERT INTO "mail" VALUES(4,'wPi1iaO-bCm9KhLadBIrJ7-y','queued@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,57,'queued','it has to wait',1700000060.0,'down',1700000000.0,1,0,0,NULL,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "waits", {"until": 1700000060.0}]
',X'7801F34D2D2E4E4C4FD5F574B152B0292C4D2D4D4D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A054A1797582964E6E7E826720100433E13B4',1700000000.0,0.0,0.0,'','',0,'',0,0,'','',NULL,64,'','','',0);
INSERT INTO "mail" VALUES(5,'qJgBUCNYssOEQxDBsZ4Xepmf','rejected@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,59,'rejected','it is rejected',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "rejected", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B0294ACD4A4D2E494D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE402006D461471',0.0,0.0,0.0,'','',0,'',0,0,'','',NULL,67,'','','',1);
INSERT INTO "mail" VALUES(6,'Eyi6JSPgx6MpO5VQSn0t1Al4','unresolved@example.org','dev.dpdk.org','test','[null, [], ""]',1700000000.0,61,'unresolved','it is unresolved',NULL,'',1700000000.0,0,0,0,1700000000.0,'[1700000000.0, "accepted", {"source": "test"}]
[1700000000.0, "unresolved", {"reason": "so it is"}]
',X'7801F34D2D2E4E4C4FD5F574B152B029CD2B4A2DCECF294B4D7148AD48CC2DC849D5CB2F4AB7E3E20A4A4DCE484DCED62D4A2D2C4D2D2EB152C8CCCFD14DE40200A49A1572',0.0,0.0,0.0,'','',0,'',0,0,'','',NULL,69,'','','',0);
CREATE TABLE mail_search (
            mail INTEGER PRIMARY KEY,
            author TEXT NOT NULL,
            text TEXT NOT NULL,
            reason TEXT NOT NULL
        , shown_author TEXT, shown_text TEXT, shown_reason TEXT) STRICT;
INSERT INTO "mail_search" VALUES(1,'
robin reviewer
robin@example.org
','
done@example.org','it is done','
robin reviewer
r…@example.org
',NULL,NULL);
INSERT INTO "mail_search" VALUES(2,'','
failed@example.org','it is failed','',NULL,NULL);
INSERT INTO "mail_search" VALUES(3,'','
ignored@example.org','it is ignored','',NULL,NULL);
INSERT INTO "mail_search" VALUES(4,'','
queued@example.org','it has to wait','',NULL,NULL);
INSERT INTO "mail_search" VALUES(5,'','
rejected@example.org','it is rejected','',NULL,NULL);
INSERT INTO "mail_search" VALUES(6,'','
unresolved@example.org','it is unresolved','',NULL,NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('file','65024:2269489');
INSERT INTO "meta" VALUES('generation','c13bea');
INSERT INTO "meta" VALUES('results after','1');
CREATE TABLE pause (
            sink TEXT PRIMARY KEY,
            since REAL NOT NULL,
            reason TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
CREATE TABLE promise (upto INTEGER PRIMARY KEY, second REAL NOT NULL) STRICT;
CREATE TABLE "request" (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            mail INTEGER NOT NULL,
            message_id TEXT NOT NULL,
            series INTEGER NOT NULL,
            kind TEXT NOT NULL,
            submission INTEGER NOT NULL,
            project TEXT NOT NULL,
            contexts TEXT NOT NULL,
            arguments TEXT NOT NULL,
            leftovers TEXT NOT NULL,
            requester TEXT NOT NULL,
            mailbox TEXT NOT NULL,
            of_list TEXT NOT NULL,
            who TEXT NOT NULL,
            passage TEXT NOT NULL DEFAULT '',
            proof TEXT NOT NULL DEFAULT '',
            subject TEXT NOT NULL,
            date REAL NOT NULL,
            received REAL NOT NULL,
            recorded REAL NOT NULL,
            list_id TEXT NOT NULL
        , server TEXT NOT NULL DEFAULT '', revision INTEGER NOT NULL DEFAULT 0, delegates TEXT NOT NULL DEFAULT '[]', rated INTEGER NOT NULL DEFAULT 1, pushed INTEGER NOT NULL DEFAULT 1, reason TEXT NOT NULL DEFAULT '', groups TEXT NOT NULL DEFAULT '{}', parent TEXT NOT NULL DEFAULT '', cancelled TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "request" VALUES(1,'recheck-b0adca51165d1c48fbd70bd00a3a3908',1,'done@example.org',29430,'patch',131182,'dpdk','["iol-a", "iol-b"]','{"rebase": "main"}','[".11"]','Robin Reviewer','robin@example.org','','robin@example.org','','','Re: [PATCH] a: fix it',1699999940.0,1700000000.0,1700000000.0,'dev.dpdk.org','',0,'[]',1,1,'','{}','','');
CREATE TABLE request_search (
            request INTEGER PRIMARY KEY,
            requester TEXT NOT NULL,
            text TEXT NOT NULL
        , shown_requester TEXT, shown_text TEXT) STRICT;
INSERT INTO "request_search" VALUES(1,'robin reviewer
robin@example.org
','re: [patch] a: fix it
done@example.org
it is done','robin reviewer
r…@example.org
',NULL);
CREATE TABLE result (
            request INTEGER NOT NULL REFERENCES request (number),
            label TEXT NOT NULL,
            state TEXT NOT NULL,
            at REAL NOT NULL,
            author TEXT NOT NULL,
            url TEXT NOT NULL,
            summary TEXT NOT NULL, handed REAL NOT NULL DEFAULT 0, earlier TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (request, label)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "result" VALUES(1,'iol-a','handed over',1700000000.0,'json_file:/retests.json','','',1700000000.0,'');
INSERT INTO "result" VALUES(1,'iol-b','handed over',1700000000.0,'json_file:/retests.json','','',1700000000.0,'');
CREATE TABLE seen (
            request INTEGER NOT NULL REFERENCES request (number),
            label TEXT NOT NULL,
            patch INTEGER NOT NULL,
            id INTEGER NOT NULL,
            state TEXT NOT NULL,
            author TEXT NOT NULL,
            url TEXT NOT NULL,
            summary TEXT NOT NULL,
            PRIMARY KEY (request, label, patch)
        ) STRICT, WITHOUT ROWID;
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
INSERT INTO "tally" VALUES('raw','',330);
INSERT INTO "tally" VALUES('rejected','',1);
INSERT INTO "tally" VALUES('request','',1);
INSERT INTO "tally" VALUES('unresolved','',1);
CREATE TABLE timing (
            what TEXT NOT NULL,
            bound REAL NOT NULL,
            number INTEGER NOT NULL,
            seconds REAL NOT NULL,
            PRIMARY KEY (what, bound)
        ) STRICT, WITHOUT ROWID;
CREATE TABLE turn (sender TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX mail_due ON mail (due, id) WHERE outcome = 'queued';
CREATE INDEX mail_claimed ON mail (id) WHERE claimed = 1;
CREATE INDEX mail_ended ON mail (ended) WHERE raw IS NOT NULL;
CREATE INDEX mail_message_id ON mail (message_id);
CREATE INDEX mail_outcome ON mail (outcome);
CREATE INDEX mail_received ON mail (received);
CREATE INDEX answer_expires ON answer (expires);
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
CREATE INDEX mail_begun ON mail (begun) WHERE outcome = 'queued';
CREATE INDEX mail_fresh ON mail (turn, id)
            WHERE outcome = 'queued' AND waiting = '' AND claimed = 0;
CREATE INDEX mail_over ON mail (outcome, ended);
CREATE INDEX request_series ON request (series, number);
CREATE INDEX request_mail ON request (mail);
CREATE INDEX request_named ON request (message_id, series);
CREATE INDEX request_recorded ON request (recorded);
CREATE INDEX request_who ON request (who, recorded);
CREATE TRIGGER request_comes AFTER INSERT ON request BEGIN
            UPDATE tally SET number = number + 1 WHERE kind = 'request';
        END;
CREATE TRIGGER request_goes AFTER DELETE ON request BEGIN
            UPDATE tally SET number = number - 1 WHERE kind = 'request';
        END;
CREATE TRIGGER mail_goes AFTER DELETE ON mail BEGIN
            UPDATE tally SET number = number - 1
                WHERE kind = old.outcome AND waiting = old.waiting;
        END;
CREATE TRIGGER raw_changes AFTER UPDATE OF outcome, stored ON mail BEGIN
            UPDATE tally SET number = number
                - iif(old.outcome = 'queued', 0, old.stored)
                + iif(new.outcome = 'queued', 0, new.stored)
                WHERE kind = 'raw';
        END;
CREATE TRIGGER raw_comes AFTER INSERT ON mail WHEN new.outcome <> 'queued' BEGIN
            UPDATE tally SET number = number + new.stored WHERE kind = 'raw';
        END;
CREATE TRIGGER raw_goes AFTER DELETE ON mail WHEN old.outcome <> 'queued' BEGIN
            UPDATE tally SET number = number - old.stored WHERE kind = 'raw';
        END;
CREATE INDEX result_open ON result (request)
            WHERE state IN ('asked', 'handed over', 'pending', 'overdue');
CREATE INDEX result_overdue ON result (request) WHERE state = 'overdue';
CREATE TRIGGER results_go AFTER DELETE ON request BEGIN
            DELETE FROM result WHERE request = old.number;
            DELETE FROM seen WHERE request = old.number;
            DELETE FROM baseline WHERE request = old.number;
        END;
CREATE INDEX request_project ON request (project);
CREATE INDEX mail_list ON mail (list_id);
CREATE TRIGGER request_search_goes AFTER DELETE ON request BEGIN
            DELETE FROM request_search WHERE request = old.number;
        END;
CREATE TRIGGER mail_search_goes AFTER DELETE ON mail BEGIN
            DELETE FROM mail_search WHERE mail = old.id;
        END;
CREATE INDEX request_server ON request (server);
CREATE INDEX result_state ON result (state, request);
CREATE INDEX result_label ON result (label, state);
CREATE INDEX letter_due ON letter (sink, due) WHERE raw IS NOT NULL;
CREATE INDEX letter_about ON letter (sink, request);
CREATE INDEX letter_at ON letter (sink, at);
CREATE TRIGGER letters_go AFTER DELETE ON request BEGIN
            DELETE FROM letter WHERE request = old.number;
            DELETE FROM aside WHERE request = old.number;
        END;
CREATE TRIGGER story_begins AFTER INSERT ON mail BEGIN
            INSERT INTO event (mail, text) VALUES (new.id, new.story);
        END;
CREATE TRIGGER story_goes_on AFTER UPDATE OF story ON mail
            WHEN length(new.story) > length(old.story) BEGIN
            INSERT INTO event (mail, text)
                VALUES (new.id, substr(new.story, length(old.story) + 1));
        END;
CREATE TRIGGER event_comes AFTER INSERT ON event BEGIN
            DELETE FROM event WHERE number <= new.number - 10000;
        END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('request',1);
COMMIT;
