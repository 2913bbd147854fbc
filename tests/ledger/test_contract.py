# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does, whatever it is kept in."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from ingest.errors import LostClaim
from ingest.ledger import (
    WORKER_LEASE,
    Envelope,
    Event,
    Filter,
    Ledger,
    Outcome,
    Queued,
    Wait,
    Waiting,
    open_ledger,
)
from ingest.mail.requester import Requester
from ingest.mail.trust import Trust
from tests.support import ledger_processes
from tests.support.ledger_values import (
    ENDS,
    NOON,
    arrival,
    claimed,
    ended,
    finish,
    put_back,
    record,
    request,
)

# Accepting


def test_an_accepted_mail_is_there_for_another_opener(url: str, ledger: Ledger) -> None:
    ledger.accept(arrival())
    other = open_ledger(url)
    assert claimed(other).message_id == "a@example.org"
    other.close()


def test_a_mail_comes_back_as_it_was_given_in(ledger: Ledger) -> None:
    envelope = Envelope("", ("recheck@lab.example.org", "two@example.org"), "[::1]:25")
    raw = bytes(range(256)) * 100
    id, new = ledger.accept(arrival(raw=raw, source="replay x:1", envelope=envelope))
    assert new
    assert claimed(ledger) == Queued(
        id=id,
        raw=raw,
        identity="a@example.org dev.dpdk.org",
        message_id="a@example.org",
        source="replay x:1",
        envelope=envelope,
        received=NOON,
        wait=Wait(Waiting.NOTHING, since=NOON, begun=NOON, due=NOON),
        holder=WORKER_LEASE,
    )


@pytest.mark.parametrize("raw", [b"", b"\0", b"x" * 3_000_000], ids=["empty", "NUL", "3 MB"])
def test_raw_bytes_of_any_kind_are_kept(ledger: Ledger, raw: bytes) -> None:
    ledger.accept(arrival(raw=raw))
    assert claimed(ledger).raw == raw
    [record] = ledger.find("a@example.org")
    assert record.size == len(raw)


def test_a_copy_of_a_known_mail_is_not_kept(ledger: Ledger) -> None:
    first = ledger.accept(arrival(raw=b"one"))
    assert ledger.accept(arrival(raw=b"two", source="elsewhere")) == (first[0], False)
    assert claimed(ledger).raw == b"one"
    assert ledger.claim(NOON, WORKER_LEASE) is None


@pytest.mark.parametrize("outcome", ENDS)
def test_a_copy_of_a_mail_that_ended_is_not_kept(ledger: Ledger, outcome: Outcome) -> None:
    ledger.accept(arrival())
    finish(ledger, claimed(ledger), outcome)
    assert ledger.accept(arrival())[1] is False
    assert ledger.claim(NOON, WORKER_LEASE) is None


def test_mails_of_one_message_id_from_two_lists_are_two(ledger: Ledger) -> None:
    ledger.accept(arrival(identity="a@example.org dev.dpdk.org"))
    assert ledger.accept(arrival(identity="a@example.org ci.dpdk.org"))[1]
    assert len(ledger.find("a@example.org")) == 2


def test_a_mail_can_be_accepted_with_its_outcome(ledger: Ledger) -> None:
    ledger.accept(arrival(outcome=Outcome.REJECTED, reason="too large"))
    assert ledger.claim(NOON, WORKER_LEASE) is None
    [record] = ledger.find("a@example.org")
    assert (record.outcome, record.reason) == (Outcome.REJECTED, "too large")


LONE = "a\udce9\ud800b"  # what surrogateescape and JSON can make of garbage


def test_text_that_is_no_unicode_is_kept_legibly(ledger: Ledger) -> None:
    ledger.accept(
        arrival(message_id=LONE, source=LONE, envelope=Envelope(LONE, (LONE,), LONE), reason=LONE)
    )
    mail = claimed(ledger)
    ledger.finish(
        mail,
        Outcome.DONE,
        LONE,
        [Event(NOON, "recorded", {"reason": LONE})],
        [
            request(
                mail, project=LONE, subject=LONE, requester=Requester(LONE), arguments={"a": LONE}
            )
        ],
    )
    ledger.remember(LONE, LONE, NOON + 1)
    [record] = ledger.find(LONE)
    assert record.message_id == r"a\udce9\ud800b"
    assert record.requests[0].project == r"a\udce9\ud800b"
    assert ledger.recall(LONE, NOON) == r"a\udce9\ud800b"


