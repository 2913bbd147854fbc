# SPDX-License-Identifier: BSD-3-Clause
"""What is looked for over HTTP, as a plain filter in Python finds it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.config.tables import Settings
from ingest.ledger import Filter, Ledger, Outcome, open_ledger
from ingest.mail.requester import Requester
from ingest.web import lookups
from ingest.web.lookups import Reader
from tests.support.ledger_values import NOON, arrival, claimed, finish, record

REQUESTS = 23


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:{tmp_path_factory.mktemp('lookups')}/ledger.sqlite")
    with opened.batch():
        for number in range(1, REQUESTS + 1):
            record(
                opened,
                f"m{number}@example.org",
                NOON + number,
                series=number % 3,
                contexts=("iol-a", "iol-b")[: 1 + number % 2],
                requester=Requester("Robin" if number % 2 else "Ada", f"who{number}@example.org"),
            )
        opened.accept(arrival("failed@example.org", author="Eve <eve@example.org>"))
        finish(opened, claimed(opened), Outcome.FAILED)
    yield opened
    opened.close()


def reader(ledger: Ledger, *, sees_all: bool = True) -> Reader:
    return Reader(ledger, Settings(), NOON + 100, sees_all)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    series=st.sets(st.integers(0, 2)),
    labels=st.sets(st.sampled_from(["iol-a", "iol-b"])),
    who=st.sampled_from(["", "robin", "ada", "example.org"]),
    number=st.integers(1, 9),
    per_page=st.integers(1, 2 * REQUESTS),
)
def test_a_page_has_what_a_plain_list_has_there(
    ledger: Ledger, series: set[int], labels: set[str], who: str, number: int, per_page: int
) -> None:
    fitting = [
        each
        for each in reversed(ledger.requests())
        if (not series or each.series in series)
        and (not labels or labels & set(each.contexts))
        and who in str(each.requester).casefold()
    ]
    wanted = Filter(series=tuple(series), labels=tuple(labels), requesters=(who,) if who else ())
    page = lookups.requests(reader(ledger), wanted, number, per_page)
    on_page = fitting[(number - 1) * per_page : number * per_page]
    assert [each.number for each in page.items] == [each.number for each in on_page]
    assert (page.total, page.last) == (len(fitting), max(-(-len(fitting) // per_page), 1))
    mails = lookups.mails(reader(ledger), wanted, number, per_page)
    if series or labels:  # else the mail that asked for nothing is there as well
        assert [each.requests[0].number for each in mails.items] == [
            each.number for each in on_page
        ]


def test_a_request_has_its_deliveries_and_may_be_named_by_number_or_id(ledger: Ledger) -> None:
    found = lookups.request(reader(ledger), "7")
    assert found and found.deliveries == () and found.message_id == "m7@example.org"
    assert [each.state for each in found.results] == ["asked", "asked"]
    assert lookups.request(reader(ledger), found.id) == found
    assert lookups.request(reader(ledger), "0") is None
    assert lookups.request(reader(ledger), "recheck-0") is None


@pytest.mark.parametrize("name", ["m7@example.org", "<m7@example.org>", "mail-7"])
def test_a_mail_is_found_by_its_message_id_or_number(ledger: Ledger, name: str) -> None:
    assert [each.id for each in lookups.mail(reader(ledger), name)] == [7]


def test_what_a_person_must_act_on(ledger: Ledger) -> None:
    at = reader(ledger)
    found = lookups.mails(at, lookups.needing_attention(at))
    assert [each.outcome for each in found.items] == ["failed"]


def test_who_may_not_read_everything_sees_and_finds_by_shortened_addresses(ledger: Ledger) -> None:
    anybody = reader(ledger, sees_all=False)
    wanted = Filter(requesters=("who7@",))
    assert lookups.requests(reader(ledger), wanted).total == 1
    assert lookups.requests(anybody, wanted).total == 0
    assert lookups.mails(anybody, wanted).total == 0
    assert lookups.mails(anybody, Filter(texts=("eve@",))).total == 0
    shown = lookups.requests(anybody, Filter(requesters=("W…@example",)), per_page=1)
    assert (shown.total, shown.items[0].requester) == (REQUESTS, "Robin <w…@example.org>")
    one = lookups.request(anybody, "7")
    assert one and one.requester == "Robin <w…@example.org>"
    assert lookups.mail(anybody, "m7@example.org")[0].requests[0].requester == one.requester
    # A Message-ID is not an address.
    assert lookups.requests(anybody, Filter(texts=("m7@example.org",))).total == 1


def test_a_notice_is_for_who_may_read_everything(tmp_path: Path) -> None:
    with closing(open_ledger(f"sqlite:{tmp_path}/ledger.sqlite")) as ledger:
        token = "confirm 0123456789abcdef"
        ledger.accept(arrival("n@example.org", outcome=Outcome.NOTICE, subject=token, reason=token))
        for sees_all, number in ((True, 1), (False, 0)):
            at = reader(ledger, sees_all=sees_all)
            assert lookups.mails(at, Filter()).total == number
            assert lookups.mails(at, Filter(texts=("0123",))).total == number
            assert lookups.mails(at, Filter(states=(Outcome.NOTICE,))).total == number
            assert len(lookups.mail(at, "n@example.org")) == number
            assert len(lookups.mail(at, "mail-1")) == number
