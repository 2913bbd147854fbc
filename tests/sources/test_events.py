# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's comments as mails: the mail that comes of one, and what a bad Patchwork leads to."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ConfigError, NoRoom
from ingest.ledger import Filing, Ledger
from ingest.mail import headers
from ingest.mail import message as mails
from ingest.mail.prefilter import may_hold_request
from ingest.patchwork import feed
from ingest.patchwork.dialect import Comment, CommentEvent
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox
from ingest.sources.events import mail_of
from tests.support.bad_server import TIMEOUT, Answer, Hell, Seen, html, rows, text
from tests.support.clock import DAY, Clock
from tests.support.examples import examples
from tests.support.faults import USELESS, Case
from tests.support.hindered import Hindered
from tests.support.mails import RECHECK, patch
from tests.support.missed_mails import DEV, PATCH, Catching, Made, serves
from tests.support.questions import Connect, paths
from tests.support.traffic import ATTACHED, BROKEN, DIFFERENT, FORWARDED, SAME, Body

BASIC = {
    "From": b"Robin Reviewer <robin@example.org>",
    "Subject": b"Re: [PATCH] a: fix it",
    "Date": b"Wed, 6 Sep 2023 11:00:00 +0200",
    "Message-ID": b"<recheck@example.org>",
    "In-Reply-To": b"<patch@example.org>",
    "List-Id": b"DPDK <dev.dpdk.org>",
}


def raw_mail(body: bytes, *more: bytes, **changed: bytes) -> bytes:
    """A comment on the patch. Fields are changed or, with an empty value, left out by name."""
    names = {name.replace("-", "_"): name for name in BASIC}
    fields = BASIC | {names[name]: value for name, value in changed.items()}
    lines = [b"%s: %s" % (name.encode(), value) for name, value in fields.items() if value]
    return b"\n".join([*lines, *more, b"", body])


def every_comment(box: Sandbox, patchwork: Patchwork) -> list[Comment]:
    """Every comment that the server has."""
    found = []
    events = [e for kind in feed.KINDS for e in feed.news(patchwork.dialect, kind, 0, 0.0).events]
    for event in events:
        assert isinstance(event, CommentEvent)
        comment = patchwork.dialect.comment(event)
        assert comment
        found.append(comment)
    return found


@pytest.fixture
def through(box: Sandbox, connect: Connect) -> Callable[[bytes], bytes]:
    """A mail that went to Patchwork, as it comes back."""
    box.file(patch(PATCH))
    patchwork = connect(box.url)

    def fetch(raw: bytes) -> bytes:
        box.file(raw)
        (comment,) = every_comment(box, patchwork)
        return mail_of(comment)

    return fetch


def same(raw: bytes, again: bytes) -> None:
    """All that this program looks at is as it was."""
    assert mails.parse(again) == mails.parse(raw)
    assert may_hold_request(again) or not mails.parse(raw).text.count("Recheck-request")


def of_kind(body: Body) -> bytes:
    return raw_mail(body.text, *(field.encode() for field in body.fields))


@pytest.mark.parametrize(
    "kind",
    [kind for kind in SAME | DIFFERENT if kind not in (FORWARDED, ATTACHED, BROKEN)],
)
def test_the_mail_of_a_comment_reads_like_the_original(
    kind: str, through: Callable[[bytes], bytes]
) -> None:
    raw = of_kind((SAME | DIFFERENT)[kind])
    same(raw, through(raw))


@pytest.mark.parametrize("kind", [FORWARDED, ATTACHED])
def test_what_was_forwarded_or_attached_is_part_of_the_text_for_good(
    kind: str, through: Callable[[bytes], bytes]
) -> None:
    raw = of_kind(DIFFERENT[kind])
    assert "Recheck-request" not in mails.parse(raw).text
    assert "Recheck-request" in mails.parse(through(raw)).text


def base64_body(body: str) -> bytes:
    return raw_mail(
        base64.encodebytes(body.encode()),
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: base64",
    )


