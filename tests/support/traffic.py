# SPDX-License-Identifier: BSD-3-Clause
"""Days of list traffic: mails of every kind, written by a seed, each of a kind with a name.

Patches, series with cover letters, answers to them and to answers, on two lists and on both.
"""

import base64
import quopri
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random

from tests.support.mails import DIFF

LISTS = ("dev.dpdk.org", "ci.dpdk.org")
CONTEXTS = ["iol-unit", "iol-perf", "iol-abi", "github-robot", "lab-arm"]
REQUEST = "Recheck-request: iol-unit, github-robot\n"
_TYPE = "Content-Type: text/plain; charset="
_ENCODED = "Content-Transfer-Encoding: "


@dataclass(frozen=True)
class Sent:
    """A mail on a list. ``references``: what it answers, the first mail of its thread first."""

    kind: str
    message_id: str
    subject: str
    list_id: str
    references: tuple[str, ...]
    at: float
    raw: bytes


@dataclass(frozen=True)
class Body:
    """What stands below the address fields of a mail: further fields, an empty line, a text."""

    fields: tuple[str, ...] = ()
    text: bytes = b""


def _plain(text: str, *fields: str) -> Body:
    return Body(fields, text.encode())


def _in(charset: str, text: str) -> Body:
    return Body((f'{_TYPE}"{charset}"', f"{_ENCODED}8bit"), text.encode(charset))


def _base64(text: str, charset: str = "utf-8") -> Body:
    data = base64.encodebytes(text.encode(charset))
    return Body((_TYPE + charset, f"{_ENCODED}base64"), data)


def _parts(kind: str, *parts: str) -> Body:
    between = "".join(f"--B\n{part}\n" for part in parts)
    return _plain(f"{between}--B--\n", f'Content-Type: multipart/{kind}; boundary="B"')


# Kinds of answers that everybody reads alike.
SAME: dict[str, Body] = {
    "discussion": _plain("I like it.\n\n> int b;\nWhy not c?\n"),
    "long discussion": _plain("Line by line.\n" * 60),
    "a request": _plain(REQUEST),
    "a request below prose": _plain(f"The failure looks unrelated.\n\n{REQUEST}\nThanks!\n"),
    "a list over two lines": _plain("Recheck-request: iol-unit, iol-perf,\nlab-arm\n"),
    "a context and an argument": _plain("Recheck-request: rebase=main, iol-abi\n"),
    "arguments alone": _plain("Recheck-request: rebase=main\n"),
    "an unknown argument alone": _plain("Recheck-request: colour=red\n"),
    "an unknown argument with a context": _plain("Recheck-request: iol-perf, colour=red\n"),
    "an unknown label": _plain("Recheck-request: nobody-runs-this\n"),
    "an unknown label among known ones": _plain("Recheck-request: nobody-runs-this, iol-abi\n"),
    "two blanks": _plain("Recheck-request: iol-unit,  iol-perf\n"),
    "no comma": _plain("Recheck-request: iol-unit iol-perf\n"),
    "other case": _plain("recheck-request: iol-unit\n"),
    "quoted": _plain("> Recheck-request: iol-unit\n\nDid it run?\n"),
    "indented": _plain(" Recheck-request: iol-unit\n"),
    "below the signature": _plain("Fine.\n-- \nRecheck-request: iol-unit\n"),
    "below a list's footer": _plain(f"Fine.\n{'_' * 47}\nRecheck-request: iol-unit\n"),
    "base64": _base64(f"Grüße\n\n{REQUEST}"),
    "base64 with CRLF": _base64(f"Hello,\r\n\r\n{REQUEST.strip()}\r\n"),
    "base64 with CRLF and a signature": _base64(f"Hi\r\n-- \r\nRobin\r\n{REQUEST.strip()}\r\n"),
    "quoted-printable": Body(
        (f"{_TYPE}utf-8", f"{_ENCODED}quoted-printable"),
        quopri.encodestring(f"Grüße\n\n{REQUEST}".encode()).replace(b"-req", b"=2Dreq"),
    ),
    "UTF-8": _in("utf-8", f"Grüße\n{REQUEST}"),
    "Latin-1": _in("iso-8859-1", f"Grüße\n{REQUEST}"),
    "koi8-r": _in("koi8-r", f"Привет\n{REQUEST}"),
    "iso-2022-jp": Body(
        (f"{_TYPE}iso-2022-jp", f"{_ENCODED}7bit"), f"こんにちは\n{REQUEST}".encode("iso-2022-jp")
    ),
    "UTF-16 in base64": _base64(f"Grüße\n{REQUEST}", "utf-16"),
    "bytes of no charset": Body((), f"Grüße — so\n{REQUEST}".encode("windows-1252")),
    "a charset nobody knows": _plain(f"Grüße\n{REQUEST}", f"{_TYPE}x-nobody", f"{_ENCODED}8bit"),
    "HTML beside the text": _parts(
        "alternative",
        f"Content-Type: text/plain; charset=utf-8\n\n{REQUEST}",
        f"Content-Type: text/html\n\n<p>{REQUEST.replace('unit', 'perf')}</p>",
    ),
    "HTML alone, in the quotes": _parts(
        "mixed", "Content-Type: text/html\n\n<p>Fine</p>", "Content-Type: text/plain\n\nFine."
    ),
    "a mail that begins with From": _plain(f"From what I see it is fine.\n{REQUEST}"),
}

