# SPDX-License-Identifier: BSD-3-Clause
"""The steps of the SQLite ledger's schema that are released. A released step never changes."""

import sqlite3
from collections.abc import Callable

from ingest.ledger import upgrade

# A statement, or what can do more than a statement.
Step = str | Callable[[sqlite3.Connection], None]
Migration = tuple[Step, ...]

RELEASED: tuple[Migration, ...] = (
    (
        # The queue and its outcomes. The story is one JSON list a line; times are Unix times; raw
        # bytes are compressed, NULL once dropped, and last, so that nothing else lies behind them.
        """CREATE TABLE mail (
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
        ) STRICT""",
        "CREATE INDEX mail_due ON mail (due, id) WHERE outcome = 'queued'",
        "CREATE INDEX mail_claimed ON mail (id) WHERE claimed = 1",
        "CREATE INDEX mail_ended ON mail (ended) WHERE raw IS NOT NULL",
        "CREATE INDEX mail_message_id ON mail (message_id)",
        "CREATE INDEX mail_outcome ON mail (outcome)",
        "CREATE INDEX mail_received ON mail (received)",
        # The request log: append-only, numbered without gaps being filled again.
        """CREATE TABLE request (
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
            recorded REAL NOT NULL,
            UNIQUE (message_id, series)
        ) STRICT""",
        "CREATE INDEX request_series ON request (series, number)",
        "CREATE INDEX request_mail ON request (mail)",
        """CREATE TABLE cursor (
            name TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            moved REAL NOT NULL,
            tries INTEGER NOT NULL,
            due REAL NOT NULL,
            reason TEXT NOT NULL,
            begun INTEGER NOT NULL
        ) STRICT""",
        # Patchwork's answers: a cache, not state. It may be emptied at any time.
        """CREATE TABLE answer (
            key TEXT PRIMARY KEY,
            text TEXT NOT NULL,
            expires REAL NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX answer_expires ON answer (expires)",
    ),
    (
        # What ``reruns`` asks for, and how long the oldest mail has waited.
        "CREATE INDEX request_recorded ON request (recorded)",
        "CREATE INDEX mail_waits ON mail (received) WHERE outcome = 'queued'",
        # How many there are of what, kept by triggers: counting takes longer the more there are.
        """CREATE TABLE tally (
            kind TEXT NOT NULL,
            waiting TEXT NOT NULL DEFAULT '',
            number INTEGER NOT NULL,
            PRIMARY KEY (kind, waiting)
        ) STRICT, WITHOUT ROWID""",
        "INSERT INTO tally SELECT outcome, waiting, count(*) FROM mail GROUP BY outcome, waiting",
        "INSERT INTO tally SELECT 'request', '', count(*) FROM request",
        """CREATE TRIGGER mail_comes AFTER INSERT ON mail BEGIN
            INSERT INTO tally VALUES (new.outcome, new.waiting, 1)
                ON CONFLICT DO UPDATE SET number = number + 1;
        END""",
        """CREATE TRIGGER mail_changes AFTER UPDATE OF outcome, waiting ON mail
            WHEN new.outcome IS NOT old.outcome OR new.waiting IS NOT old.waiting BEGIN
            UPDATE tally SET number = number - 1
                WHERE kind = old.outcome AND waiting = old.waiting;
            INSERT INTO tally VALUES (new.outcome, new.waiting, 1)
                ON CONFLICT DO UPDATE SET number = number + 1;
        END""",
        """CREATE TRIGGER request_comes AFTER INSERT ON request BEGIN
            UPDATE tally SET number = number + 1 WHERE kind = 'request';
        END""",
    ),
    (
        # When the present wait began, and for how many seconds a mail has waited: see ``Wait``.
        "ALTER TABLE mail ADD COLUMN begun REAL NOT NULL DEFAULT 0",
        "ALTER TABLE mail ADD COLUMN waited REAL NOT NULL DEFAULT 0",
        "ALTER TABLE mail ADD COLUMN missing REAL NOT NULL DEFAULT 0",
        "CREATE INDEX mail_begun ON mail (begun) WHERE outcome = 'queued'",
        # Until now the present wait counted from when it began by the clock.
        "UPDATE mail SET begun = since WHERE outcome = 'queued'",
        # Whose claim it is, whose turn, and where Patchwork has filed the mail: see ``Filing``.
        "ALTER TABLE mail ADD COLUMN holder TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE mail ADD COLUMN sender TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE mail ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE mail ADD COLUMN filed_kind TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE mail ADD COLUMN filed_submission INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE mail ADD COLUMN filed_comment INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE mail ADD COLUMN filed_parent TEXT NOT NULL DEFAULT ''",
        # How far its sender is believed; proof is NULL before its author was verified.
        "ALTER TABLE mail ADD COLUMN passage TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE mail ADD COLUMN proof TEXT",
        # Bytes that a mail's raw bytes take here.
        "ALTER TABLE mail ADD COLUMN stored INTEGER NOT NULL DEFAULT 0",
        "UPDATE mail SET stored = length(raw) WHERE raw IS NOT NULL",
        """CREATE INDEX mail_fresh ON mail (turn, id)
            WHERE outcome = 'queued' AND waiting = '' AND claimed = 0""",
        "CREATE INDEX mail_over ON mail (outcome, ended)",
        "CREATE TABLE turn (sender TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        # What was known before its row was dropped.
        "CREATE TABLE known (identity TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
        upgrade.identities,
        # A Message-ID may have several requests for one series; an id is unique for ever.
        """CREATE TABLE request_anew (
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
        ) STRICT""",
        upgrade.requests,
        "DROP TABLE request",
        "ALTER TABLE request_anew RENAME TO request",
        "CREATE INDEX request_series ON request (series, number)",
        "CREATE INDEX request_mail ON request (mail)",
        "CREATE INDEX request_named ON request (message_id, series)",
        "CREATE INDEX request_recorded ON request (recorded)",
        "CREATE INDEX request_who ON request (who, recorded)",
        """CREATE TRIGGER request_comes AFTER INSERT ON request BEGIN
            UPDATE tally SET number = number + 1 WHERE kind = 'request';
        END""",
        """CREATE TRIGGER request_goes AFTER DELETE ON request BEGIN
            UPDATE tally SET number = number - 1 WHERE kind = 'request';
        END""",
        """CREATE TRIGGER mail_goes AFTER DELETE ON mail BEGIN
            UPDATE tally SET number = number - 1
                WHERE kind = old.outcome AND waiting = old.waiting;
        END""",
        # How many raw bytes mails that ended keep.
        """INSERT INTO tally SELECT 'raw', '', coalesce(sum(stored), 0) FROM mail
            WHERE outcome <> 'queued'""",
        """CREATE TRIGGER raw_changes AFTER UPDATE OF outcome, stored ON mail BEGIN
            UPDATE tally SET number = number
                - iif(old.outcome = 'queued', 0, old.stored)
                + iif(new.outcome = 'queued', 0, new.stored)
                WHERE kind = 'raw';
        END""",
        """CREATE TRIGGER raw_comes AFTER INSERT ON mail WHEN new.outcome <> 'queued' BEGIN
            UPDATE tally SET number = number + new.stored WHERE kind = 'raw';
        END""",
        """CREATE TRIGGER raw_goes AFTER DELETE ON mail WHEN old.outcome <> 'queued' BEGIN
            UPDATE tally SET number = number - old.stored WHERE kind = 'raw';
        END""",
        # Requests that a sink has behind it and did not hand over; due is NULL when it is given
        # up, or was never tried.
        """CREATE TABLE aside (
            sink TEXT NOT NULL,
            request INTEGER NOT NULL REFERENCES request (number),
            since REAL NOT NULL,
            tries INTEGER NOT NULL,
            due REAL,
            reason TEXT NOT NULL,
            PRIMARY KEY (sink, request)
        ) STRICT, WITHOUT ROWID""",
        # What became of each label of a request: see ``Result``.
        """CREATE TABLE result (
            request INTEGER NOT NULL REFERENCES request (number),
            label TEXT NOT NULL,
            state TEXT NOT NULL,
            at REAL NOT NULL,
            author TEXT NOT NULL,
            url TEXT NOT NULL,
            summary TEXT NOT NULL,
            PRIMARY KEY (request, label)
        ) STRICT, WITHOUT ROWID""",
        """CREATE INDEX result_open ON result (request)
            WHERE state IN ('asked', 'handed over', 'pending', 'overdue')""",
        "CREATE INDEX result_overdue ON result (request) WHERE state = 'overdue'",
        # The checks that were taken for results, the newest of each patch: see ``Seen``.
        """CREATE TABLE seen (
            request INTEGER NOT NULL REFERENCES request (number),
            label TEXT NOT NULL,
            patch INTEGER NOT NULL,
            id INTEGER NOT NULL,
            state TEXT NOT NULL,
            author TEXT NOT NULL,
            url TEXT NOT NULL,
            summary TEXT NOT NULL,
            PRIMARY KEY (request, label, patch)
        ) STRICT, WITHOUT ROWID""",
        # The newest check that there was when a request came: what is newer may be its result.
        """CREATE TABLE baseline (
            request INTEGER PRIMARY KEY REFERENCES request (number),
            newest INTEGER NOT NULL
        ) STRICT""",
        """CREATE TRIGGER results_go AFTER DELETE ON request BEGIN
            DELETE FROM result WHERE request = old.number;
            DELETE FROM seen WHERE request = old.number;
            DELETE FROM baseline WHERE request = old.number;
        END""",
        # Nobody can say any more what became of the requests that are there already. The number
        # up to which they are not followed stays in ``meta``.
        """INSERT INTO result
            SELECT number, iif(label.value IS NULL, '', label.value),
                iif(sink.name IS NULL, 'asked', 'handed over'),
                request.recorded, coalesce(sink.name, ''), '', ''
            FROM request LEFT JOIN json_each(request.contexts) AS label
                LEFT JOIN (SELECT name, max(position) AS position FROM cursor
                    WHERE name LIKE 'json_file:%' OR name LIKE 'command:%'
                        OR name LIKE 'webhook:%') AS sink
                    ON sink.position >= request.number
            WHERE true ON CONFLICT DO NOTHING""",
        """INSERT OR REPLACE INTO meta
            SELECT 'results after', CAST(coalesce(max(number), 0) AS TEXT) FROM request""",
        # How far sources have come that are read from somewhere else: see ``Feed``.
        """CREATE TABLE feed (
            name TEXT NOT NULL,
            part TEXT NOT NULL,
            position TEXT NOT NULL,
            begun REAL NOT NULL,
            moved REAL NOT NULL,
            tries INTEGER NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (name, part)
        ) STRICT, WITHOUT ROWID""",
        # What is looked for: labels, and parts of texts in lower case. See ``search``.
        "ALTER TABLE mail ADD COLUMN author TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE mail ADD COLUMN subject TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX result_label ON result (label, request)",
        """CREATE TABLE request_search (
            request INTEGER PRIMARY KEY,
            requester TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE mail_search (
            mail INTEGER PRIMARY KEY,
            author TEXT NOT NULL,
            text TEXT NOT NULL,
            reason TEXT NOT NULL
        ) STRICT""",
        upgrade.searched,
        "CREATE INDEX request_project ON request (project)",
        "CREATE INDEX mail_list ON mail (list_id)",
        """CREATE TRIGGER request_search_goes AFTER DELETE ON request BEGIN
            DELETE FROM request_search WHERE request = old.number;
        END""",
        """CREATE TRIGGER mail_search_goes AFTER DELETE ON mail BEGIN
            DELETE FROM mail_search WHERE mail = old.id;
        END""",
        # Who takes requests on demand, and what waits to be confirmed.
        """CREATE TABLE consumer (
            name TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            moved REAL NOT NULL,
            begun INTEGER NOT NULL,
            second REAL NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE batch (
            consumer TEXT NOT NULL,
            after INTEGER NOT NULL,
            last INTEGER NOT NULL,
            contexts TEXT NOT NULL,
            generation TEXT NOT NULL,
            given INTEGER NOT NULL,
            due REAL NOT NULL,
            second REAL NOT NULL,
            PRIMARY KEY (consumer, after, last, generation)
        ) STRICT, WITHOUT ROWID""",
        # The second that was promised last, in whatever way; and what ``reruns`` has promised:
        # the newest request that an answer held, and the second that it carried.
        "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), second REAL NOT NULL) STRICT",
        "INSERT INTO head VALUES (1, 0)",
        "CREATE TABLE promise (upto INTEGER PRIMARY KEY, second REAL NOT NULL) STRICT",
        "ALTER TABLE cursor ADD COLUMN second REAL NOT NULL DEFAULT 0",
        upgrade.cursors,
    ),
)
