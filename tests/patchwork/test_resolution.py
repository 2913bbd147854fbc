# SPDX-License-Identifier: BSD-3-Clause
"""Which candidate decides where Patchwork does not know the nearest one, and what it may cost."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ingest.config import tables
from ingest.errors import NotFound
from ingest.ledger import Filing, Ledger, Outcome
from ingest.mail import message as mails
from ingest.patchwork.dialect import Lookup
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox
from tests.support.bad_server import Hell, Seen, rows
from tests.support.clock import HOUR, MINUTE, Clock
from tests.support.lab import Lab, MakeLab, knows
from tests.support.mails import cover, letter, patch, reply
from tests.support.questions import DEV, Connect, Forgetful, paths, resolve

# A v2 in reply to v1, a comment on v2's patch, and a mail that replies to that comment.
V1, V2, COMMENT = "v1@example.org", "v2@example.org", "comment@example.org"


@pytest.fixture
def box(box: Sandbox) -> Sandbox:
    box.file(patch(V1, "[PATCH] a: fix it"))
    box.file(patch(V2, "[PATCH v2] a: fix it", in_reply_to=V1))
    box.file(reply(V2, COMMENT, references=[V1, V2], list_id=DEV, body="Hm.\n"))
    return box


def cut(*references: str) -> bytes:
    """A request in reply to the comment, with as many of the references as are left."""
    return reply(COMMENT, references=[*references, COMMENT], list_id=DEV)


# What Patchwork knows decides, however the references were cut.


@pytest.mark.parametrize("references", [[V1, V2], [V2], [V1], []], ids=str)
@pytest.mark.parametrize("remembers", [True, False])
def test_cut_references_lead_to_the_series_under_which_patchwork_files_the_mail(
    references: list[str], remembers: bool, box: Sandbox, ledger: Ledger, clock: Clock
) -> None:
    ours = cut(*references)
    box.file(ours)
    memory = ledger if remembers else Forgetful()
    patchwork = Patchwork(tables.PatchworkSettings(box.url), memory, clock=clock)
    if remembers:  # a moment ago somebody else asked, too
        resolve(patchwork, reply(V1, "other@example.org", list_id=DEV))
    assert resolve(patchwork, ours).series == 29431
    patchwork.close()


def test_a_comment_on_what_a_farther_reference_names_decides_at_once(
    box: Sandbox, connect: Connect
) -> None:
    """Patchwork has not filed our mail yet."""
    assert resolve(connect(box.url), cut(V2)).series == 29431
    assert paths(box)[-1] == "/api/patches/131183/comments/"
    assert "/api/events/" not in paths(box)


def test_a_farther_reference_counts_after_two_minutes_only(
    box: Sandbox, lab_at: MakeLab, clock: Clock
) -> None:
    lab = lab_at(box.url)
    lab.arrives(cut(V1))
    lab.works()
    begun, tried = clock(), []
    while lab.outcome() is Outcome.QUEUED:
        due = lab.ledger.next_due()
        assert due is not None
        tried.append(round(due - begun))
        lab.works_when_due()
    assert tried == [10, 30, 60, 120]
    (request,) = lab.ledger.requests()
    assert request.series == 29430
    assert "a farther reference counts" in str(lab.record().story)


@pytest.mark.parametrize("seconds", [0, 10, 30, 60])
def test_it_does_not_count_if_patchwork_knows_the_mail_by_then(
    seconds: int, box: Sandbox, lab_at: MakeLab, clock: Clock
) -> None:
    lab = lab_at(box.url)
    ours = cut(V1)
    lab.arrives(ours)
    lab.works()
    lab.works_until(clock() + seconds)
    box.file(ours)
    lab.works_until(clock() + 5 * MINUTE)
    (request,) = lab.ledger.requests()
    assert request.series == 29431


def test_nor_if_the_nearest_one_is_a_patch_that_comes_late(
    box: Sandbox, lab_at: MakeLab, clock: Clock
) -> None:
    lab = lab_at(box.url)
    lab.arrives(reply("v3@example.org", references=[V2, "v3@example.org"], list_id=DEV))
    lab.works()
    clock += 10
    box.file(patch("v3@example.org", "[PATCH v3] a: fix it", in_reply_to=V2))
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.series == 29432


def test_the_nearest_one_that_is_in_no_series_yet_has_the_mail_wait(
    hell: Hell, connect: Connect
) -> None:
    there = {"id": 7, "msgid": "<near@x>", "project": {}, "series": []}
    hell.route(lambda seen: rows(there) if seen.query.get("msgid") == ["near@x"] else knows()(seen))
    with pytest.raises(NotFound, match="no series yet"):
        resolve(connect(hell.url), reply("near@x", references=["far@x", "near@x"]))


def test_where_the_mail_was_filed_decides_if_it_is_known(box: Sandbox, connect: Connect) -> None:
    patchwork = connect(box.url)
    box.requests.clear()
    raw = cut(V1)
    target = patchwork.resolve(mails.parse(raw), 1_700_000_000.0, [], Filing("patch", 131183, 1))
    assert target.series == 29431
    assert "/api/events/" not in paths(box)


def test_a_reply_to_a_second_cover_letter_is_for_it_wherever_patchwork_files_it(
    box: Sandbox, connect: Connect
) -> None:
    """A deliberate difference: Patchwork 3 files it under the first version's patch."""
    box.file(letter("c2@example.org", "[PATCH v3 0/1] a: fix it", "Anew.\n", in_reply_to=V1,
                    list_id=DEV))  # fmt: skip
    ours = reply("c2@example.org", subject="Re: [PATCH v3 0/1] a: fix it",
                 references=[V1, "c2@example.org"], list_id=DEV)  # fmt: skip
    box.file(ours)
    found = resolve(connect(box.url), ours)
    assert (found.kind, found.series) == ("cover", 29432)