HEADERS = {
    "a folded header": raw_mail(b"x", b"References: <one@example.org>\n\t<two@example.org>"),
    "a long header": raw_mail(
        b"x", b"References: " + b"\n ".join(b"<%d@example.org>" % n for n in range(50))
    ),
    "two In-Reply-To": raw_mail(b"x", b"In-Reply-To: <other@example.org>"),
    "In-Reply-To in words": raw_mail(
        b"x", In_Reply_To=b'Your message of "Monday" <patch@example.org> and others'
    ),
    "References in two spellings": raw_mail(
        b"x", b"References: <one@example.org>", b"REFERENCES: <two@example.org>"
    ),
    "names in other case": raw_mail(RECHECK.encode()).replace(b"Message-ID", b"MESSAGE-id"),
    "an id with a blank": raw_mail(b"x", Message_ID=b"< recheck@example.org >"),
    "an id without brackets": raw_mail(b"x", Message_ID=b"recheck@example.org"),
    "an id with odd characters": raw_mail(b"x", Message_ID=b"<a+/%&#?=_@example.org>"),
    "an id of 300 characters": raw_mail(b"x", Message_ID=b"<%s@example.org>" % (b"x" * 300)),
    "an id in UTF-8": raw_mail(b"x", Message_ID="<fünf@example.org>".encode()),
    "an id in Latin-1": raw_mail(b"x", Message_ID="<fünf@example.org>".encode("latin-1")),
    "a long id in UTF-8": raw_mail(b"x", Message_ID=f"<{'ü' * 120}@example.org>".encode()),
    "an encoded subject": raw_mail(b"x", Subject=b"Re: =?utf-8?q?gr=C3=BC=C3=9Fe?= [PATCH]"),
    "a subject in UTF-8": raw_mail(b"x", Subject="Re: [PATCH] grüße".encode()),
    "a subject without Re": raw_mail(b"x", Subject=b"another thing"),
    "a long encoded subject": raw_mail(
        b"x", Subject=b"Re: =?utf-8?b?%s?=" % base64.b64encode("größer ".encode() * 12)
    ),
    "a sender in UTF-8": raw_mail(b"x", From="Röbin <robin@example.org>".encode()),
    "an encoded sender": raw_mail(b"x", From=b"=?iso-8859-1?q?R=F6bin?= <robin@example.org>"),
    "a sender in quotes": raw_mail(b"x", From=b'"Reviewer, Robin" <robin@example.org>'),
    "a date that is none": raw_mail(b"x", Date=b"yesterday"),
    "no date": raw_mail(b"x", Date=b""),
    "X-Mailing-List instead of List-Id": raw_mail(
        b"x", b"X-Mailing-List: dev.dpdk.org", List_Id=b""
    ),
    "a list in other case": raw_mail(b"x", List_Id=b"DPDK <dev.dpdk.org> <dev.dpdk.org>"),
    "automatic": raw_mail(b"x", b"Auto-Submitted: auto-replied; owner=x"),
    "a hint": raw_mail(b"x", b"X-Patchwork-Hint: comment"),
    "a null sender": raw_mail(b"x", b"Return-Path: <>"),
    "a sender of the envelope": raw_mail(b"x", b"Return-Path: <ci-bounces@example.org>"),
    "a report": raw_mail(
        b"--B\nContent-Type: text/plain\n\n" + RECHECK.encode() + b"\n--B--\n",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=B",
    ),
    "what seems a header of a body": raw_mail(
        b"x", b"X-Note: a\n\n Content-Type: text/html".replace(b"\n\n", b"\n")
    ),
}
BODIES = {
    "From at the beginning": raw_mail(b"From me to you\n" + RECHECK.encode()),
    "From below": raw_mail(b"x\n\nFrom me\n>From you\n" + RECHECK.encode()),
    "a header at the beginning": raw_mail(b"Content-Type: text/html\n\n" + RECHECK.encode()),
    "CRLF, by SMTP": raw_mail(b"Hello\n\n" + RECHECK.encode() + b"-- \nR").replace(b"\n", b"\r\n"),
    "CRLF inside base64": base64_body(f"Hello\r\n{RECHECK.strip()}\r\nBye"),
    "a signature behind CRLF": base64_body(f"Hello\r\n-- \r\nRobin\r\n{RECHECK}"),
    "a footer behind CRLF": base64_body(f"Hello\r\n____\r\n{RECHECK}"),
    "a footer at the end": base64_body("Hello\r\n____\0"),
    "CR CR LF": base64_body(f"a\r\r\nb\r\r\n{RECHECK}"),
    "CR alone": base64_body(f"a\rb\r{RECHECK}"),
    "mixed ends": base64_body(f"a\r\nb\nc\r\n\n{RECHECK}\r\r"),
    "a form feed": base64_body(f"a\x0c\n\x0c{RECHECK}\x0c"),
    "a line separator": base64_body(f"a\u2028{RECHECK}\u2029"),
    "NULs": base64_body(f"a\0b\0\n{RECHECK[:9]}\0{RECHECK[9:]}"),
    "a blank behind a NUL": base64_body(f"\0 {RECHECK}"),
    "an empty line behind a NUL": base64_body(f"\0\n{RECHECK}\n\0"),
    "a byte order mark": base64_body(f"\ufeff{RECHECK}"),
    "beyond the first plane": base64_body(f"\U0001f600 \x7f\x1b[31m\n{RECHECK}"),
    "trailing blanks": raw_mail(b"a  \n" + RECHECK.encode() + b"  \n\t\n"),
    "one character": raw_mail(b"x"),
}


