# SPDX-License-Identifier: BSD-3-Clause
"""What Patchwork is asked for, in which order, and what counts as an answer to that."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.config.tables import PatchworkSettings
from ingest.errors import NotFound, NotYet, Temporary, Unavailable
from ingest.patchwork.dialect import Lookup
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox
from tests.support.bad_server import MOST, Hell, Seen, patch_row, rows, text
from tests.support.clock import Clock
from tests.support.examples import examples
from tests.support.faults import OURS
from tests.support.mails import cover, letter, patch, reply
from tests.support.questions import DEV, Connect, Forgetful, paths, resolve

# What is asked for.

ODD_IDS = (
    "a+b@example.org",
    "a/b@example.org",
    "../../patches/1@example.org",
    "100%@example.org",
    "%41@example.org",
    "a&project=ci@example.org",
    "a#b@example.org",
    "a?b=c@example.org",
    "a;b=c@example.org",
    "a=b,c@example.org",
    "two words@example.org",
    '"quoted"@example.org',
    "a@[127.0.0.1]",
    "a'b\\c@example.org",
    "~tilde.-_@example.org",
    "*@example.org",
    "no-domain",
    "a" * 241 + "@example.org",
)


@pytest.mark.parametrize("message_id", ODD_IDS, ids=lambda each: each[:30])
def test_an_odd_id_finds_its_own_patch(message_id: str, box: Sandbox, connect: Connect) -> None:
    box.file(patch("decoy@example.org"))
    box.file(patch(message_id))
    found = resolve(connect(box.url), reply(message_id, list_id=DEV))
    assert found.series == 29431


@given(
    message_id=st.text(
        st.characters(
            codec="utf-8",
            max_codepoint=0xFFFF,
            exclude_characters="<>",
            exclude_categories=["C", "Z"],
        ),
        min_size=1,
        max_size=60,
    )
)
@examples(40)
def test_any_id_reaches_patchwork_as_it_is(message_id: str) -> None:
    with Hell() as hell:
        hell.will(rows(patch_row(message_id)))
        patchwork = Patchwork(PatchworkSettings(hell.url), Forgetful())
        found = resolve(patchwork, reply(message_id))
        patchwork.close()
    assert found.series == 29430
    assert [seen.query for seen in hell.seen] == [{"msgid": [message_id]}]


@pytest.mark.parametrize("impossible", ["x" * 254, "a\x01b@example.org", "\U0001f600@example.org"])
def test_an_id_that_patchwork_cannot_have_is_not_asked_for(
    impossible: str, hell: Hell, connect: Connect
) -> None:
    hell.will(rows())
    trail: list[Lookup] = []
    raw = reply(impossible, references=["a@example.org", impossible])
    with pytest.raises(NotFound):
        resolve(connect(hell.url), raw, trail)
    assert asked(hell.seen) == [("patches", "a@example.org"), ("covers", "a@example.org")]
    assert trail[0] == Lookup(impossible[:60], "an id that Patchwork cannot have")


def asked(seen: list[Seen]) -> list[tuple[str, str]]:
    """The questions by Message-ID in order: the endpoint and the id."""
    return [
        (each.path.split("/")[2], each.query["msgid"][0]) for each in seen if "msgid" in each.query
    ]


def test_candidates_are_asked_for_from_the_nearest_to_the_farthest(
    hell: Hell, connect: Connect
) -> None:
    hell.will(rows())
    raw = reply("3@x", references=["0@x", "1@x", "2@x", "3@x"])
    with pytest.raises(NotFound):
        resolve(connect(hell.url), raw)
    assert asked(hell.seen) == [
        (kind, f"{number}@x") for number in (3, 2, 1, 0) for kind in ("patches", "covers")
    ]


def test_cover_letters_are_asked_for_first_when_the_subject_says_so(
    hell: Hell, connect: Connect
) -> None:
    hell.will(rows())
    raw = reply("1@x", subject="Re: [PATCH v3 0/7] a", references=["0@x"])
    with pytest.raises(NotFound):
        resolve(connect(hell.url), raw)
    assert asked(hell.seen) == [
        (kind, f"{number}@x") for number in (1, 0) for kind in ("covers", "patches")
    ]


def test_the_nearest_candidate_that_is_known_counts(
    box: Sandbox, connect: Connect, clock: Clock
) -> None:
    box.file(cover("cover@example.org", "[PATCH 0/2] a"))
    box.file(patch("1@example.org", "[PATCH 1/2] a", in_reply_to="cover@example.org"))
    box.file(patch("2@example.org", "[PATCH 2/2] a", in_reply_to="cover@example.org"))
    raw = reply(
        "unknown@example.org",
        references=["cover@example.org", "2@example.org", "unknown@example.org"],
    )
    patchwork = connect(box.url)
    for wait in (10, 20, 30, 60):
        with pytest.raises(NotYet) as error:
            resolve(patchwork, raw)
        assert error.value.pause == wait
        clock += wait
    assert resolve(patchwork, raw).id == 131183


def test_a_mail_that_names_thousands_asks_for_the_nearest_and_the_first_of_them(
    hell: Hell, connect: Connect
) -> None:
    hell.will(rows())
    trail: list[Lookup] = []
    raw = reply("4999@x", references=[f"{number}@x" for number in range(5000)])
    patchwork = connect(hell.url)
    for _ in range(2):  # 40 questions each
        with pytest.raises(NotYet):
            resolve(patchwork, raw, trail)
    with pytest.raises(NotFound):
        resolve(patchwork, raw, trail)
    wanted = [*range(4999, 4969, -1), *range(9, -1, -1)]
    assert asked(hell.seen)[::2] == [("patches", f"{number}@x") for number in wanted]
    assert trail[0] == Lookup("4960 of 5000 references", "too many, not asked for")


@pytest.mark.parametrize(
    "field",
    [
        "In-Reply-To: <a@example.org>",
        'In-Reply-To: Your message of "Wed, 6 Sep" <a@example.org>',
        "In-Reply-To: <a@example.org> (Alex Author's message)",
        "In-Reply-To: a@example.org",
        "in-reply-to:<a@example.org>",
        "In-Reply-To: < a@example.org >",
        "In-Reply-To: <a@example.org>\nIn-Reply-To: <x@x>",
        "References: <x@x>\n\t<a@example.org>",
        "References: <x@x><a@example.org>",
    ],
)
def test_angle_brackets_are_never_sent(field: str, box: Sandbox, connect: Connect) -> None:
    box.file(patch("a@example.org"))
    raw = f"{field}\n".encode() + letter("r@example.org", "Re: a", "Recheck-request: a\n")
    assert resolve(connect(box.url), raw).series == 29430
    assert not any("%3C" in each.path or "<" in each.path for each in box.requests)


# A server that filters nothing.


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_old_api_never_leads_to_a_wrong_series(
    version: str, box: Sandbox, connect: Connect
) -> None:
    for number in range(5):
        box.file(patch(f"{number}@example.org"))
    patchwork = connect(f"{box.url}/api/{version}/")
    trail: list[Lookup] = []
    with pytest.raises(NotFound):
        resolve(patchwork, reply("unknown@example.org", list_id=DEV), trail)
    assert "this API finds no Message-ID" in trail[0].answer
    series = []
    for number in range(5):
        try:
            found = resolve(patchwork, reply(f"{number}@example.org", list_id=DEV))
        except NotFound:
            continue  # API 1.0 does not tell a patch's Message-ID: nothing can be verified
        series.append((number, found.series))
    assert all(found == 29430 + number for number, found in series)


def test_a_newer_api_in_the_url_is_asked_at_its_own_address(box: Sandbox, connect: Connect) -> None:
    box.file(patch("a@example.org"))
    assert resolve(connect(f"{box.url}/api/1.2/"), reply("a@example.org")).series == 29430
    assert paths(box) == ["/api/1.2/patches/"]


def test_an_api_that_is_not_there_is_refused(box: Sandbox, connect: Connect) -> None:
    with pytest.raises(Unavailable, match="check \\[patchwork\\] url"):
        resolve(connect(f"{box.url}/api/9.9"), reply("a@example.org"))


# Any answer at all.


_WORDS = st.sampled_from(
    ["id", "msgid", "series", "project", "link_name", "list_id", "payload", "patch", "comment"]
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([f"<{OURS}>", "ci", "ci.dpdk.org", 131182, 29430, "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)
_ROWS = st.builds(
    lambda row, changes: {**row, **changes},
    st.just(patch_row(OURS)),
    st.dictionaries(_WORDS, _VALUES, max_size=3),
)


@given(
    projects=_VALUES | st.lists(st.dictionaries(_WORDS, _VALUES, max_size=4), max_size=2),
    found=_VALUES | st.lists(_ROWS, max_size=3),
    list_id=st.sampled_from(["", "ci.dpdk.org"]),
)
@settings(
    examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_answer_gives_a_target_that_it_holds_or_a_temporary_error(
    projects: Any, found: Any, list_id: str, hell: Hell
) -> None:
    hell.route(lambda seen: text(json.dumps(projects if seen.path == "/api/projects/" else found)))
    patchwork = Patchwork(PatchworkSettings(hell.url, max_answer=MOST), Forgetful())
    try:
        target = resolve(patchwork, reply(OURS, list_id=list_id))
    except Temporary:
        return
    finally:
        patchwork.close()
    assert (target.series, target.id) in [
        (row["series"][0].get("id"), row.get("id"))
        for row in found
        if row.get("msgid") == f"<{OURS}>"
        and isinstance(row.get("series"), list)
        and isinstance(next(iter(row["series"]), None), dict)
    ]
    assert target.project.isprintable()
