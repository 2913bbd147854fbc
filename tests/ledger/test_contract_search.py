# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger finds is what a plain filter in Python finds."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.ledger import (
    Aside,
    Attention,
    Cursor,
    Filter,
    Keep,
    Ledger,
    Outcome,
    Record,
    Request,
    State,
    Waiting,
    open_ledger,
)
from ingest.mail.requester import Requester
from ingest.words import shortened
from tests.support.examples import examples
from tests.support.ledger_values import (
    NOON,
    arrival,
    claimed,
    ended,
    finish,
    put_back,
    record,
    request,
)
from tests.support.ledgers import LEDGERS

T = TypeVar("T")

MAILS = 120
LABELS = ("iol-a", "iol-b", "github-robot", "Éclair")
LISTS = ("dev.dpdk.org", "ci.dpdk.org", "")
PROJECTS = ("dpdk", "ci", "")
PEOPLE = ("Robin Reviewer", "Ägidius Groß", "100%_sure")
SUBJECTS = ("Re: [PATCH] net: fix it", "Re: ÜBER Straße", "x\n100%_sure", "ask m7@example.org")
PARTS = (
    "robin",
    "ROBIN R",
    "ägidius",
    "GROSS",
    "%_",
    "100%",
    "y_s",
    "!",
    "über",
    "strasse",
    "it is",
    "series",
    "-7@",
    "m7@",
    "@example",
)


def fill(ledger: Ledger) -> None:
    """Mails of every kind, from one seed."""
    pick = random.Random(7)
    for number in range(MAILS):
        person = pick.choice(PEOPLE)
        ledger.accept(
            arrival(
                f"mail-{number}@example.org" if pick.random() < 0.9 else "",
                identity=str(number),
                at=NOON + number // 2,
                list_id=pick.choice(LISTS),
                author=f"{person} <m{number}@example.org>",
                subject=pick.choice(SUBJECTS),
            )
        )
        mail = claimed(ledger, NOON + MAILS)
        outcome = pick.choice([*Outcome, Outcome.DONE, Outcome.DONE, Outcome.DONE])
        if outcome is Outcome.QUEUED:
            put_back(ledger, mail, NOON + 10 * MAILS, Waiting.MISSING)
        elif outcome is not Outcome.DONE:
            finish(ledger, mail, outcome)
        else:
            asked = [
                request(
                    mail,
                    series=pick.randrange(3),
                    message_id=mail.message_id or f"mail-{mail.id}",
                    contexts=tuple(pick.sample(LABELS, pick.randrange(4))),
                    project=pick.choice(PROJECTS),
                    requester=Requester(pick.choice(PEOPLE), f"{number}@example.org"),
                    subject=pick.choice(SUBJECTS),
                    recorded=NOON + number // 2 + 0.5,
                )
                for _ in range(pick.choice((1, 1, 1, 2)))
            ]
            steps = ended(outcome, NOON + number)
            ledger.finish(mail, outcome, f"series {asked[0].series}: Ü", steps, asked)
    for number in (3, 5, 8, 13):
        ledger.asides.keep(Aside(f"webhook:{number % 2}", number, NOON, 1, None, "no"))
    for result in ledger.results.of([8, 9, 21]):
        ledger.results.tell(replace(result, state=State.OVERDUE))
    for result in ledger.results.of(range(30, 60)):
        ledger.results.tell(replace(result, state=pick.choice([*State])))


@pytest.fixture(scope="module", params=LEDGERS)
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    ledger = open_ledger(LEDGERS[request.param](tmp_path_factory.mktemp("full")))
    with ledger.batch():
        fill(ledger)
    yield ledger
    ledger.close()