@pytest.mark.parametrize("identity", [LONE, "a\0b"], ids=["no Unicode", "NUL"])
def test_a_mail_whose_identity_is_kept_otherwise_is_known(ledger: Ledger, identity: str) -> None:
    assert ledger.accept(arrival(identity=identity))[1]
    assert not ledger.accept(arrival("copy", identity=identity))[1]
    other = arrival("b", identity=f"b {identity}")
    kept = identity.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    several = [arrival(identity=kept), other, replace(other, identity=f"b {kept}")]
    assert [new for _, new in ledger.accept_all(several)] == [False, True, False]


@pytest.mark.parametrize("text", ["", "\u2028\u0085\x1e\n\r", "grüße 漢字 🐍", "'; DROP"])
def test_text_of_any_kind_comes_back(ledger: Ledger, text: str) -> None:
    ledger.accept(arrival(source=text, envelope=Envelope(text)))
    mail = claimed(ledger)
    told = Event(NOON, text, {text: text})
    ledger.finish(mail, Outcome.DONE, text, [told], [request(mail, contexts=(text,))])
    [record] = ledger.find("a@example.org")
    assert (record.source, record.reason, record.envelope.sender) == (text, text, text)
    assert record.story[-1] == told
    assert record.requests[0].contexts == (text,)


# Claiming


def test_mails_that_were_never_tried_go_before_those_that_were(ledger: Ledger) -> None:
    ledger.accept(arrival("tried"))
    put_back(ledger, claimed(ledger), NOON + 1, Waiting.MISSING)
    ledger.accept(arrival("new", at=NOON + 2))
    assert [claimed(ledger, NOON + 9).message_id for _ in range(2)] == ["new", "tried"]


def test_senders_take_turns(ledger: Ledger) -> None:
    for number in range(3):
        ledger.accept(arrival(f"flood-{number}", sender="flood@example.org"))
    ledger.accept_all([arrival("a", sender="a@x"), arrival("b", sender="b@x")])
    names = [claimed(ledger).message_id for _ in range(5)]
    assert names == ["flood-0", "a", "b", "flood-1", "flood-2"]


def test_a_sender_who_was_quiet_does_not_go_before_those_who_wait(ledger: Ledger) -> None:
    for number in range(4):
        ledger.accept(arrival(f"flood-{number}", sender="flood@example.org"))
    claimed(ledger), claimed(ledger)
    ledger.accept(arrival("a-1", sender="a@x"))
    ledger.accept(arrival("a-2", sender="a@x"))
    names = [claimed(ledger).message_id for _ in range(4)]
    assert names == ["flood-2", "a-1", "flood-3", "a-2"]


def test_mails_of_one_moment_are_claimed_in_the_order_of_accepting(ledger: Ledger) -> None:
    names = ["x", "b", "y", "a"]
    for name in names:
        ledger.accept(arrival(name))
    assert [claimed(ledger).message_id for _ in names] == names


def test_mails_that_are_accepted_together_are_claimed_in_their_order(ledger: Ledger) -> None:
    names = [f"{number}@x" for number in range(30)]
    found = ledger.accept_all([arrival(names[3]), *(arrival(name) for name in names)])
    assert [new for _, new in found] == [True, *(name != names[3] for name in names)]
    order = [claimed(ledger).message_id for _ in names]
    assert order == [names[3], *(name for name in names if name != names[3])]


def test_each_of_many_mails_is_told_its_number_and_whether_it_is_new(ledger: Ledger) -> None:
    mails = [arrival(f"{number}@x") for number in range(1200)]
    before = ledger.accept_all(mails[::2])
    found = ledger.accept_all(mails)
    assert found[::2] == [(id, False) for id, _ in before]
    assert all(new for _, new in found[1::2])
    for number in (0, 1, 600, 601, 1198, 1199):
        [kept] = ledger.find(f"mail-{found[number][0]}")
        assert kept.message_id == f"{number}@x"