@pytest.mark.parametrize("name", HEADERS | BODIES)
def test_odd_headers_and_bodies_survive(name: str, through: Callable[[bytes], bytes]) -> None:
    raw = (HEADERS | BODIES)[name]
    same(raw, through(raw))


LINES = ["", "-- ", "____", RECHECK.strip(), "> x", " x", "From x", "\0", "\x0c", "--", "é", "a\rb"]


@pytest.mark.slow
def test_any_text_survives(box: Sandbox, connect: Connect) -> None:
    box.file(patch(PATCH))
    patchwork = connect(box.url)
    numbers = iter(range(1_000_000))

    @examples(150)
    @given(
        st.one_of(
            st.text(),
            st.lists(
                st.tuples(
                    st.sampled_from(LINES), st.sampled_from(["\n", "\r\n", "\r", "\r\r\n", " "])
                ),
                max_size=12,
            ).map(lambda pairs: "".join(line + end for line, end in pairs)),
        )
    )
    def survives(body: str) -> None:
        raw = base64_body(body).replace(b"recheck@", b"%d@" % next(numbers))
        before = len(box.store.patch_comments)
        box.file(raw)
        if len(box.store.patch_comments) == before:
            return  # there was no text
        number = max(box.store.patch_comments)
        made = box.store.patch_comments[number].letter.message_id
        event = CommentEvent(1, 0.0, 0.0, Filing("patch", 131182, number), made, DEV)
        comment = patchwork.dialect.comment(event)
        assert comment
        assert mails.parse(mail_of(comment)) == mails.parse(raw)

    survives()
    assert len(box.store.patch_comments) > 50


# What JSON can say and no mail


def event(message_id: str = "1@example.org", list_id: str = DEV) -> CommentEvent:
    return CommentEvent(1, 0.0, 0.0, Filing("patch", 7, 1), f"<{message_id}>", list_id)


def test_a_header_cannot_end_the_header() -> None:
    evil = "x\n\nRecheck-request: evil\n"
    made = mail_of(
        Comment(
            event(list_id=f"a\n\n{RECHECK}"),
            (
                ("Subject", evil),
                ("From", "=?unknown-8bit?q?a=0A=0ARecheck-request:_evil=0A?="),
                ("X\n\nRecheck-request: evil\n", "x"),
                ("Recheck-request: evil", "x"),
            ),
            "Fine.",
        )
    )
    assert mails.parse(made).text == "Fine."
    assert b"\nRecheck-request" not in made


@pytest.mark.parametrize(
    "value", ["\ud800", "\udcff", "a\0b", "=?unknown-8bit?b?A?=", "=?unknown-8bit?q?=ZZ?=", "\x1b"]
)
def test_text_that_is_no_text_makes_a_mail_that_can_be_read(value: str) -> None:
    fields = (("Subject", value), ("From", value), ("List-Id", f"<{value}>"), (value, "x"))
    made = mail_of(Comment(event(), fields, f"{value}\n{RECHECK}"))
    assert "iol-unit-amd64-testing" in mails.parse(made).text
    assert mails.parse(made).message_id == "1@example.org"


def test_the_lists_project_stands_in_for_a_missing_list_id() -> None:
    made = mail_of(Comment(event(), (("Message-ID", "<1@example.org>"),), "x"))
    assert headers.list_id(headers.read(made)) == DEV


# A bad Patchwork


@pytest.fixture
def catching(hell: Hell, ledger: Ledger, clock: Clock) -> Catching:
    return Catching(hell.url, ledger, clock)


def nothing_came(catching: Catching) -> bool:
    totals = catching.ledger.totals()
    return not any(totals.mails.values()) and catching.state().moved == 0


# Faults of every kind; the others are like one of them.
KINDS = (
    *("503", "429 with Retry-After in seconds", "401", "403 of a bot wall"),
    *("404 as JSON", "404 as HTML", "nothing", "a reset in the body", "truncated JSON"),
    *("HTML with 200", "null", "a list of junk", "a redirect to another host", "50 MB"),
    *("silence", "slow chunks"),
)
FAULTS = [
    pytest.param(case, id=case.name, marks=() if case.name in KINDS else (pytest.mark.slow,))
    for case in USELESS
]