# A 0/N mail that replies to something.


def zero_of_n(message_id: str, subject: str) -> bytes:
    body = "Recheck-request: iol-unit-amd64-testing\n"
    return letter(message_id, subject, body, in_reply_to="cover@example.org", list_id=DEV)


def test_a_forwarded_cover_letter_that_patchwork_filed_as_a_comment_is_a_request(
    box: Sandbox, lab_at: MakeLab
) -> None:
    box.file(cover("cover@example.org", "[PATCH 0/2] b: fix it", list_id=DEV))
    ours = zero_of_n("fwd@example.org", "Fwd: [PATCH 0/2] b: fix it")
    box.file(ours)
    lab = lab_at(box.url)
    lab.arrives(ours)
    lab.works()
    (request,) = lab.ledger.requests()
    assert str(request.submission) == "cover 442"


def test_a_cover_letter_in_reply_to_another_is_not_a_request(box: Sandbox, lab_at: MakeLab) -> None:
    """Though it quotes how to ask for one."""
    box.file(cover("cover@example.org", "[PATCH 0/2] b: fix it", list_id=DEV))
    ours = zero_of_n("v2-cover@example.org", "[PATCH v2 0/2] b: mend it")
    box.file(ours)
    lab = lab_at(box.url)
    lab.arrives(ours)
    lab.works()
    record = lab.record("v2-cover@example.org")
    assert (record.outcome, record.reason) == (Outcome.IGNORED, "it is a cover letter itself")


def test_one_that_patchwork_does_not_know_is_for_what_it_replies_to_after_two_minutes(
    box: Sandbox, lab_at: MakeLab, clock: Clock
) -> None:
    box.file(cover("cover@example.org", "[PATCH 0/2] b: fix it", list_id=DEV))
    lab = lab_at(box.url)
    lab.arrives(zero_of_n("fwd@example.org", "Fwd: [PATCH 0/2] b: fix it"))
    lab.works_until(clock() + 119)
    assert lab.ledger.requests() == []
    lab.works_until(clock() + 1)
    (request,) = lab.ledger.requests()
    assert str(request.submission) == "cover 442"


def test_one_that_replies_to_nothing_known_waits(
    box: Sandbox, lab_at: MakeLab, clock: Clock
) -> None:
    lab = lab_at(box.url)
    lab.arrives(zero_of_n("fwd@example.org", "Fwd: [PATCH 0/2] b: fix it"))
    lab.works_until(clock() + 3 * HOUR)
    assert lab.outcome("fwd@example.org") is Outcome.QUEUED
    assert lab.ledger.requests() == []


# What it may cost.