def test_a_copy_takes_no_turn(ledger: Ledger) -> None:
    ledger.accept(arrival("a-1", sender="a@x"))
    for _ in range(5):
        ledger.accept(arrival("a-1", sender="a@x"))
    ledger.accept_all([arrival("b-1", sender="b@x"), arrival("b-2", sender="b@x")])
    ledger.accept(arrival("a-2", sender="a@x"))
    assert [claimed(ledger).message_id for _ in range(4)] == ["a-1", "b-1", "b-2", "a-2"]


def test_a_mail_is_not_claimed_before_it_is_due(ledger: Ledger) -> None:
    ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.DOWN)
    assert ledger.claim(NOON + 59.9, WORKER_LEASE) is None
    assert claimed(ledger, NOON + 60).wait.waiting is Waiting.DOWN


def test_a_claimed_mail_is_not_claimed_again(ledger: Ledger) -> None:
    ledger.accept(arrival())
    claimed(ledger)
    assert ledger.claim(NOON + 1e6, WORKER_LEASE) is None


def test_nothing_is_claimed_of_an_empty_ledger(ledger: Ledger) -> None:
    assert ledger.claim(NOON, WORKER_LEASE) is None
    assert ledger.next_due() is None


def test_the_next_mail_that_is_due_is_foretold(ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    ledger.accept(arrival("b"))
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.DOWN)
    finish(ledger, claimed(ledger), Outcome.DONE)
    assert ledger.next_due() == NOON + 60


# A worker that dies


def test_what_a_dead_worker_had_taken_up_is_due_again(url: str, ledger: Ledger) -> None:
    ledger.accept(arrival())
    with ledger_processes.other("claim", url) as worker:
        assert ledger_processes.line(worker) == "a@example.org"
        worker.wait()
    assert ledger.claim(NOON, WORKER_LEASE) is None
    assert ledger.recover(NOON, WORKER_LEASE) == 1
    assert claimed(ledger).message_id == "a@example.org"


def test_there_is_nothing_to_recover_of_a_worker_that_ended_its_mails(ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.accept(arrival(name))
    finish(ledger, claimed(ledger), Outcome.DONE)
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.MISSING)
    assert ledger.recover(NOON, WORKER_LEASE) == 0
    assert ledger.next_due() == NOON + 60


def deaths(ledger: Ledger, count: int, now: float) -> float:
    """A worker takes up the mail and dies, again and again; when it is due after that."""
    for _ in range(count):
        claimed(ledger, now)
        ledger.recover(now, WORKER_LEASE)
        now = max(now, ledger.next_due() or now)
    return now


def test_a_mail_that_kills_the_worker_again_and_again_waits_longer_each_time(
    ledger: Ledger,
) -> None:
    ledger.accept(arrival())
    due = [deaths(ledger, 0, NOON)]
    for _ in range(8):
        due.append(deaths(ledger, 1, due[-1]))
    pauses = [after - before for before, after in pairwise(due)]
    assert pauses[:2] == [0, 0], "one or two deaths are hardly the mail's fault"
    assert pauses[2] > 0
    assert pauses[2:] == sorted(set(pauses[2:]))


def test_a_mail_that_kills_the_worker_does_not_hold_up_the_others(ledger: Ledger) -> None:
    ledger.accept(arrival("poison", at=NOON - 1))
    ledger.accept(arrival("good"))
    for _ in range(3):
        assert claimed(ledger).message_id == "poison"
        ledger.recover(NOON, WORKER_LEASE)
    assert claimed(ledger).message_id == "good"


def test_a_mail_that_kills_every_worker_is_given_up_in_the_end(ledger: Ledger) -> None:
    ledger.accept(arrival())
    now = NOON
    for _ in range(100):
        if ledger.next_due() is None:
            break
        now = deaths(ledger, 1, now)
    [record] = ledger.find("a@example.org")
    assert record.outcome is Outcome.FAILED
    assert "died" in record.reason
    assert record.story[-1].what == "failed"


def test_deaths_are_forgotten_when_an_attempt_comes_to_its_end(ledger: Ledger) -> None:
    ledger.accept(arrival())
    now = deaths(ledger, 5, NOON)
    put_back(ledger, claimed(ledger, now), now, Waiting.DOWN)
    assert deaths(ledger, 1, now) == now


# Ending


