# SPDX-License-Identifier: BSD-3-Clause
"""The steps from an older SQLite schema to a newer one that no statement can take."""

import json
import math
import re
import sqlite3
import zlib

from ingest.ledger import rows as made
from ingest.ledger.requests import first_id
from ingest.mail import headers, requester


def identities(database: sqlite3.Connection) -> None:
    """To schema 3: a mail is known by a digest of what it is, and no longer by Message-ID and
    list. One whose raw bytes were dropped keeps what it was known by: another copy of it is taken
    for new, and ends where its request is found to be known."""
    rows = database.execute(
        "SELECT id, raw, json_extract(envelope, '$[0]') FROM mail WHERE raw IS NOT NULL"
    )
    new = []
    for mail, packed, sender in rows:
        try:
            raw = zlib.decompress(packed)
        except zlib.error:  # the worker reports what is damaged
            continue
        new.append((headers.identity(raw, headers.read(raw), null_sender=sender == ""), mail))
    database.executemany("UPDATE OR IGNORE mail SET identity = ? WHERE id = ?", new)


def requests(database: sqlite3.Connection) -> None:
    """To schema 3: a request has an id of its own, the one that it was handed over with, and what
    it replies to and who asks for it in parts."""
    rows = database.execute(
        "SELECT request.*, coalesce(mail.received, request.recorded) AS received,"
        " coalesce(mail.list_id, '') AS list_id FROM request"
        " LEFT JOIN mail ON mail.id = request.mail ORDER BY number"
    )
    for row in rows:
        kind, _, submission = row["submission"].partition(" ")
        asks = requester.read(row["requester"])
        kept = {
            **dict(row),
            "id": first_id(row["message_id"], row["series"]),
            "kind": kind,
            "submission": int(submission) if submission.isdigit() else 0,
            "requester": asks.name,
            "mailbox": asks.mailbox,
            "of_list": asks.of_list,
            "who": asks.key,
        }
        _insert(database, "request_anew", kept)


def searched(database: sqlite3.Connection) -> None:
    """To schema 3: texts in lower case of what is there."""
    mails = database.execute("SELECT id, raw, message_id, reason FROM mail").fetchall()
    for row in mails:
        author, subject = _author_and_subject(row["raw"])
        database.execute(
            "UPDATE mail SET author = ?, subject = ? WHERE id = ?",
            (*map(made.storable, (author, subject)), row["id"]),
        )
        words = made.mail_search(row["message_id"], author, subject, row["reason"])
        _insert(database, "mail_search", {"mail": row["id"], **words})
    found = database.execute(
        "SELECT request.*, coalesce(mail.reason, '') AS why FROM request"
        " LEFT JOIN mail ON mail.id = request.mail"
    ).fetchall()
    for row in found:
        asks = requester.Requester(row["requester"], row["mailbox"], row["of_list"])
        words = made.request_search(asks, row["subject"], row["message_id"], row["why"])
        _insert(database, "request_search", {"request": row["number"], **words})
        database.execute(
            "UPDATE mail_search SET author = author || char(10) || ? WHERE mail = ?",
            (made.storable(words["requester"]), row["mail"]),
        )


def _author_and_subject(packed: bytes | None) -> tuple[str, str]:
    try:
        head = headers.read(zlib.decompress(packed) if packed else b"")
    except zlib.error:  # the worker reports what is damaged
        return "", ""
    return headers.author(head), headers.subject(head)


def _insert(database: sqlite3.Connection, table: str, columns: dict[str, object]) -> None:
    places = ", ".join("?" * len(columns))
    database.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})",
        tuple(map(made.storable, columns.values())),
    )


