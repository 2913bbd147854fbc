# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite ledger's schema, as the list of steps that lead to it.

``MIGRATIONS[n]`` makes version n + 1 out of version n. A step is never changed once released;
a new one is appended.
"""

from ingest.ledger import upgrade
from ingest.ledger.schema_steps import RELEASED, Migration
from ingest.ledger.values import MOST_HAPPENINGS

MIGRATIONS: tuple[Migration, ...] = (
    *RELEASED,
    (
        upgrade.escaped,
        # Whose series a request is for, and which revision of it; see ``Request``. Until now there
        # was one server.
        "ALTER TABLE request ADD COLUMN server TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX request_server ON request (server)",
        "ALTER TABLE mail ADD COLUMN filed_server TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE batch ADD COLUMN server TEXT DEFAULT ''",
        # The address of the API whose checks these are.
        "ALTER TABLE baseline ADD COLUMN server TEXT NOT NULL DEFAULT ''",
        # Up to which request the stories do not tell what a consumer took: see ``Consumer``.
        "ALTER TABLE consumer ADD COLUMN told INTEGER NOT NULL DEFAULT 0",
        "UPDATE consumer SET told = position",
        # Which notices were forwarded, or never will be.
        """CREATE TABLE forwarding (
            mail INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            sent INTEGER NOT NULL
        ) STRICT""",
        # What is looked for, as anybody may see it; NULL where that is all of it.
        "ALTER TABLE request_search ADD COLUMN shown_requester TEXT",
        "ALTER TABLE request_search ADD COLUMN shown_text TEXT",
        "ALTER TABLE mail_search ADD COLUMN shown_author TEXT",
        "ALTER TABLE mail_search ADD COLUMN shown_text TEXT",
        "ALTER TABLE mail_search ADD COLUMN shown_reason TEXT",
        upgrade.shown,
        "CREATE INDEX result_state ON result (state, request)",
        # By label, and counted by label and state.
        "DROP INDEX result_label",
        "CREATE INDEX result_label ON result (label, state)",
        # Who takes care of its patches, and whether it counts where rates are counted.
        "ALTER TABLE request ADD COLUMN delegates TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE request ADD COLUMN rated INTEGER NOT NULL DEFAULT 1",
        # Whether sinks have it.
        "ALTER TABLE request ADD COLUMN pushed INTEGER NOT NULL DEFAULT 1",
        # Why its sender asks, and which labels stand there for a group of [groups].
        "ALTER TABLE request ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN groups TEXT NOT NULL DEFAULT '{}'",
        # The Message-ID of what its mail replied to.
        "ALTER TABLE request ADD COLUMN parent TEXT NOT NULL DEFAULT ''",
        # When a label was first handed over, 0 for never, and what its checks said before.
        "ALTER TABLE result ADD COLUMN handed REAL NOT NULL DEFAULT 0",
        "ALTER TABLE result ADD COLUMN earlier TEXT NOT NULL DEFAULT ''",
        "UPDATE result SET handed = at WHERE state = 'handed over'",
        # Mails of ours that are sent once, see ``Letter``; of those that are over raw is NULL.
        """CREATE TABLE letter (
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
        ) STRICT""",
        "CREATE INDEX letter_due ON letter (sink, due) WHERE raw IS NOT NULL",
        "CREATE INDEX letter_about ON letter (sink, request)",
        "CREATE INDEX letter_at ON letter (sink, at)",
        """CREATE TRIGGER letters_go AFTER DELETE ON request BEGIN
            DELETE FROM letter WHERE request = old.number;
            DELETE FROM aside WHERE request = old.number;
        END""",
        "DELETE FROM aside WHERE request NOT IN (SELECT number FROM request)",
        # The steps of all stories in the order in which they were told, and what is about no mail.
        """CREATE TABLE event (
            number INTEGER PRIMARY KEY,
            mail INTEGER,
            text TEXT NOT NULL
        ) STRICT""",
        """CREATE TRIGGER story_begins AFTER INSERT ON mail BEGIN
            INSERT INTO event (mail, text) VALUES (new.id, new.story);
        END""",
        """CREATE TRIGGER story_goes_on AFTER UPDATE OF story ON mail
            WHEN length(new.story) > length(old.story) BEGIN
            INSERT INTO event (mail, text)
                VALUES (new.id, substr(new.story, length(old.story) + 1));
        END""",
        f"""CREATE TRIGGER event_comes AFTER INSERT ON event BEGIN
            DELETE FROM event WHERE number <= new.number - {MOST_HAPPENINGS};
        END""",
        # What an operator decided.
        """CREATE TABLE pause (
            sink TEXT PRIMARY KEY,
            since REAL NOT NULL,
            reason TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "ALTER TABLE request ADD COLUMN cancelled TEXT NOT NULL DEFAULT ''",
        # Whether a mail was cut and ended when it came: then there is nothing to be judged again.
        "ALTER TABLE mail ADD COLUMN cut INTEGER NOT NULL DEFAULT 0",
        """UPDATE mail SET cut = 1
            WHERE outcome = 'notice' OR outcome = 'rejected' AND ended = received""",
        # How long things took, see ``Timings``: how often not longer than a bound.
        """CREATE TABLE timing (
            what TEXT NOT NULL,
            bound REAL NOT NULL,
            number INTEGER NOT NULL,
            seconds REAL NOT NULL,
            PRIMARY KEY (what, bound)
        ) STRICT, WITHOUT ROWID""",
    ),
)
