# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite ledger's schema, as the list of steps that lead to it.

``MIGRATIONS[n]`` makes version n + 1 out of version n. A step is never changed once released;
a new one is appended.
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
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
    ),
    (
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
        # How old a mail was when it came is its reception less its date.
        "ALTER TABLE request ADD COLUMN received REAL NOT NULL DEFAULT 0",
        "UPDATE request SET received = (SELECT received FROM mail WHERE mail.id = request.mail)",
    ),
    (
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
    ),
)