def cursors(database: sqlite3.Connection) -> None:
    """To schema 3: ``cursor`` is of sinks only. Until then it also held consumers as "take:NAME",
    batches as "take:NAME:FIRST-LAST", what ``reruns`` had promised, and catching up."""
    held = re.compile(r"take:([^:]+):(\d+)-(\d+)")
    for row in database.execute("SELECT * FROM cursor ORDER BY name").fetchall():
        name, position, moved = row["name"], row["position"], row["moved"]
        batch = held.fullmatch(name)
        if batch and row["begun"]:
            contexts = json.dumps(json.loads(row["reason"] or "[]"))
            database.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, '', ?, ?, 0)",
                (batch[1], position, row["begun"], contexts, row["tries"], row["due"]),
            )
        elif name.startswith("take:"):
            database.execute(
                "INSERT INTO consumer VALUES (?, ?, ?, 0, 0)",
                (name.removeprefix("take:"), position, moved),
            )
        elif name == "reruns":
            second = float(math.ceil(moved))
            database.execute("UPDATE head SET second = ?", (second,))
            if position:
                database.execute("INSERT INTO promise VALUES (?, ?)", (position, second))
        elif name == "catch-up":
            database.execute(
                "INSERT OR IGNORE INTO feed VALUES (?, '', '', ?, ?, ?, ?)",
                (name, row["begun"], moved, row["tries"], row["reason"]),
            )
        else:
            continue
        database.execute("DELETE FROM cursor WHERE name = ?", (name,))


def shown(database: sqlite3.Connection) -> None:
    """To schema 4: texts in lower case of what anybody may see."""
    for row in database.execute("SELECT id, message_id, author, subject, reason FROM mail"):
        texts = row["message_id"], row["author"], row["subject"], row["reason"]
        words = made.mail_shown(*texts)
        # The author has those who ask behind it already.
        words["shown_author"] = words["shown_author"] or made.mail_search(*texts)["author"]
        _update(database, "mail_search", "mail", row["id"], words)
    found = database.execute(
        "SELECT request.*, coalesce(mail.reason, '') AS why FROM request"
        " LEFT JOIN mail ON mail.id = request.mail ORDER BY number"
    )
    for row in found:
        asks = requester.Requester(row["requester"], row["mailbox"], row["of_list"])
        texts = asks, row["subject"], row["message_id"], row["why"]
        words = made.request_shown(*texts)
        _update(database, "request_search", "request", row["number"], words)
        database.execute(
            "UPDATE mail_search SET shown_author = coalesce(shown_author, author) || char(10) || ?"
            " WHERE mail = ?",
            (
                made.storable(words["shown_requester"] or made.request_search(*texts)["requester"]),
                row["mail"],
            ),
        )


def _update(
    database: sqlite3.Connection, table: str, key: str, id: int, columns: dict[str, object]
) -> None:
    places = ", ".join(f"{column} = ?" for column in columns)
    values = map(made.storable, columns.values())
    database.execute(f"UPDATE {table} SET {places} WHERE {key} = ?", (*values, id))


def escaped(database: sqlite3.Connection) -> None:
    """To schema 4: NUL in texts becomes an escape, as ``rows.storable`` writes it, or a longer one
    in a row that is known by that text where another row is known by the escape. Older releases
    kept NUL, and PostgreSQL takes none. Stories are JSON, which has none."""
    database.create_function("escaped", 2, _escaped, deterministic=True)
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    texts = "SELECT name FROM pragma_table_info(?) WHERE type = 'TEXT' AND name <> 'story'"
    for table in [row[0] for row in database.execute(tables).fetchall()]:
        columns = [row[0] for row in database.execute(texts, (table,)).fetchall()]
        if not columns:
            continue
        anew = ", ".join(f"{each} = escaped({each}, ?)" for each in columns)
        which = " OR ".join(f"instr({each}, char(0)) > 0" for each in columns)
        escape = str(made.storable("\0"))
        while database.execute(f"SELECT 1 FROM {table} WHERE {which} LIMIT 1").fetchone():
            database.execute(
                f"UPDATE OR IGNORE {table} SET {anew} WHERE {which}", [escape] * len(columns)
            )
            escape += "0"


def _escaped(text: str | None, escape: str) -> str | None:
    return None if text is None else text.replace("\0", escape)