@pytest.mark.parametrize("outcome", ENDS)
def test_a_mail_ends_with_outcome_reason_and_story(ledger: Ledger, outcome: Outcome) -> None:
    ledger.accept(arrival())
    steps = [Event(NOON + 1, "asked", {"question": "patch"}), Event(NOON + 2, outcome, {})]
    ledger.finish(claimed(ledger), outcome, "the reason", steps)
    [record] = ledger.find("a@example.org")
    assert (record.outcome, record.reason, record.due) == (outcome, "the reason", None)
    assert record.story == (Event(NOON, "accepted", {"source": "test"}), *steps)
    assert ledger.next_due() is None


def test_a_request_comes_back_as_it_was_recorded(ledger: Ledger) -> None:
    ledger.accept(arrival())
    mail = claimed(ledger)
    asked = request(mail)
    new = ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [asked])
    assert new == [replace(asked, number=1, id=new[0].id)]
    assert re.fullmatch("recheck-[0-9a-f]{32}", new[0].id)
    assert ledger.requests() == new
    assert ledger.find("a@example.org")[0].requests == tuple(new)


def test_one_mail_may_ask_for_several_series(ledger: Ledger) -> None:
    ledger.accept(arrival())
    mail = claimed(ledger)
    asked = [request(mail, 1), request(mail, 2)]
    new = ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), asked)
    assert [each.series for each in new] == [1, 2]


def test_the_same_request_is_not_recorded_twice(ledger: Ledger) -> None:
    """The copies of a mail by two lists are two mails and one request."""
    for list_id in ("dev.dpdk.org", "ci.dpdk.org"):
        ledger.accept(arrival(identity=f"a@example.org {list_id}"))
    one, two = claimed(ledger), claimed(ledger)
    assert ledger.finish(one, Outcome.DONE, "", ended(Outcome.DONE), [request(one)])
    assert ledger.finish(two, Outcome.DONE, "", ended(Outcome.DONE), [request(two)]) == []
    assert len(ledger.requests()) == 1
    first, second = ledger.find("a@example.org")
    assert (first.outcome, second.outcome) == (Outcome.DONE, Outcome.IGNORED)
    assert second.reason == f"mail-{one.id}, of its Message-ID, asked for the same before"
    assert [event.what for event in second.story] == ["accepted", "ignored"]


def test_requests_are_read_from_behind_a_number_in_order(ledger: Ledger) -> None:
    for number in range(7):
        ledger.accept(arrival(f"{number}@example.org"))
        mail = claimed(ledger)
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
    assert [each.number for each in ledger.requests(after=2, limit=3)] == [3, 4, 5]
    assert [each.number for each in ledger.requests(after=6)] == [7]
    assert ledger.requests(after=7) == []
    assert ledger.last_request() == 7


