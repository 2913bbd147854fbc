# SPDX-License-Identifier: BSD-3-Clause
"""What a reader sees who may not read everything."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ingest import look
from ingest.config.sink_tables import WebhookSettings
from ingest.config.tables import RetestsSettings, Settings
from ingest.ledger import Cursor, Envelope, Event, Filing, Outcome, Result, State, open_ledger
from ingest.mail.requester import Requester
from ingest.story.overview import jsonable
from ingest.web.redaction import redacted
from tests.support.ledger_values import NOON, arrival, claimed, request

SECRET = "someone.secret@example.org"


def test_of_everything_in_a_story_no_address_and_nothing_of_the_transport_is_left(
    quick_path: Path,
) -> None:
    ledger = open_ledger(f"sqlite:{quick_path}/ledger.sqlite")
    ledger.accept(
        arrival(
            "a@example.org",
            envelope=Envelope(SECRET, (SECRET,), "203.0.113.7"),
            author=f"Robin <{SECRET}>",
            subject=f"Re: for {SECRET}",
        )
    )
    mail = claimed(ledger)
    asked = request(
        mail,
        contexts=("iol-a",),
        arguments={"sender": "x", "id": "y"},
        leftovers=(f"not {SECRET}",),
        requester=Requester("Robin", SECRET),
        subject=f"Re: for {SECRET}",
    )
    steps = [Event(NOON, "done", {"reason": f"{SECRET} asked", "deep": {"who": [SECRET]}})]
    [asked] = ledger.finish(mail, Outcome.DONE, f"{SECRET} asked", steps, [asked])
    [result] = ledger.results.of([asked.number])
    ledger.results.tell(
        replace(result, state=State.FAIL, author=SECRET, summary=SECRET, url="https://x.org/a@b")
    )
    ledger.file(mail.id, Filing("patch", 1, 2, "p@example.org"), NOON)
    [story] = look.stories(ledger, ledger.find("a@example.org"), Settings(), NOON)
    ledger.close()
    shown = redacted(story)
    text = json.dumps(jsonable(shown), ensure_ascii=False)
    assert SECRET in json.dumps(jsonable(story)) and "203.0.113.7" in json.dumps(jsonable(story))
    assert "secret" not in text and "203.0.113.7" not in text
    assert shown.envelope is None
    assert shown.author == "Robin <s…@example.org>"
    # Names and links are whole.
    assert (shown.message_id, shown.name) == ("a@example.org", "<a@example.org>")
    assert shown.filing == story.filing
    assert shown.requests[0].arguments == {"sender": "x", "id": "y"}
    assert shown.requests[0].results[0].url == "https://x.org/a@b"
    assert shown.requests[0].links == story.requests[0].links


def test_of_receivers_no_name_path_or_answer_is_left(quick_path: Path) -> None:
    file, said = f"json_file:{quick_path}/re tests.json", "webhook:inner at https://ci.internal: no"
    settings = Settings(
        retests=RetestsSettings(file=f"{quick_path}/re tests.json"),
        webhook={"inner": WebhookSettings(url="https://ci.internal/")},
    )
    with closing(open_ledger(f"sqlite:{quick_path}/ledger.sqlite")) as ledger:
        ledger.accept(arrival("a@example.org", source=f"replay {quick_path}/a b.mbox:7"))
        mail = claimed(ledger)
        done = [Event(NOON, "done", {})]
        [asked] = ledger.finish(
            mail, Outcome.DONE, "", done, [request(mail, contexts=("iol-a", "iol-b"))]
        )
        ledger.results.handed_over([asked], file, NOON)
        late = Result(asked.number, "iol-b", State.OVERDUE, NOON, "webhook:inner")
        ledger.results.tell(late)
        ledger.set_cursor(Cursor(file, 1, NOON))
        ledger.set_cursor(Cursor("webhook:inner", 0, NOON, tries=2, reason=said))
        steps = [
            Event(NOON, "set aside", {"by": "webhook:inner", "reason": said, "until": NOON}),
            Event(NOON, "handed over", {"to": "webhook:inner", "answer": said}),
            Event(NOON, "sink fails", {"sink": "webhook:inner", "reason": said}),
        ]
        ledger.tell(1, steps)
        [story] = look.stories(ledger, ledger.find("mail-1"), settings, NOON)
    shown = redacted(story)
    text = json.dumps(jsonable(shown))
    assert not [each for each in (str(quick_path), "re tests", "inner", ".mbox") if each in text]
    assert shown.source == "replay"
    assert [(each.what, each.text) for each in shown.story if each.what != "done"] == [
        ("accepted", "source replay"),
        ("result", "iol-b overdue, by a webhook of the lab"),
        ("set aside", "a webhook of the lab"),
        ("handed over", "a webhook of the lab"),
        ("sink fails", "a webhook of the lab"),
    ]
    receivers = ["the retest JSON", "a webhook of the lab"]
    assert [each.by for each in shown.requests[0].results] == receivers
    assert [(each.text, each.trouble) for each in shown.requests[0].deliveries] == [
        ("published: the retest JSON", None),
        ("waiting: a webhook of the lab", "it needs a person"),
    ]