# Kinds that are read differently, and on purpose.
SEVERAL = "several lines"
FORWARDED = "forwarded"
ATTACHED = "attached"
BROKEN = "not in its charset"
AUTOMATIC = "automatic mail"
DIFFERENT: dict[str, Body] = {
    SEVERAL: _plain("Recheck-request: iol-unit\n\nAnd while at it:\nRecheck-request: lab-arm\n"),
    FORWARDED: _parts(
        "mixed",
        "Content-Type: text/plain\n\nSee what Alex asked for.",
        "Content-Type: message/rfc822\n\nFrom: alex@example.org\nSubject: Re: another patch\n"
        "Message-ID: <another@example.org>\n\nRecheck-request: iol-perf",
    ),
    ATTACHED: _parts(
        "mixed",
        "Content-Type: text/plain\n\nThe notes are attached.",
        "Content-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\n"
        "Recheck-request: iol-perf",
    ),
    BROKEN: Body((f"{_TYPE}utf-8", f"{_ENCODED}8bit"), f"Grüße\n{REQUEST}".encode("latin-1")),
    AUTOMATIC: _plain(REQUEST, "Auto-Submitted: auto-replied"),
}

# Mails that are no comments, and a pair of answers in which two values contradict each other.
PATCH, COVER = "a patch", "a cover letter"
UNKNOWN = "an answer to what Patchwork does not know"
CONTRADICTING = "one of two values"


class List:
    """Writes mails, one every ``step`` seconds from a Unix time on."""

    def __init__(self, start: float, step: float, seed: int = 1) -> None:
        self.sent: list[Sent] = []
        self._at, self._step = start, step
        self.chance = Random(seed)

    def patch(self, list_id: str, *, text: str = "Fix it.", also: str = "") -> Sent:
        """A patch; ``also``: another list that it is posted to."""
        number = len(self.sent)
        body = _plain(f"{text}\n\n{DIFF}")
        return self._send(PATCH, f"[PATCH] a: fix {number}", list_id, (), body, also=also)

    def series(self, list_id: str, patches: int) -> list[Sent]:
        """A cover letter and its patches."""
        name = f"b: change {len(self.sent)}"
        body = _plain(f"{patches} changes.\n")
        cover = self._send(COVER, f"[PATCH 0/{patches}] {name}", list_id, (), body)
        below = (cover.message_id,)
        return [cover] + [
            self._send(PATCH, f"[PATCH {n}/{patches}] {name} {n}", list_id, below, _plain(DIFF))
            for n in range(1, patches + 1)
        ]

    def answer(
        self,
        to: Sent,
        kind: str,
        body: Body | None = None,
        *,
        pruned: bool = False,
        prefix: str = "Re: ",
        also: str = "",
    ) -> Sent:
        """An answer; ``pruned``: without References, as some programs send it."""
        written = body or SAME.get(kind) or DIFFERENT[kind]
        subject = to.subject if to.subject.startswith("Re:") else f"{prefix}{to.subject}"
        references = (*to.references, to.message_id)
        return self._send(kind, subject, to.list_id, references, written, pruned, also)

    def _send(
        self,
        kind: str,
        subject: str,
        list_id: str,
        references: tuple[str, ...],
        body: Body,
        pruned: bool = False,
        also: str = "",
    ) -> Sent:
        message_id = f"{len(self.sent)}.{kind.replace(' ', '-')}@example.org"
        copies = []
        for each in filter(None, (list_id, also)):
            raw = _mail(message_id, subject, each, references, self._at, body, pruned)
            copies.append(Sent(kind, message_id, subject, each, references, self._at, raw))
            self._at += self._step
        self.sent += copies
        return copies[0]


