# SPDX-License-Identifier: BSD-3-Clause
"""A stand-in that gives Patchwork's recorded answers, byte for byte."""

import json
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from ingest.errors import NotFound, Unavailable
from ingest.patchwork.dialect import Lookup, Target
from ingest.sandbox import CI, DPDK, Sandbox
from ingest.sources import mbox
from tests.support.bad_server import Answer, Hell, Seen, http, says
from tests.support.mails import reply
from tests.support.places import RECORDED
from tests.support.questions import Connect, resolve


def recorded(name: str) -> tuple[str, Answer]:
    """A recorded answer: the path and query it was given for, and its bytes."""
    content = json.loads((RECORDED / name).read_text())
    body = content["body"]
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = [f"{name}: {value}" for name, value in content["headers"].items()]
    told = [line for line in headers if not line.startswith("Content-Type:")]
    kind = content["headers"]["Content-Type"]
    return content["request"]["path"], says(http(content["status"], data, *told, kind=kind))


def question(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A path and those of its parameters that choose among the recorded answers."""
    query = parse_qs(urlsplit(target).query, keep_blank_values=True)
    chosen = [(key, query[key][-1]) for key in ("category", "msgid", "project") if key in query]
    return urlsplit(target).path, tuple(chosen)


@pytest.fixture
def replayed(hell: Hell) -> Hell:
    """Patchwork as it was recorded; what it was not asked then, it knows nothing of."""
    known = dict(
        recorded(path.name) for path in RECORDED.glob("*.json") if "check" not in path.name
    )
    answers = {question(target): answer for target, answer in known.items()}
    nothing = recorded("patch-by-unknown-msgid.json")[1]
    _, bad_version = recorded("unknown-api-version.json")

    def route(seen: Seen) -> Answer | None:
        if seen.path == "/api/1.3/":
            return None
        if seen.path.startswith("/api/9.9/"):
            return bad_version
        # The projects were there, though the filter by them was not recorded for all.
        path, chosen = question(seen.target)
        if path.startswith("/api/1.1/"):  # which ignores the filter by Message-ID
            return next((each for (of, _), each in answers.items() if of == path), nothing)
        wider = (path, tuple(each for each in chosen if each[0] != "project"))
        return answers.get((path, chosen)) or answers.get(wider) or nothing

    hell.route(route)
    return hell


def test_the_real_patch_is_found_in_its_project(replayed: Hell, connect: Connect) -> None:
    patch_reply = next(iter(mbox.Reader(str(RECORDED / "replies.mbox")))).raw
    assert resolve(connect(replayed.url), patch_reply) == Target(29430, "patch", 131182, "ci")
    message_id = "20230905222317.25821-4-jspewock@iol.unh.edu"
    assert [seen.target for seen in replayed.seen] == [
        "/api/projects/?per_page=100",
        f"/api/patches/?msgid={quote(message_id, safe='')}&project=ci",
    ]


def test_the_real_cover_letter_is_found(replayed: Hell, connect: Connect) -> None:
    _, cover_reply, _ = mbox.Reader(str(RECORDED / "replies.mbox"))
    found = resolve(connect(replayed.url), cover_reply.raw)
    assert found == Target(29431, "cover", 442, "dpdk")
    assert [seen.path for seen in replayed.seen] == ["/api/projects/", "/api/covers/"]


def test_a_comment_that_was_recorded_is_found_by_its_event(
    replayed: Hell, connect: Connect
) -> None:
    raw = reply("comment@example.org", "recheck-1@example.org", list_id="ci.dpdk.org")
    assert resolve(connect(replayed.url), raw) == Target(29430, "patch", 131182, "ci")
    assert replayed.seen[-1].path == "/api/patches/131182/"


def test_a_mail_to_the_other_project_does_not_find_the_real_patch(
    replayed: Hell, connect: Connect
) -> None:
    # The recorded answer to the question without a project stands in for a server that ignores it.
    raw = reply("20230905222317.25821-4-jspewock@iol.unh.edu", list_id="dev.dpdk.org")
    with pytest.raises(NotFound):
        resolve(connect(replayed.url), raw)


def test_the_recorded_answer_of_an_old_api_leads_to_nothing(
    replayed: Hell, connect: Connect
) -> None:
    trail: list[Lookup] = []
    with pytest.raises(NotFound):
        resolve(connect(f"{replayed.url}/api/1.1"), reply("unknown@example.org"), trail)
    assert "this API finds no Message-ID" in trail[0].answer


def test_the_recorded_answer_of_an_unknown_api_is_refused(replayed: Hell, connect: Connect) -> None:
    with pytest.raises(Unavailable):
        resolve(connect(f"{replayed.url}/api/9.9"), reply("unknown@example.org"))


def test_sandbox_and_recording_lead_to_the_same_targets(replayed: Hell, connect: Connect) -> None:
    archives = [str(RECORDED / name) for name in ("patch.mbox", "series.mbox")]
    with Sandbox(*archives) as box:
        for item in list(mbox.Reader(str(RECORDED / "replies.mbox")))[:2]:
            of_box = resolve(connect(box.url), item.raw)
            assert resolve(connect(replayed.url), item.raw) == of_box
        assert {CI.link_name, DPDK.link_name} == {
            each.link_name for each in connect(replayed.url).projects()
        }
