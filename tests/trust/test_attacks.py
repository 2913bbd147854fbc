# SPDX-License-Identifier: BSD-3-Clause
"""What a forger may try, what happens, and that nothing is gained. Each row goes through intake,
worker and ledger; keys and DNS are our own.

Anyone may have "cheap". "listed" is for mail that came by the list, "costly" for a Robin whom our
mail server vouches for, "dear" for one who has signed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from ingest import intake
from ingest.config.policy_tables import GroupSettings, ListSettings, PolicySettings
from ingest.ledger import Envelope, Filter, Outcome
from ingest.trust import passage
from tests.support.bad_server import Hell
from tests.support.clock import HOUR
from tests.support.lab import Lab, MakeLab, knows
from tests.support.mailman import ADDRESS, LIST_ID, footed, listed, munged, wrapped
from tests.support.mails import reply
from tests.support.signing import SIGNED, Zone, key, keys, name_server, sealed, signed

HOST, ELSEWHERE = "192.0.2.25", "203.0.113.9"
ROBIN = ("robin@example.org",)
GROUPS = {
    "all": GroupSettings(senders=("anyone",), labels=("cheap",)),
    "list": GroupSettings(senders=("anyone",), labels=("listed",), require=("list",)),
    "known": GroupSettings(senders=ROBIN, labels=("costly",), require=("authserv",)),
    "signed": GroupSettings(senders=ROBIN, labels=("dear",), require=("dkim",)),
}
ALL = "Recheck-request: cheap, listed, costly, dear\n"
MAIL = reply("patch@example.org", list_id=LIST_ID, body=ALL)
DIRECT = reply("patch@example.org", body=ALL)


def received(host: str = ELSEWHERE, by: str = "mx.lab.example") -> bytes:
    return f"Received: from x (x [{host}]) by {by} (Postfix) with ESMTP id 1\n".encode()


def results(said: str = "dkim=pass header.d=example.org", by: str = "mx.lab.example") -> bytes:
    return f"Authentication-Results: {by}; {said}\n".encode()


@dataclass(frozen=True)
class Came:
    """A mail, and the way that it came: by SMTP from elsewhere, or through our own mail server."""

    raw: bytes
    source: str = "smtp"
    peer: str = ELSEWHERE


def by_list(raw: bytes) -> Came:
    return Came(raw, peer=HOST)


def by_server(raw: bytes, host: str = ELSEWHERE) -> Came:
    """Our server writes its Received on top; whatever else is there was there before."""
    return Came(received(host) + raw, "pipe", "")


def renamed(raw: bytes, id: str = "another@example.org") -> bytes:
    return raw.replace(b"<recheck@example.org>", f"<{id}>".encode())


def but(left_out: str) -> list[str]:
    return [each for each in SIGNED if each != left_out]


def changed(raw: bytes, old: bytes, new: bytes) -> bytes:
    assert old in raw
    return raw.replace(old, new)


ROBINS = b"Robin Reviewer <robin@example.org>"
# Encoded words that a reader who decodes them too early would take for something else.
SMUGGLED = (
    b"=?utf-8?q?R=0AAuthentication-Results:_mx.lab.example;"
    b"_dkim=3Dpass_header.d=3Dexample.org=0AX:_?="
)
# Python's parser of mail ends lines at a bare CR, and here the header.
EARLY = b"X-Spam: no\r\r" + ALL.strip().encode() + b"\r\n"
FOLDED = "dkim=fail\n header.d=x\n (dkim=pass\n header.d=example.org)"
HELLO = changed(MAIL, ALL.encode(), b"Hello.\n")
EVIL = changed(MAIL, b"robin@example.org", b"evil@evil.example")
SENT = signed(MAIL)
# What the list's server has made of it.
SENT_ON = sealed(footed(listed(SENT)))
# Whatever follows is not signed.
PART = signed(HELLO, length=True) + ALL.encode()
FAIL = "dkim=fail header.d=example.org"
DUPLICATE, SAME = "duplicate", "ignored: mail-1, of its Message-ID, asked for the same before"

# What arrives, and what becomes of each: the labels that run, or the beginning of what is told.
Row = tuple[Callable[[], Sequence[Came]], Sequence[str]]
ROWS: dict[str, Row] = {
    # What is genuine, to compare with.
    "Robin's, sent to us as well": (lambda: [Came(SENT)], ["cheap dear"]),
    "Robin's, by the list": (lambda: [by_list(SENT)], ["cheap listed dear"]),
    "Robin's, as our server found": (
        lambda: [by_server(results() + SENT, HOST)],
        ["cheap listed costly dear"],
    ),
    "Robin's, with the list's footer": (
        lambda: [by_list(footed(listed(SENT)))],
        ["cheap listed"],
    ),
    "Robin's, with the list's footer and seal": (lambda: [by_list(SENT_ON)], ["cheap listed dear"]),
    "Robin's, with the list's From, footer and seal": (
        lambda: [by_list(sealed(munged(footed(listed(SENT)))))],
        ["cheap listed dear"],
    ),
    "Robin's, wrapped by the list": (lambda: [by_list(wrapped(SENT))], ["cheap listed"]),
    "Robin's, wrapped and sealed by the list": (
        lambda: [by_list(sealed(wrapped(SENT)))],
        ["cheap listed dear"],
    ),
    # The sender, and the way that the mail came.
    "a forged From": (lambda: [Came(MAIL)], ["cheap"]),
    "a forged List-Id": (lambda: [Came(listed(MAIL))], ["cheap"]),
    "a Received of the list's host that the forger wrote": (
        lambda: [Came(received(HOST) + MAIL), by_server(received(HOST) + renamed(MAIL))],
        ["cheap", "cheap"],
    ),
    "a From of Robin's name alone": (
        lambda: [by_list(changed(MAIL, ROBINS, b'"robin@example.org" <evil@evil.example>'))],
        ["cheap listed"],
    ),
    "two From fields": (lambda: [Came(b"From: evil@evil.example\n" + SENT)], ["cheap"]),
    "two addresses in From, the other one signed": (
        lambda: [
            Came(signed(changed(MAIL, ROBINS, b"evil@evil.example, " + ROBINS), "evil.example"))
        ],
        ["cheap"],
    ),
    "a field smuggled in an encoded word of From": (
        lambda: [by_server(changed(MAIL, b"Robin Reviewer", SMUGGLED))],
        ["cheap"],
    ),
    "an address in an encoded word of From": (
        lambda: [
            Came(
                signed(
                    changed(
                        MAIL, ROBINS, b"=?utf-8?q?robin=40example.org=2C?= <evil@evil.example>"
                    ),
                    "evil.example",
                )
            )
        ],
        ["cheap"],
    ),
    "a From that no list has replaced": (
        lambda: [Came(munged(listed(MAIL)))],
        ["cheap"],
    ),
    "a Reply-To of Robin's, sent through the list": (
        lambda: [by_list(sealed(munged(b"Reply-To: " + ROBINS + b"\n" + footed(listed(EVIL)))))],
        ["cheap listed"],
    ),
    "an X-Original-From, sent through a list that writes none": (
        lambda: [by_list(sealed(munged(b"X-Original-From: " + ROBINS + b"\n" + listed(EVIL))))],
        ["cheap listed"],
    ),
    # Authentication-Results.
    "results of the forger's own": (lambda: [Came(results() + MAIL)], ["cheap"]),
    "results in our server's name, from elsewhere": (
        lambda: [Came(received() + results() + MAIL)],
        ["cheap"],
    ),
    "results in our server's name, below its own": (
        lambda: [by_server(results("dkim=none") + results() + MAIL)],
        ["cheap"],
    ),
    "results in our server's name, of an earlier hop": (
        lambda: [by_server(received(HOST) + results() + MAIL)],
        ["cheap"],
    ),
    "results in a comment": (
        lambda: [by_server(results("dkim=fail (; dkim=pass header.d=example.org)") + MAIL)],
        ["cheap"],
    ),
    "results in folds": (
        lambda: [by_server(results(FOLDED) + MAIL)],
        ["cheap"],
    ),
    "results inside the mail": (
        lambda: [by_server(MAIL + b"\n" + results())],
        ["cheap"],
    ),
    # Signatures.
    "signed by another domain": (lambda: [Came(signed(MAIL, "evil.example"))], ["cheap"]),
    "signed without In-Reply-To": (
        lambda: [Came(signed(MAIL, fields=but("in-reply-to")))],
        ["cheap"],
    ),
    "signed as another, and From changed": (
        lambda: [
            Came(changed(signed(EVIL, "evil.example"), b"evil@evil.example", b"robin@example.org"))
        ],
        ["cheap"],
    ),
    "a part of the body signed": (
        lambda: [
            Came(signed(changed(MAIL, ALL.encode(), b"Hello.\n"), length=True) + ALL.encode())
        ],
        ["cheap"],
    ),
    "a part of the body signed, as our server found": (
        lambda: [by_server(results() + PART)],
        ["cheap"],
    ),
    "a part of the body signed, as the list's server found": (
        lambda: [by_list(sealed(footed(PART)))],
        ["cheap listed"],
    ),
    "signed without Message-ID, as our server found": (
        lambda: [by_server(results() + signed(MAIL, fields=but("message-id")))],
        ["cheap"],
    ),
    "a text in a field that is not signed": (
        lambda: [
            Came(EARLY + signed(HELLO)),
            by_server(results() + EARLY + renamed(signed(HELLO))),
        ],
        ["cheap", "cheap"],
    ),
    "text added": (lambda: [Came(SENT + b"Recheck-request: more\n")], ["cheap"]),
    "a field added": (lambda: [Came(b"In-Reply-To: <other@example.org>\n" + SENT)], ["cheap"]),
    "expired": (lambda: [Came(signed(MAIL, expired=True))], ["cheap"]),
    "with SHA-1": (lambda: [Came(signed(MAIL, algorithm=b"rsa-sha1"))], ["cheap"]),
    # ARC.
    "a seal that is broken": (lambda: [by_list(SENT_ON + b"more\n")], ["cheap listed"]),
    "a seal of nobody's": (
        lambda: [by_list(sealed(footed(listed(SENT)), domain="evil.example"))],
        ["cheap listed"],
    ),
    "a seal of nobody's on top": (
        lambda: [by_list(sealed(SENT_ON, "arc=pass; dkim=fail", "evil.example"))],
        ["cheap listed"],
    ),
    "results that the sealer did not find": (
        lambda: [
            by_list(
                changed(sealed(footed(EVIL), "dkim=fail header.d=example.org"), b"=fail", b"=pass")
            )
        ],
        ["cheap listed"],
    ),
    # The same once more.
    "a replay": (lambda: [by_list(SENT), by_list(SENT)], ["cheap listed dear", DUPLICATE]),
    "a replay with another Received": (
        lambda: [by_server(SENT), by_server(received(HOST) + SENT)],
        ["cheap dear", DUPLICATE],
    ),
    "a replay with a field that decides": (
        lambda: [Came(SENT), Came(b"Subject: once more\n" + SENT)],
        ["cheap dear", SAME],
    ),
    "a replay under another Message-ID": (
        lambda: [Came(SENT), Came(renamed(SENT))],
        ["cheap dear", "cheap"],
    ),
    "a replay wrapped in a mail of its own": (
        lambda: [Came(SENT), Came(wrapped(SENT, "x@evil.example"))],
        ["cheap dear", "cheap"],
    ),
    "a replay for another patch": (
        lambda: [Came(SENT), Came(changed(SENT, b"<patch@", b"<patch-2@"))],
        ["cheap dear", "cheap"],
    ),
    "another's Message-ID first": (
        lambda: [Came(changed(MAIL, b"robin@", b"evil@")), Came(SENT)],
        ["cheap", "dear"],
    ),
    "another's Message-ID and labels first": (
        lambda: [Came(DIRECT), by_list(SENT)],
        ["cheap", "listed dear"],
    ),
    "another's Message-ID later": (lambda: [Came(SENT), Came(MAIL)], ["cheap dear", SAME]),
}


def settings_for(server: str, dns_timeout: float = 30.0) -> PolicySettings:
    return PolicySettings(
        received_by=("mx.lab.example",),
        authserv=("mx.lab.example",),
        arc_sealers=("lists.example",),
        dns=(server,),
        dns_timeout=dns_timeout,
        group=GROUPS,
    )


def arrives(lab: Lab, came: Came) -> intake.Receipt:
    envelope = Envelope("x@evil.example", (), came.peer)
    return intake.accept(
        came.raw,
        came.source,
        ledger=lab.ledger,
        now=lab.clock(),
        max_size=1 << 20,
        envelope=envelope,
        passage=passage.of(came.raw, came.source, envelope, lab.settings),
    )


def become(lab: Lab, mails: Sequence[Came]) -> list[str]:
    """What becomes of each."""
    receipts = [arrives(lab, each) for each in mails]
    lab.works()
    records = iter(lab.ledger.search_mails(Filter())[::-1])
    told = []
    for receipt in receipts:
        if receipt is not intake.Receipt.QUEUED:
            told.append(receipt.value)
            continue
        record = next(records)
        ran = " ".join(label for each in record.requests for label in each.contexts)
        told.append(ran or f"{record.outcome}: {record.reason}")
    return told


KEYS = keys("example.org", "evil.example", "lists.example")
LISTS = {"dev": ListSettings(list_id=LIST_ID, hosts=(HOST,))}


@pytest.mark.parametrize(("mails", "told"), ROWS.values(), ids=ROWS)
def test_what_an_attack_comes_to(
    mails: Callable[[], Sequence[Came]], told: Sequence[str], hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows(series=True))
    with name_server(KEYS) as server:
        lab = lab_at(hell.url, policy=settings_for(server), list=LISTS)
        assert become(lab, mails()) == list(told)


# What DNS says of Robin's key, and of a mail that needs it.
ZONES: dict[str, tuple[Zone | None, str]] = {
    "stalls": (None, "queued: DNS did not answer within 0.3 seconds"),
    "says that there is none": (lambda name: None, "cheap"),
    "says nothing": (lambda name: b"", "cheap"),
    "says no sense": (lambda name: b"v=DKIM1; k=rsa; p=AAAA", "cheap"),
    "lies": (lambda name: key(2048)[1], "cheap"),
    "has a key of 20 KB": (lambda name: b"v=DKIM1; p=" + b"A" * 20_000, "cheap"),
}


@pytest.mark.parametrize(("zone", "told"), ZONES.values(), ids=ZONES)
def test_what_dns_can_do(zone: Zone | None, told: str, hell: Hell, lab_at: MakeLab) -> None:
    hell.route(knows())
    with name_server(zone) as server:
        # Whoever answers is given the time that a busy machine takes.
        policy = settings_for(server, 30.0 if zone else 0.3)
        lab = lab_at(hell.url, policy=policy, list=LISTS)
        (first,) = become(lab, [Came(SENT)])
    assert first == told


def hundred(lab: Lab, name: Callable[[int], str], patch: Callable[[int], str]) -> int:
    """How many of a hundred requests run, the Nth by this sender for this patch."""
    for n in range(100):
        raw = reply(patch(n), f"{n}@example.org", body="Recheck-request: cheap\n")
        arrives(lab, Came(raw.replace(b"robin@example.org", name(n).encode())))
    lab.works()
    return len(lab.ledger.requests())


RATES = PolicySettings(
    rate_sender=("5 per hour",), rate_series=("3 per hour",), rate=("40 per hour",)
)


@pytest.mark.slow
def test_a_hundred_requests_by_one_sender(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(knows(series=True))
    lab = lab_at(hell.url, policy=RATES)
    assert hundred(lab, lambda n: "evil@evil.example", lambda n: f"patch-{n}@example.org") == 5
    arrives(lab, Came(reply("patch@example.org", "later@example.org")))
    lab.works()
    assert lab.outcome("later@example.org") is Outcome.DONE


@pytest.mark.slow
def test_one_request_by_a_hundred_senders(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(knows())
    lab = lab_at(hell.url, policy=RATES)
    assert hundred(lab, lambda n: f"evil-{n}@evil.example", lambda n: "patch@example.org") == 3


@pytest.mark.slow
def test_a_hundred_requests_by_a_hundred_senders_leave_room_for_who_is_proved(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows(series=True))
    with name_server(KEYS) as server:
        policy = PolicySettings(rate=("40 per hour",), dkim=True, dns=(server,))
        lab = lab_at(hell.url, policy=policy)
        forged = hundred(
            lab, lambda n: f"evil-{n}@evil.example", lambda n: f"patch-{n}@example.org"
        )
        assert forged == 20
        arrives(lab, Came(SENT))
        lab.works()
        assert lab.outcome() is Outcome.DONE
        # And an hour later everybody may ask again.
        lab.clock += HOUR + 1
        arrives(lab, Came(reply("patch-x@example.org", "later@example.org")))
        lab.works()
        assert lab.outcome("later@example.org") is Outcome.DONE


def test_the_list_here_is_the_one_whose_rules_were_made_again() -> None:
    assert ADDRESS.replace("@", ".") == LIST_ID
