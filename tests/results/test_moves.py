# SPDX-License-Identifier: BSD-3-Clause
"""A Patchwork whose address changes is followed, another one in its place is not."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ingest.ledger import Ledger, Request
from ingest.patchwork import limits
from ingest.sandbox import Sandbox
from tests.support.mails import patch, reply
from tests.support.watching import COVER, FIRST, PATCH, Watching


def moves(watching: Watching, box: Sandbox) -> None:
    """The server is at another port from now on."""
    box.stop()
    box._port = 0
    box.start()
    watching.begins_anew()


@dataclass(frozen=True)
class About:
    """What a request says of what its mail replied to."""

    on: str
    series: int
    parent: str
    message_id: str = "unknown@example.org"


def of_patch(box: Sandbox) -> About:
    found = box.store.patches[PATCH]
    assert found.series
    return About(f"patch {PATCH}", found.series, found.letter.message_id.strip("<>"))


def of_cover(box: Sandbox) -> About:
    found = box.store.covers[COVER]
    assert found.series
    return About(f"cover {COVER}", found.series, found.letter.message_id.strip("<>"))


def of_comment(box: Sandbox) -> About:
    """Its mail replied to a reply, which no patch has as its Message-ID."""
    about = of_patch(box)
    list_id = box.store.patches[PATCH].project.list_id
    box.file(reply(about.parent, "known@example.org", list_id=list_id))
    return About(about.on, about.series, "a-reply@example.org", "known@example.org")


def asks(watching: Watching, about: About) -> Request:
    return watching.asks(
        *("iol-a", "iol-b"),
        on=about.on,
        series=about.series,
        parent=about.parent,
        message_id=about.message_id,
    )


@pytest.mark.parametrize(
    ("make", "patch"), [(of_patch, PATCH), (of_cover, FIRST), (of_comment, PATCH)]
)
def test_open_requests_are_followed_at_the_new_address_of_their_server(
    watching: Watching, box: Sandbox, make: Callable[[Sandbox], About], patch: int
) -> None:
    watching.posts("fail", patch=patch)
    request = asks(watching, make(box))
    watching.posts("success", "iol-b", patch)
    moves(watching, box)
    assert watching.looks() == 1
    assert watching.states(request) == {"iol-a": "asked", "iol-b": "success"}
    watching.posts("warning", patch=patch)
    assert watching.looks() == 1
    assert watching.states(request)["iol-a"] == "warning"
    assert limits.known(watching.ledger, watching.clock(), "") == ()


def test_another_server_s_checks_say_nothing_of_them_and_status_tells(
    watching: Watching, box: Sandbox, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even if it has a patch of that number and a series of that number."""
    request = asks(watching, of_patch(box))
    with Sandbox(tokens={"secret": ("lab", {"ci", "dpdk"})}) as another:
        another.file(patch("other@example.org", "[PATCH] net: mend"))
        watching.box = another
        watching.begins_anew()
        for _ in range(2):
            watching.posts("success")
            assert watching.looks() == 0
        assert watching.states(request) == {"iol-a": "asked", "iol-b": "asked"}
        assert caplog.text.count("1 open request for another Patchwork than the one at") == 1
        [told] = limits.known(ledger, watching.clock(), "")
        assert told.startswith("has nothing of 1 open request that another server was asked about")
        questions = len(another.requests)
        watching.watch.begin()
        assert len(another.requests) == questions  # it was asked once
        other = watching.asks("iol-a")
        watching.posts("fail")
        watching.looks()
        assert watching.states(other) == {"iol-a": "fail"}
        assert watching.states(request) == {"iol-a": "asked", "iol-b": "asked"}
    watching.box = box
    watching.begins_anew()
    watching.posts("success")
    assert watching.looks() == 1
    assert watching.states(request)["iol-a"] == "success"
