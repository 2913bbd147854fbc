# SPDX-License-Identifier: BSD-3-Clause
"""/api/events: what happens is told to all who listen, once, and nothing of it is missed."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.ledger import Event, Ledger, Outcome
from tests.support.api_site import ApiSite
from tests.support.http_site import LISTEN
from tests.support.ledger_values import NOON, arrival, claimed, finish, record
from tests.support.listening import Listener
from tests.support.service import eventually

QUICK = f"{LISTEN}events_interval = 0.02\n"
LISTENERS = int(os.environ.get("RECHECK_TEST_LISTENERS", "100"))


@pytest.fixture
def site(quick_path: Path) -> Iterator[ApiSite]:
    with ApiSite(quick_path, toml=QUICK) as site:
        yield site


def listen(site: ApiSite, last: str = "", token: str = "all") -> Listener:
    listener = Listener(site.port, last, token)
    assert (listener.status, listener.head["content-type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )
    return listener


def status(site: ApiSite, token: str) -> int:
    with Listener(site.port, token=token) as listener:
        return listener.status


def ask(ledger: Ledger, name: str) -> None:
    record(ledger, name, time.time())


def test_a_request_is_told_with_the_steps_of_its_mail(site: ApiSite) -> None:
    with listen(site).begin() as listener, site.ledger() as ledger:
        ask(ledger, "a@example.org")
        accepted, done = listener.hear("mail", "mail")
        assert (accepted.data["mail"], accepted.data["what"]) == ("mail-1", "accepted")
        assert (done.data["message_id"], done.data["what"]) == ("a@example.org", "done")


def test_what_was_asked_for_by_hand_is_told_as_the_api_shows_it(site: ApiSite) -> None:
    with site.ledger() as ledger:
        record(ledger, "a@example.org", series=7)
    with listen(site).begin() as listener:
        made = site.call("POST", "/api/requests", {"series": 7, "labels": ["iol-x"]}).json
        _, request, step = listener.hear("mail", "request", "mail")
        assert request.data == made
        assert (step.data["what"], step.data["mail"]) == ("recorded", "mail-2")


def test_results_and_remarks_are_told(site: ApiSite) -> None:
    with site.ledger() as ledger:
        ask(ledger, "a@example.org")
        with listen(site).begin() as listener:
            told = {"label": "iol-a", "state": "fail", "summary": "1 of 2"}
            site.call("POST", "/api/requests/1/results", told)
            site.call("POST", "/api/requests/1/notes", {"text": "hm"})
            result, note = listener.hear("result", "mail")
            assert result.data["details"]["state"] == "fail"
            assert (result.data["mail"], note.data["text"]) == ("mail-1", "all (token): hm")
            ledger.happenings.tell(Event(NOON, "paused", {"sink": "webhook:lab"}))
            assert listener.hear("service")[0].data["what"] == "paused"


def test_who_comes_back_is_told_what_happened_meanwhile_once(site: ApiSite) -> None:
    with listen(site).begin() as listener, site.ledger() as ledger:
        ask(ledger, "a@example.org")
        first, _ = listener.hear("mail", "mail")
    with site.ledger() as ledger:
        ask(ledger, "b@example.org")
    with listen(site, first.id) as again:
        heard = [each.data["message_id"] for each in again.hear("mail", "mail", "mail")]
        assert heard == ["a@example.org", "b@example.org", "b@example.org"]
        with site.ledger() as ledger:
            ask(ledger, "c@example.org")
        assert again.hear("mail")[0].data["message_id"] == "c@example.org"


@pytest.mark.parametrize("last", ["nothing-1", "999", "x", "-5", "abc-99999999999"])
def test_who_comes_from_elsewhere_must_look_anew(site: ApiSite, last: str) -> None:
    with listen(site, last) as listener, site.ledger() as ledger:
        assert listener.hear("reset")[0].data == {}
        ask(ledger, "a@example.org")
        assert listener.hear("mail")[0].data["message_id"] == "a@example.org"


def test_who_was_away_for_too_long_must_look_anew(quick_path: Path) -> None:
    with ApiSite(quick_path, lambda ledger: ask(ledger, "a@example.org"), QUICK) as site:
        with listen(site).begin() as listener:
            generation = listener.last.partition("-")[0]
        with site.ledger() as ledger:
            ledger.happenings.tell(Event(NOON, "a", {}))
            numbers = [each.number for each in ledger.happenings.after(0)]
            with ledger._db.writing():
                ledger._db.run("DELETE FROM event WHERE number < ?", numbers[-1])
        with listen(site, f"{generation}-1") as listener:
            listener.hear("reset")
        with listen(site, f"{generation}-{numbers[-1] - 1}") as listener:
            listener.hear("service")


def test_questions_to_patchwork_are_not_told(site: ApiSite) -> None:
    with listen(site).begin() as listener, site.ledger() as ledger:
        ledger.accept(arrival("a@example.org"))
        steps = [Event(NOON, "asked", {"question": "q"}), Event(NOON, "failed", {"reason": "r"})]
        ledger.finish(claimed(ledger), Outcome.FAILED, "r", steps)
        assert [each.data["what"] for each in listener.hear("mail", "mail")] == [
            "accepted",
            "failed",
        ]


def test_without_the_right_to_read_addresses_are_short(quick_path: Path) -> None:
    with ApiSite(quick_path, toml=f'{QUICK}read = "open"\n') as site:
        by_all, by_anybody = listen(site).begin(), listen(site, token="").begin()
        with by_all, by_anybody, site.ledger() as ledger:
            ledger.accept(arrival("a@example.org"))
            ledger.tell(1, [Event(NOON, "note", {"by": "eve@example.org", "text": "x"})])
            assert by_all.hear("mail", "mail")[1].data["text"] == "eve@example.org: x"
            assert by_anybody.hear("mail", "mail")[1].data["text"] == "e…@example.org: x"


def test_notices_are_told_to_who_may_read_everything(quick_path: Path) -> None:
    with ApiSite(quick_path, toml=f'{QUICK}read = "open"\n') as site:
        by_all, by_anybody = listen(site).begin(), listen(site, token="").begin()
        with by_all, by_anybody, site.ledger() as ledger:
            ledger.accept(arrival("n@example.org", outcome=Outcome.NOTICE))
            ask(ledger, "a@example.org")
            heard = [each.data["message_id"] for each in by_all.hear("mail", "mail", "mail")]
            assert heard == ["n@example.org", "a@example.org", "a@example.org"]
            assert by_anybody.hear("mail")[0].data["message_id"] == "a@example.org"


def test_what_receivers_said_is_told_to_who_may_read_everything(quick_path: Path) -> None:
    with ApiSite(quick_path, toml=f'{QUICK}read = "open"\n') as site:
        by_all, by_anybody = listen(site).begin(), listen(site, token="").begin()
        with by_all, by_anybody, site.ledger() as ledger:
            told = {"sink": "webhook:inner", "reason": "https://ci.internal: no"}
            ledger.happenings.tell(Event(NOON, "sink fails", told))
            assert by_all.hear("service")[0].data["details"] == told
            shown = by_anybody.hear("service")[0].data
            assert (shown["text"], shown["details"]) == ("a webhook of the lab", {})


def test_who_may_not_read_may_not_listen(quick_path: Path) -> None:
    with ApiSite(quick_path, toml=f'{QUICK}read = "token"\n') as site:
        found = [status(site, token) for token in ("", "wrong", "ask", "read")]
        assert found == [401, 401, 403, 200]


def test_so_many_may_listen_and_no_more(quick_path: Path) -> None:
    with ApiSite(quick_path, toml=f"{QUICK}listeners = 2\n") as site:
        with listen(site).begin(), listen(site).begin():
            answer = site.call("GET", "/api/events")
            assert (answer.status, answer.fields["retry-after"]) == (503, "30")
        eventually(lambda: status(site, "all") == 200)


def test_a_stop_ends_every_stream(quick_path: Path) -> None:
    with ApiSite(quick_path, toml=QUICK) as site, listen(site).begin() as listener:
        site.stop()
        assert list(listener.events()) == []


def test_a_reload_ends_no_stream(site: ApiSite) -> None:
    with listen(site).begin() as listener:
        site.configure(site._toml)
        with site.ledger() as ledger:
            ask(ledger, "a@example.org")
        listener.hear("mail", "mail")


@pytest.mark.slow
def test_who_does_not_read_is_hung_up_on_and_holds_up_nobody(site: ApiSite) -> None:
    rounds, each_round = 5, 800
    with listen(site).begin() as slow, listen(site).begin() as other, site.ledger() as ledger:
        for number in range(rounds):
            with ledger.batch():
                for _ in range(each_round):
                    ledger.happenings.tell(Event(NOON, "a", {"n": number, "text": "x" * 8000}))
            heard = other.hear(*["service"] * each_round)
            assert [each.data["details"]["n"] for each in heard] == [number] * each_round
        assert len(list(slow.events())) < rounds * each_round


def test_what_happens_in_between_is_not_missed(site: ApiSite) -> None:
    """Listeners come and go while things happen: each hears all that happens from where it was."""
    heard: list[int] = []
    with listen(site).begin() as listener:
        last = listener.last
    with site.ledger() as ledger:
        for number in range(40):
            ledger.happenings.tell(Event(NOON, "a", {"n": number}))
            if number % 3 == 0:
                with listen(site, last) as listener:
                    events = listener.events()
                    while len(heard) <= number - 1:
                        event = next(events)
                        heard.append(event.data["details"]["n"])
                        last = event.id
    with listen(site, last) as listener:
        events = listener.events()
        while len(heard) < 40:
            heard.append(next(events).data["details"]["n"])
    assert heard == list(range(40))


@pytest.mark.slow
def test_many_listen_and_all_hear_the_same(site: ApiSite) -> None:
    """1,000 with ``RECHECK_TEST_LISTENERS=1000``."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listen(site).begin()) for _ in range(LISTENERS)]
        with site.ledger() as ledger:
            for name in ("a", "b"):
                ask(ledger, f"{name}@example.org")
            finish_one(ledger)
        for each in listeners:
            heard = [event.data["message_id"] for event in each.hear(*["mail"] * 6)]
            assert heard == [f"{name}@example.org" for name in "aabbcc"]
        assert site.get("/healthz")[0] == 200


def finish_one(ledger: Ledger) -> None:
    ledger.accept(arrival("c@example.org"))
    finish(ledger, claimed(ledger, time.time()), Outcome.IGNORED)


def test_new_requests_come_under_a_promise_by_themselves(quick_path: Path) -> None:
    """So that /api/retests tells of them and writes nothing."""
    with ApiSite(quick_path, toml=QUICK) as site, site.ledger() as ledger:
        ask(ledger, "a@example.org")
        eventually(lambda: {*site.see("/api/retests")["retests"]} == {"29430"})
        assert not ledger.seal()