def test_a_request_that_was_known_leaves_the_numbering_usable(ledger: Ledger) -> None:
    numbers: list[int] = []
    for name in ("a", "a", "b"):
        ledger.accept(arrival(name, identity=f"{name} {len(numbers)}"))
        mail = claimed(ledger)
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
        numbers = [each.number for each in ledger.requests()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 2
    assert ledger.last_request() == numbers[-1]


def test_how_an_author_was_proved_is_kept_with_the_mail_and_told(ledger: Ledger) -> None:
    ledger.accept(arrival(passage="list"))
    mail = claimed(ledger)
    assert (mail.passage, mail.proof) == ("list", None)
    ledger.prove(mail, "", Event(NOON, "verified", {"reason": "nothing"}))
    put_back(ledger, mail, NOON + 60, Waiting.MISSING)
    assert claimed(ledger, NOON + 9999).proof == ""
    assert "verified" in [each.what for each in ledger.find("a@example.org")[0].story]


def test_nothing_is_proved_of_a_mail_that_another_has_taken_up(ledger: Ledger) -> None:
    ledger.accept(arrival())
    mail = claimed(ledger)
    put_back(ledger, mail, NOON + 60, Waiting.MISSING)
    with pytest.raises(LostClaim):
        ledger.prove(mail, "dkim", Event(NOON, "verified", {}))


def test_only_proved_requests_are_counted_where_that_is_asked_for(ledger: Ledger) -> None:
    record(ledger, "1@example.org", NOON, trust=Trust("", "dkim"))
    record(ledger, "2@example.org", NOON + 1, trust=Trust("list", ""))
    assert ledger.recorded(NOON - 1, NOON + 9, 9, proved=True) == [NOON]


def test_a_request_that_does_not_count_for_rates_is_not_counted(ledger: Ledger) -> None:
    record(ledger, "1@example.org", NOON, rated=False)
    record(ledger, "2@example.org", NOON + 1)
    assert [each.rated for each in ledger.requests()] == [False, True]
    assert ledger.recorded(NOON - 1, NOON + 9, 9) == [NOON + 1]


def test_who_takes_care_of_a_patch_is_kept_with_the_request(ledger: Ledger) -> None:
    made = record(ledger, "1@example.org", delegates=("robin@example.org", "alex@example.org"))
    assert made.delegates == ("robin@example.org", "alex@example.org")
    assert ledger.requests() == [made]


def test_when_requests_were_recorded_is_told_newest_first_by_requester_and_series(
    ledger: Ledger,
) -> None:
    robin, alex = Requester("Robin", "Robin@example.org"), Requester("Alex", of_list="d@b.org")
    record(ledger, "1@example.org", NOON, requester=robin, series=1)
    record(ledger, "2@example.org", NOON + 1, requester=alex, series=1)
    record(ledger, "3@example.org", NOON + 2, requester=robin, series=2)
    until = NOON + 10
    assert ledger.recorded(NOON - 1, until, 9) == [NOON + 2, NOON + 1, NOON]
    assert ledger.recorded(NOON, until, 9) == [NOON + 2, NOON + 1]
    assert ledger.recorded(NOON - 1, NOON + 1, 9) == [NOON + 1, NOON]
    assert ledger.recorded(NOON - 1, until, 1) == [NOON + 2]
    assert ledger.recorded(NOON - 1, until, 9, who="robin@example.org") == [NOON + 2, NOON]
    assert ledger.recorded(NOON - 1, until, 9, who=alex.key) == [NOON + 1]
    assert ledger.recorded(NOON - 1, until, 9, series=1) == [NOON + 1, NOON]


def test_the_requests_of_a_series_are_read_up_to_a_number(ledger: Ledger) -> None:
    for number, series in enumerate([5, 6, 5, 5], start=1):
        ledger.accept(arrival(f"{number}@example.org"))
        mail = claimed(ledger)
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail, series)])
    assert [each.number for each in ledger.requests_of(5, up_to=3)] == [1, 3]
    assert ledger.requests_of(7, up_to=4) == []


def test_two_servers_have_series_of_one_number(ledger: Ledger) -> None:
    """What is asked of one says nothing of the other: neither a copy, nor a rate, nor an id."""
    for place, server in enumerate(["", "fdo", "fdo"]):
        ledger.accept(arrival("1@example.org", identity=f"copy {place}"))
        mail = claimed(ledger)
        asked = request(mail, 5, server=server, revision=2 if server else 0)
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [asked])
    plain, other = ledger.requests()
    assert (plain.server, plain.revision) == ("", 0)
    assert (other.server, other.revision) == ("fdo", 2)
    assert plain.id != other.id
    assert ledger.requests_of(5, up_to=9) == [plain]
    assert ledger.requests_of(5, up_to=9, server="fdo") == [other]
    assert len(ledger.recorded(0, NOON + 9, 9, series=5, server="fdo")) == 1
    assert ledger.search_requests(Filter(servers=("fdo",))) == [other]


def test_mails_without_a_message_id_have_no_name_in_common(ledger: Ledger) -> None:
    ledger.accept(arrival("", identity="one"))
    ledger.accept(arrival("", identity="another"))
    assert ledger.find("") == []
    assert ledger.retry([""], NOON) == 0
    assert list(ledger.originals("", "dev.dpdk.org")) == []
    assert [each.others for each in ledger.find("mail-1")] == [()]


def test_anybody_can_send_a_message_id_again_and_again(ledger: Ledger) -> None:
    """What is found by it has a limit, and so has what each of these mails names."""
    ledger.accept_all([arrival("a", identity=f"{number}") for number in range(1200)])
    found = ledger.find("a")
    assert [each.id for each in found] == list(range(1, 1001))
    assert found[0].others == tuple(range(2, 102))
    assert found[-1].others == tuple(range(1, 101))
    [last] = ledger.find("mail-1200")
    assert last.others == tuple(range(1, 101))
