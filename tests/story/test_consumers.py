# SPDX-License-Identifier: BSD-3-Clause
"""What is told of a request and who takes requests on demand."""

import pytest

from ingest.ledger import Batch, Consumer, Event
from ingest.story.consumers import consumers, delivery
from tests.support.ledger_values import NOON

HELD = Batch("lab", 2, 4)


def taken(by: str, request: int) -> Event:
    return Event(NOON, "taken", {"by": by, "request": request})


@pytest.mark.parametrize(
    ("consumer", "number", "story", "state", "text"),
    [
        (Consumer("lab", 4), 5, [], "waiting", "not yet taken by lab"),
        (Consumer("lab", 4), 4, [], "held", "held by lab in batch lab:3-4"),
        (Consumer("lab", 4), 2, [taken("lab", 2)], "taken", "taken by lab"),
        (Consumer("lab", 4), 2, [taken("arm", 2), taken("lab", 1)], "passed over",
         "passed over by lab, which asked for other labels"),
        (Consumer("lab", 4, told=2), 2, [], "taken",
         "taken or passed over by lab: the older release did not note which"),
        (Consumer("default", 4), 2, [], "taken", "taken by default"),
    ],
    ids=["waiting", "held", "taken", "passed over", "before it was noted", "the retest JSON's"],
)  # fmt: skip
def test_a_request_was_taken_or_passed_over(
    consumer: Consumer, number: int, story: list[Event], state: str, text: str
) -> None:
    [found] = consumers([consumer], [HELD])
    told = delivery(found, number, story)
    assert (told.to, told.state, told.text) == (consumer.name, state, text)