@pytest.mark.parametrize("case", FAULTS)
def test_events_that_cannot_be_had_take_nothing_in_and_move_no_time(
    case: Case, hell: Hell, catching: Catching
) -> None:
    if case.waits:
        catching.timeout = TIMEOUT
    hell.will(*case.answers)
    assert catching.catch_up().problem
    assert nothing_came(catching)


@pytest.mark.parametrize("case", FAULTS)
def test_a_comment_that_cannot_be_had_is_asked_for_again(
    case: Case, hell: Hell, catching: Catching, clock: Clock
) -> None:
    if case.waits:
        catching.timeout = TIMEOUT
    made = Made(1, clock())
    serve = serves([made])
    hell.will(*case.answers)
    hell.route(
        lambda seen: (
            serve(seen) if seen.path != made.path and seen.path.startswith("/api/") else None
        )
    )
    summary = catching.catch_up()
    if case.name == "404 as JSON":  # its way of saying that it was deleted
        assert (summary.haul.deleted, summary.problem) == (1, "")
        return
    assert summary.problem
    assert nothing_came(catching)
    hell.route(serve)
    catching.timeout = 10.0
    clock += DAY
    assert catching.catch_up().missed == [made.message_id]


def served(hell: Hell, made: Made, **changes: Any) -> None:
    """A good comment, and one before it of which this is shown."""
    other = Made(2, made.at + 1)
    hell.route(serves([made, other], {made.path: text(json.dumps(made.detail(**changes)))}))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 99},
        {"id": "1"},
        {"id": True},
        {"id": None},
        {"msgid": "<other@example.org>"},
        {"msgid": "1@example.org"},
        {"msgid": "<1@example.org> "},
        {"msgid": None},
        {"content": None},
        {"content": ["x"]},
        {"content": {}},
        {"headers": None},
        {"headers": "Subject: x"},
        {"headers": []},
        {"headers": {"Message-ID": "<other@example.org>"}},
        {"headers": {"message-id": ["<other@example.org>", "<1@example.org>"]}},
    ],
    ids=str,
)
def test_a_comment_has_to_be_the_one_that_its_event_names(
    changes: dict[str, Any], hell: Hell, catching: Catching, clock: Clock
) -> None:
    served(hell, Made(1, clock()), **changes)
    summary = catching.catch_up()
    assert summary.missed == ["2@example.org"]
    assert summary.problem.startswith("1 comment could not be had: ")
    assert catching.state().moved == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Subject": None},
        {"Subject": 5, "To": [1, None, ["x"]]},
        {"": "x", "a b": "x", "é": "x"},
    ],
    ids=str,
)
def test_headers_that_are_none_are_left_out(
    headers: dict[str, Any], hell: Hell, catching: Catching, clock: Clock
) -> None:
    served(hell, Made(1, clock()), headers=headers)
    assert catching.catch_up().problem == ""
    (record,) = catching.ledger.find("1@example.org")
    assert record.list_id == DEV


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": "1001"},
        {"id": -1},
        {"date": None},
        {"date": "yesterday"},
        {"date": 5},
        {"project": None},
        {"project": {}},
        {"project": {"list_id": 5}},
        {"payload": None},
        {"payload": []},
        {"payload": {"comment": {"id": 1, "msgid": "<1@example.org>"}}},
        {"payload": {"patch": {"id": 7}}},
        *(
            {"payload": {"patch": {"id": patch}, "comment": {"id": comment, "msgid": message_id}}}
            for patch, comment, message_id in [
                ("7", 1, "<1@example.org>"),
                (7, "1", "<1@example.org>"),
                (7, "../../../admin", "<1@example.org>"),
                (True, 1, "<1@example.org>"),
                (7, -1, "<1@example.org>"),
                (7, 2**70, "<1@example.org>"),
                (7, 1, ""),
                (7, 1, None),
                (7, 1, ["<1@example.org>"]),
            ]
        ),
    ],
    ids=str,
)
def test_an_event_of_no_known_shape_is_told_and_holds_up_no_other(
    changes: dict[str, Any], hell: Hell, catching: Catching, clock: Clock
) -> None:
    bad, good = Made(1, clock()), Made(2, clock())
    serve = serves([bad, good])

    def route(seen: Seen) -> Answer:
        if seen.query.get("category") == ["patch-comment-created"]:
            return rows(bad.event(**changes), good.event())
        return serve(seen)

    hell.route(route)
    summary = catching.catch_up()
    assert summary.missed == ["2@example.org"]
    name = f"event {changes.get('id', 1001)}"
    assert f"{name} is not the event of a comment" in summary.problem
    assert [seen.path for seen in hell.seen if "comments" in seen.path] == [good.path]


