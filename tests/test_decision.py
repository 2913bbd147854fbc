# SPDX-License-Identifier: BSD-3-Clause
"""One decision, made once: what a dry run tells is what the worker records."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.commands import replay
from ingest.config import tables
from ingest.decision import judge, resolve
from ingest.ledger import Ledger, Outcome, Waiting
from ingest.patchwork.lookup import Patchwork
from tests.support.bad_server import MOST, Answer, Hell, Seen, failing, patch_row, rows
from tests.support.faults import OURS
from tests.support.lab import knows
from tests.support.mails import letter, patch, reply

SETTINGS = tables.Settings(requests=tables.RequestsSettings(contexts=("iol-*",)))

CLOSE = "this line is close, but not a request"

# What a mail's own bytes decide: its outcome and the beginning of the reason.
JUDGED: dict[str, tuple[bytes, Outcome, str]] = {
    "a request": (reply(OURS), Outcome.QUEUED, ""),
    "a patch": (patch(OURS), Outcome.IGNORED, "it is a patch itself"),
    "no request": (
        reply(OURS, body="Thanks.\n"),
        Outcome.IGNORED,
        "it has no Recheck-request line",
    ),
    "a quoted request": (
        reply(OURS, body="> Recheck-request: iol-a\n"),
        Outcome.IGNORED,
        f"it has no Recheck-request line; {CLOSE}: '> Recheck-request: iol-a' (it is quoted)",
    ),
    "a label that nobody wants": (
        reply(OURS, body="Recheck-request: other\n"),
        Outcome.IGNORED,
        "no wanted context among other",
    ),
    "a label that nobody wants, and what was not read": (
        reply(OURS, body="Recheck-request: other,  iol-a\n"),
        Outcome.IGNORED,
        "no wanted context among other (not read: iol-a)",
    ),
}


@pytest.mark.parametrize(("raw", "outcome", "reason"), JUDGED.values(), ids=JUDGED)
def test_what_the_mail_itself_decides(raw: bytes, outcome: Outcome, reason: str) -> None:
    made = judge(raw, False, SETTINGS)
    assert (made.outcome, made.reason, made.is_open) == (outcome, reason, outcome == "queued")


@pytest.mark.parametrize(
    ("grammar", "contexts"), [("get_reruns", ("iol-a",)), ("pw-ci", ("iol-a", "iol-b"))]
)
def test_the_configured_grammar_reads_the_line(grammar: str, contexts: tuple[str, ...]) -> None:
    settings = tables.Settings(requests=tables.RequestsSettings(grammar=grammar))
    made = judge(reply(OURS, body="Recheck-request: iol-a iol-b\n"), False, settings)
    assert made.wanted
    assert made.wanted.contexts == contexts
    near = judge(reply(OURS, body="Recheck-request:iol-a\n"), False, settings)
    assert (CLOSE in near.reason) is (grammar == "get_reruns")


def test_a_bounce_is_known_by_its_envelope() -> None:
    assert judge(reply(OURS), True, SETTINGS).reason == "it is a bounce or a delivery report"


def test_a_decision_that_needs_no_patchwork_asks_it_nothing(hell: Hell, ledger: Ledger) -> None:
    server = tables.PatchworkSettings(hell.url, max_answer=MOST)
    made = resolve(judge(patch(OURS), False, SETTINGS), 0.0, SETTINGS, Patchwork(server, ledger))
    assert (made.outcome, hell.seen) == (Outcome.IGNORED, [])


def test_what_was_not_read_is_in_the_reason(hell: Hell, ledger: Ledger) -> None:
    hell.route(knows())
    server = tables.PatchworkSettings(hell.url, max_answer=MOST)
    raw = reply(OURS, body="Recheck-request: iol-a,  iol-b\n")
    made = resolve(judge(raw, False, SETTINGS), 0.0, SETTINGS, Patchwork(server, ledger))
    assert made.reason == "series 29430: iol-a (not read: iol-b)"
    assert [(each.asked, each.answer) for each in made.trail] == [
        (f"patch <{OURS}>", "patch 131182, series 29430")
    ]


# A dry run and a replay of the same archive, with Patchwork in several states.


def refuses_one(seen: Seen) -> Answer:
    asked = seen.query.get("msgid", [""])[0]
    return failing(400) if asked == "refused@example.org" else rows(patch_row(asked))


PATCHWORKS: dict[str, Callable[[Seen], Answer | None]] = {
    "well": knows(),
    "not up to date": knows([OURS]),
    "down": lambda seen: failing(503),
    "refusing a question": refuses_one,
}


@pytest.mark.parametrize("route", PATCHWORKS.values(), ids=PATCHWORKS)
def test_a_dry_run_and_a_replay_tell_one_story(
    route: Callable[[Seen], Answer | None], hell: Hell, ledger: Ledger, quick_path: Path
) -> None:
    hell.route(route)
    mails = {
        "one": reply(OURS, "one@example.org"),
        "two": reply("refused@example.org", "two@example.org"),
        "three": reply("patch-3@example.org", "three@example.org", body="Recheck-request: x\n"),
        "four": letter("four@example.org", "Re: x", "Recheck-request: iol-a\n"),
        "five": reply(OURS, "five@example.org", body="Recheck-request: iol-a,  iol-b\n"),
        "six": patch("six@example.org").replace(b"Fix it", b"Recheck-request: iol-a"),
    }
    archive = quick_path / "archive"
    archive.mkdir()
    for number, raw in enumerate(mails.values()):
        (archive / f"{number}.eml").write_bytes(raw)
    settings = tables.Settings(
        requests=SETTINGS.requests,
        patchwork=tables.PatchworkSettings(hell.url, max_answer=MOST),
        retests=tables.RetestsSettings(file=str(quick_path / "retests.json")),
    )
    shown: list[replay.Rehearsal] = []
    dry = replay.rehearse([str(archive)], settings, offline=False, show=shown.append)
    real = replay.replay([str(archive)], settings, ledger)
    records = [record for name in mails for record in ledger.find(f"{name}@example.org")]
    assert len(records) == len(mails)
    done = real.reasons.pop("done", {})
    assert dry.recorded == real.recorded == sum(done.values())
    assert dry.reasons == real.reasons
    assert dry.down == ("down" in [each.decision.waiting for each in shown])
    for each in shown:
        [record] = ledger.find(each.message_id)
        assert (record.outcome, record.reason) == (each.decision.outcome, each.decision.reason)


def test_offline_every_wanted_request_is_told_and_none_is_asked_about(
    hell: Hell, quick_path: Path
) -> None:
    archive = quick_path / "one.eml"
    archive.write_bytes(reply(OURS))
    server = tables.PatchworkSettings(hell.url)
    settings = tables.Settings(patchwork=server)
    shown: list[replay.Rehearsal] = []
    summary = replay.rehearse([str(archive)], settings, offline=True, show=shown.append)
    assert (summary.recorded, summary.reasons, hell.seen) == (1, {}, [])
    assert [each.decision.waiting for each in shown] == [Waiting.NOTHING]