def hostile(number: int, sender: str = "mallory@example.org") -> bytes:
    """A mail of one sender with a thread of its own."""
    raw = reply(f"{number}-0@x", f"hostile-{number}@example.org",
                references=[f"{number}-{n}@x" for n in range(60)])  # fmt: skip
    return raw.replace(b"robin@example.org", sender.encode())


@pytest.fixture
def costly(hell: Hell, lab_at: MakeLab) -> Iterator[Lab]:
    """A Patchwork that knows one patch only, and counts."""
    hell.will(rows())
    hell.route(lambda seen: knows(["good@x"])(seen) if seen.query.get("msgid") else None)
    yield lab_at(hell.url)


def about_mails(seen: list[Seen]) -> int:
    return sum(each.path.count("/") > 2 and not each.path.startswith("/api/1.") for each in seen)


def test_an_attempt_costs_forty_questions_and_goes_on_where_it_stopped(
    hell: Hell, costly: Lab
) -> None:
    costly.arrives(hostile(1))
    costly.works()
    assert costly.waiting() == {"missing": 1}
    first = [seen.target for seen in hell.seen if "msgid" in seen.query]
    costly.works_when_due()
    second = [seen.target for seen in hell.seen if "msgid" in seen.query][len(first) :]
    assert len(first) == 40
    assert not set(first) & set(second)


def test_sixty_costly_mails_of_one_sender_cost_two_hundred_questions_an_hour_and_hold_up_nobody(
    hell: Hell, costly: Lab, clock: Clock
) -> None:
    costly.arrives(*(hostile(number) for number in range(60)))
    costly.works()
    costly.arrives(reply("good@x", "good-recheck@example.org").replace(b"robin@", b"alice@"))
    asked, begun = len(hell.seen), clock()
    costly.works()
    assert costly.outcome("good-recheck@example.org") is Outcome.DONE
    assert (clock() - begun, about_mails(hell.seen[asked:])) == (0.0, 1)
    costly.works_until(begun + HOUR - 1)
    assert about_mails(hell.seen) <= 201


def test_no_label_is_unknown_as_long_as_not_all_patches_were_asked_for(
    box: Sandbox, lab_at: MakeLab
) -> None:
    box.file(cover("cover@example.org", "[PATCH 0/60] b: fix it", list_id=DEV))
    for number in range(1, 61):
        subject = f"[PATCH {number}/60] b: fix it"
        box.file(patch(f"b-{number}@example.org", subject, in_reply_to="cover@example.org"))
    lab = lab_at(box.url, requests=tables.RequestsSettings(contexts=("patchwork",)))
    lab.arrives(reply("cover@example.org", subject="Re: [PATCH 0/60] b: fix it", list_id=DEV))
    lab.works()
    assert lab.outcome() is Outcome.QUEUED
    assert "goes on later" in lab.record().reason
    lab.works_when_due()
    assert lab.outcome() is Outcome.IGNORED
    asked = [path for path in paths(box) if path.endswith("/checks/")]
    assert len(asked) == len(set(asked)) == 60


def test_an_archive_is_exempt(hell: Hell, ledger: Ledger, clock: Clock) -> None:
    hell.will(rows())
    table = replace(
        tables.PatchworkSettings(hell.url), questions=0, questions_per_sender=0, waits=()
    )
    patchwork = Patchwork(table, ledger, clock=clock)
    trail: list[Lookup] = []
    for number in range(4):
        with pytest.raises(NotFound):
            resolve(patchwork, hostile(number), trail)
    patchwork.close()
    assert about_mails(hell.seen) > 300


@pytest.mark.slow
def test_a_sender_may_ask_on_after_an_hour(hell: Hell, costly: Lab, clock: Clock) -> None:
    costly.arrives(*(hostile(number) for number in range(9)))
    costly.works()
    assert about_mails(hell.seen) <= 201
    clock += HOUR
    costly.works()
    assert about_mails(hell.seen) > 300


@pytest.mark.slow
def test_an_hour_of_a_clock_that_was_set_back_does_not_last(
    hell: Hell, costly: Lab, clock: Clock
) -> None:
    costly.arrives(*(hostile(number) for number in range(9)))
    costly.works()
    before = len(hell.seen)
    clock += -24 * HOUR
    costly.works()
    assert len(hell.seen) > before + 100