def some(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(values, min_size=1, max_size=2).map(tuple)


TIMES = st.integers(0, MAILS).map(lambda half: NOON + half / 2)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "states": some(st.sampled_from(Outcome)),
    "series": some(st.integers(0, 3)),
    "labels": some(st.sampled_from([*LABELS, "iol", "IOL-A"])),
    "requesters": some(st.sampled_from(PARTS)),
    "lists": some(st.sampled_from(LISTS)),
    "projects": some(st.sampled_from([*PROJECTS, "dp"])),
    "texts": some(st.sampled_from(PARTS)),
    "since": TIMES,
    "before": TIMES,
    "attention": st.builds(
        Attention,
        some(st.sampled_from(["webhook:0", "webhook:1"])),
        st.one_of(st.none(), st.integers(0, MAILS)),
    ),
    "limit": st.integers(1, 2 * MAILS),
    "offset": st.integers(0, 10),
    "from_oldest": st.booleans(),
    "results": some(st.sampled_from(State)),
    "active": st.just(True),
    "shown": st.just(True),
}
# A few fields at a time: all at once fit nothing.
FILTERS = (
    st.lists(st.sampled_from(list(FIELDS)), max_size=3, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names}))
    .map(lambda fields: Filter(**fields))  # type: ignore[arg-type]
)


OPEN = (State.ASKED, State.HANDED_OVER, State.PENDING, State.OVERDUE)


def has(wanted: Filter, parts: tuple[str, ...], *texts: str) -> bool:
    shown = [shortened(text) if wanted.shown else text for text in texts]
    return not parts or any(part.casefold() in text.casefold() for part in parts for text in shown)


def states_of(ledger: Ledger, requests: Iterable[Request]) -> set[State]:
    return {each.state for each in ledger.results.of(each.number for each in requests)}


def stands(ledger: Ledger, wanted: Filter, mail: Record, requests: Iterable[Request]) -> bool:
    if not wanted.states and not wanted.results:
        return True
    found = states_of(ledger, requests)
    return mail.outcome in wanted.states or not found.isdisjoint(wanted.results)


def within(wanted: Filter, at: float) -> bool:
    after = wanted.since is None or at >= wanted.since
    return after and (wanted.before is None or at < wanted.before)


def is_asked(wanted: Filter, asked: Request) -> bool:
    return (
        (not wanted.series or asked.series in wanted.series)
        and (not wanted.labels or bool(set(wanted.labels) & set(asked.contexts)))
        and (not wanted.projects or asked.project in wanted.projects)
    )


def in_trouble(ledger: Ledger, attention: Attention, asked: Request) -> bool:
    aside = {each.request for sink in attention.sinks for each in ledger.asides.of(sink)}
    results = ledger.results.of([asked.number])
    if any(each.state is State.OVERDUE for each in results):
        return True
    return asked.number in aside or (attention.after is not None and asked.number > attention.after)


def request_fits(ledger: Ledger, wanted: Filter, mail: Record, asked: Request) -> bool:
    who = (asked.requester.name, asked.requester.mailbox)
    return (
        stands(ledger, wanted, mail, [asked])
        and (not wanted.active or not states_of(ledger, [asked]).isdisjoint(OPEN))
        and (not wanted.lists or mail.list_id in wanted.lists)
        and is_asked(wanted, asked)
        and has(wanted, wanted.requesters, *who)
        and (
            has(wanted, wanted.texts, *who, asked.subject, mail.reason)
            or has(replace(wanted, shown=False), wanted.texts, asked.message_id)
        )
        and within(wanted, asked.recorded)
        and (wanted.attention is None or in_trouble(ledger, wanted.attention, asked))
    )


def mail_fits(ledger: Ledger, wanted: Filter, mail: Record) -> bool:
    who = [each for one in mail.requests for each in (one.requester.name, one.requester.mailbox)]
    who.append(mail.author)
    about_requests = wanted.series or wanted.labels or wanted.projects
    stuck = mail.outcome in (Outcome.UNRESOLVED, Outcome.FAILED)
    return (
        stands(ledger, wanted, mail, mail.requests)
        and not (wanted.shown and mail.outcome is Outcome.NOTICE)
        and (
            not wanted.active
            or mail.outcome is Outcome.QUEUED
            or not states_of(ledger, mail.requests).isdisjoint(OPEN)
        )
        and (not wanted.lists or mail.list_id in wanted.lists)
        and (not about_requests or any(is_asked(wanted, each) for each in mail.requests))
        and has(wanted, wanted.requesters, *who)
        and (
            has(wanted, wanted.texts, *who, mail.subject, mail.reason)
            or has(replace(wanted, shown=False), wanted.texts, mail.message_id)
        )
        and within(wanted, mail.received)
        and (
            (attention := wanted.attention) is None
            or stuck
            or any(in_trouble(ledger, attention, each) for each in mail.requests)
        )
    )