def _mail(
    message_id: str,
    subject: str,
    list_id: str,
    references: tuple[str, ...],
    at: float,
    body: Body,
    pruned: bool,
) -> bytes:
    fields = [
        "From: Robin Reviewer <robin@example.org>",
        f"To: {list_id.replace('.', '@', 1)}",
        f"Subject: {subject}",
        f"Date: {format_datetime(datetime.fromtimestamp(at, UTC))}",
        f"Message-ID: <{message_id}>",
    ]
    if references:
        fields.append(f"In-Reply-To: <{references[-1]}>")
        if not pruned:
            fields.append("References: " + "\n ".join(f"<{each}>" for each in references))
    fields += [f"List-Id: A list <{list_id}>", "Precedence: list", *body.fields]
    return "".join(f"{field}\n" for field in fields).encode() + b"\n" + body.text


def mixed(start: float, mails: int = 300) -> list[Sent]:
    """So many mails of every kind, from the start of a day on."""
    to = List(start, 60.0)
    submissions: dict[str, list[Sent]] = {PATCH: [], COVER: []}
    for number in range(24):
        text = f"Ask so:\n\n{REQUEST}" if number % 8 == 0 else "Fix it."
        submissions[PATCH].append(to.patch(LISTS[number % 2], text=text))
    for number in range(12):
        cover, *patches = to.series(LISTS[number % 2], 2)
        submissions[COVER].append(cover)
        submissions[PATCH] += patches
    for _ in range(3):
        both = to.patch(LISTS[0], also=LISTS[1])
        to.answer(both, "a request", also=LISTS[1])
        to.answer(both, "discussion", also=LISTS[1])
    contradicted = to.patch(LISTS[0])
    for value in ("main", "next"):
        to.answer(contradicted, CONTRADICTING, _plain(f"Recheck-request: rebase={value}\n"))
    never_sent = replace(contradicted, message_id="never-sent@example.org")
    to.answer(never_sent, UNKNOWN, SAME["a request"])
    kinds = [*SAME, *DIFFERENT]
    before: dict[str, list[Sent]] = {PATCH: [], COVER: []}
    for number in range(mails - len(to.sent)):
        about = (PATCH, COVER)[number % 2]
        kind = kinds[number // 2 % len(kinds)]
        if number % 5 == 4:  # to an answer, every other time by a program that forgets the rest
            target = to.chance.choice(before[about])
            to.answer(target, kind, pruned=number % 10 == 4)
            continue
        target = to.chance.choice(submissions[about])
        prefix = "" if number % 17 == 16 and about == PATCH else "Re: "
        before[about].append(to.answer(target, kind, prefix=prefix))
    return to.sent


def day(start: float, mails: int = 300, comments: int = 150, requests: int = 5) -> list[Sent]:
    """An ordinary day: so many mails, of which so many are comments, of which so many ask."""
    to = List(start, 86400.0 / mails)
    asking = {comments * n // requests + comments // requests // 2 for n in range(requests)}
    patches: list[Sent] = []
    for number in range(comments):
        if len(to.sent) < 2 * number + mails - 2 * comments + 1:
            patches.append(to.patch(LISTS[number % 2]))
        kind = "a request" if number in asking else "discussion"
        to.answer(to.chance.choice(patches), kind)
    return to.sent