@pytest.mark.parametrize("hindrance", [ValueError("odd"), NoRoom("full")])
def test_a_comment_that_cannot_be_taken_in_holds_up_no_other_and_comes_when_it_can(
    hindrance: Exception, hell: Hell, catching: Catching, clock: Clock
) -> None:
    bad, good = Made(1, clock()), Made(2, clock())
    hell.route(serves([bad, good]))
    whole = catching.ledger
    catching.ledger = Hindered(whole, hindrance, bad.message_id)
    summary = catching.catch_up()
    assert summary.missed == [good.message_id]
    assert f"<{bad.message_id}> cannot be taken in" in summary.problem
    catching.ledger = whole
    assert catching.catch_up().missed == [bad.message_id]


# A Patchwork without comments


@dataclass(frozen=True)
class Old:
    """A server that is no good for this: what its base is, what it answers to what, and how the
    error ends. ``{url}`` is the server's."""

    name: str
    answers: dict[str, Answer]
    told: str
    api: str = ""

    def __str__(self) -> str:
        return self.name


NOTHING = "shows no comments: nothing can be caught up there"


@pytest.mark.parametrize(
    "old",
    [
        Old("the URL names an old version", {}, NOTHING, api="/api/1.0"),
        Old("its API is old", {"/api/1.3/": html(404), "/api/1.1/": html(404)}, NOTHING),
    ],
    ids=str,
)
def test_a_server_without_comments_is_an_error_of_the_configuration(
    old: Old, hell: Hell, catching: Catching
) -> None:
    hell.route(serves([], old.answers))
    catching.url += old.api
    with pytest.raises(ConfigError) as error:
        catching.catch_up()
    assert str(error.value).startswith(f"Patchwork at {hell.url}/api")
    assert old.told in str(error.value)
    assert nothing_came(catching)
    assert catching.state().reason == str(error.value)


def test_a_server_whose_comments_have_no_address_is_told(
    hell: Hell, catching: Catching, clock: Clock
) -> None:
    made = [Made(number, clock()) for number in range(1, 9)]
    hell.route(serves(made, {each.path: html(404) for each in made}))
    summary = catching.catch_up()
    assert "answers 404 Not Found" in summary.problem
    assert "/comments/" in summary.problem
    assert nothing_came(catching)
    assert len([seen for seen in hell.seen if "comments" in seen.path]) == 3


def test_a_url_that_names_a_new_version_is_not_asked_for_another(
    hell: Hell, catching: Catching
) -> None:
    hell.will(rows())
    catching.url += "/api/1.4"
    assert catching.catch_up().moved
    assert {seen.path for seen in hell.seen} == {"/api/1.4/events/"}


def test_the_version_is_asked_for_once_a_day(box: Sandbox, ledger: Ledger, clock: Clock) -> None:
    catching = Catching(box.url, ledger, clock)
    for _ in range(9):
        catching.catch_up()
        clock += DAY / 8 + 1
    assert paths(box).count("/api/1.3/") == 2


def test_a_server_that_ignores_the_category_is_told(hell: Hell, catching: Catching) -> None:
    created = {"id": 1, "category": "series-created", "payload": {}}
    hell.route(serves([], {"/api/events/": rows(created)}))
    assert "answers with other events" in catching.catch_up().problem
    assert nothing_came(catching)


def test_pages_without_end_are_left(hell: Hell, catching: Catching, clock: Clock) -> None:
    made = Made(1, clock())
    serve = serves([made])
    again = 'Link: <http://x/?category=patch-comment-created>; rel="next"'
    hell.route(
        lambda seen: rows(made.event(), headers=(again,)) if "events" in seen.path else serve(seen)
    )
    summary = catching.catch_up()
    assert "have no end" in summary.problem
    assert len(hell.seen) < 110
    assert nothing_came(catching)


def test_addresses_that_the_server_names_are_not_asked(
    box: Sandbox, ledger: Ledger, clock: Clock
) -> None:
    """The sandbox's links lead to another host."""
    box.file(patch(PATCH))
    for number in range(150):
        box.file(raw_mail(b"x").replace(b"recheck@", b"%d@" % number))
    assert Catching(box.url, ledger, clock).catch_up().haul.fetched == 150