def part(wanted: Filter, fitting: list[T]) -> list[T]:
    """What is to be found of what fits, the newest first."""
    if wanted.from_oldest:
        fitting = fitting[::-1]
    found = fitting[wanted.offset : wanted.offset + wanted.limit]
    return found[::-1] if wanted.from_oldest else found


@pytest.fixture(scope="module")
def mails(full: Ledger) -> list[Record]:
    """All there are, by what they are called, the newest first."""
    found = [mail for number in range(MAILS + 1) for mail in full.find(f"mail-{number}")]
    assert len(found) == MAILS
    return sorted(found, key=lambda mail: mail.id, reverse=True)


UNHURRIED = settings(examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])


@UNHURRIED
@given(wanted=FILTERS)
def test_requests_are_found_as_a_plain_filter_finds_them(
    full: Ledger, mails: list[Record], wanted: Filter
) -> None:
    by_id = {mail.id: mail for mail in mails}
    fitting = [
        each
        for each in reversed(full.requests())
        if request_fits(full, wanted, by_id[each.mail_id], each)
    ]
    found = full.search_requests(wanted)
    assert found == part(wanted, fitting)
    assert full.count_requests(wanted) == len(fitting)


@UNHURRIED
@given(wanted=FILTERS)
def test_mails_are_found_as_a_plain_filter_finds_them(
    full: Ledger, mails: list[Record], wanted: Filter
) -> None:
    fitting = [mail for mail in mails if mail_fits(full, wanted, mail)]
    found = full.search_mails(wanted)
    assert found == part(wanted, fitting)
    assert full.count_mails(wanted) == len(fitting)


def test_a_mail_that_has_to_wait_is_found_by_what_it_waits_for(ledger: Ledger) -> None:
    ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.MISSING)
    [found] = ledger.search_mails(Filter(texts=("HAS TO wait",)))
    assert found.message_id == "a@example.org"
    finish(ledger, claimed(ledger, NOON + 60), Outcome.FAILED)
    assert not ledger.search_mails(Filter(texts=("has to wait",)))
    assert ledger.search_mails(Filter(texts=("it is failed",)))


def test_the_labels_and_projects_that_were_asked_for_are_known(ledger: Ledger) -> None:
    """Each once, in order, and of very many the first; of arguments alone there is no label."""
    assert ledger.names() == ((), ())
    for number, labels in enumerate([("b", "a"), (), ("a", "\u00e9", "Z"), ("c",)]):
        project = ("dpdk", "", "ci", "dpdk")[number]
        record(ledger, f"{number}@example.org", contexts=labels, project=project)
    assert ledger.names() == (("Z", "a", "b", "c", "\u00e9"), ("ci", "dpdk"))
    assert ledger.names(2) == (("Z", "a"), ("ci", "dpdk"))


def test_an_unknown_label_with_quotes_in_it_finds_nothing(ledger: Ledger) -> None:
    record(ledger, "a@example.org")
    for evil in ("' OR 1 --", '"', "%", "*"):
        wanted = Filter(labels=(evil,), projects=(evil,), texts=(evil,))
        assert not ledger.search_requests(wanted)
        assert not ledger.search_mails(wanted)


def test_what_was_pruned_is_not_found(ledger: Ledger) -> None:
    record(ledger, "old@example.org", NOON)
    record(ledger, "new@example.org", NOON + 100)
    assert len(ledger.search_requests(Filter(labels=("iol-a",)))) == 2
    ledger.set_cursor(Cursor("webhook:lab", 2))
    ledger.prune(Keep(raw=0.0, requests=NOON + 50), NOON + 100)
    [left] = ledger.search_requests(Filter(labels=("iol-a",), texts=("example",)))
    assert left.message_id == "new@example.org"
    assert [mail.message_id for mail in ledger.search_mails(Filter())] == ["new@example.org"]
