# SPDX-License-Identifier: BSD-3-Clause
"""``contexts = "patchwork"``: a label is wanted when the patch has a check of that context."""

import json
import time
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.config import load as config
from ingest.config import tables
from ingest.errors import ConfigError
from ingest.ledger import Outcome
from ingest.patchwork import labels
from ingest.sandbox import Sandbox
from ingest.sandbox.models import User
from tests.support.bad_server import (
    TIMEOUT,
    Answer,
    Hell,
    Seen,
    failing,
    html,
    patch_row,
    rows,
    stalls,
    text,
)
from tests.support.clock import DAY, HOUR, MINUTE
from tests.support.faults import OURS, USELESS, Case
from tests.support.lab import Lab, MakeLab, knows
from tests.support.mails import cover, patch, reply
from tests.support.questions import paths

PATCHWORK = tables.RequestsSettings(contexts=("patchwork",))


@pytest.fixture
def box(box: Sandbox) -> Sandbox:
    """A patch, and a series of two with its cover letter."""
    box.file(patch(OURS))
    box.file(cover("cover@example.org", "[PATCH 0/2] b: fix it"))
    for number in (1, 2):
        subject = f"[PATCH {number}/2] b: fix it"
        box.file(patch(f"b-{number}@example.org", subject, in_reply_to="cover@example.org"))
    return box


@pytest.fixture
def lab(lab_at: MakeLab, box: Sandbox) -> Lab:
    return lab_at(box.url, requests=PATCHWORK)


def has(box: Sandbox, message_id: str, *contexts: str) -> None:
    """Labs have put checks on a patch."""
    (found,) = [p for p in box.store.patches.values() if p.letter.message_id == f"<{message_id}>"]
    user = User(1, "lab", "lab@example.org", frozenset())
    for context in contexts:
        box.store.add_check(found, user, "success", "", context, None)


def asks(*labels: str, arguments: str = "", to: str = OURS, id: str = "recheck") -> bytes:
    """A mail that asks for these labels."""
    items = ", ".join([*labels, *([arguments] if arguments else [])])
    return reply(to, f"{id}@example.org", body=f"Recheck-request: {items}\n")


def checks_asked_for(box: Sandbox) -> int:
    return sum(path.endswith("/checks/") for path in paths(box))


# What is wanted.


def test_labels_that_the_patch_has_checks_of_are_wanted(lab: Lab, box: Sandbox) -> None:
    has(box, OURS, "iol-a", "iol-b")
    lab.arrives(asks("iol-b", "iol-a"))
    lab.works()
    (request,) = lab.ledger.requests()
    assert (request.contexts, request.leftovers) == (("iol-b", "iol-a"), ())


def test_others_are_left_over_with_the_nearest_known_one(lab: Lab, box: Sandbox) -> None:
    has(box, OURS, "iol-unit-testing", "iol-broadcom")
    lab.arrives(asks("iol-broadcom", "iol-unit-tst", "github-robot", arguments="rebase=main"))
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.contexts == ("iol-broadcom",)
    assert request.arguments == {"rebase": "main"}
    assert request.leftovers == ("iol-unit-tst (did you mean iol-unit-testing?)", "github-robot")


def test_a_mail_of_which_nothing_is_left_is_ignored_and_says_what_there_is(
    lab: Lab, box: Sandbox
) -> None:
    has(box, OURS, "iol-unit-testing", "iol-broadcom")
    lab.arrives(asks("iol-unit-tst"))
    lab.works()
    record = lab.record()
    assert record.outcome is Outcome.IGNORED
    assert record.reason == (
        "no wanted context among iol-unit-tst (did you mean iol-unit-testing?)"
    )
    patch_id = min(box.store.patches)
    assert {
        "question": f"contexts of the checks of patch {patch_id}",
        "answer": "iol-broadcom, iol-unit-testing",
    } in [event.details for event in record.story]


def test_a_patch_without_checks_has_no_labels(lab: Lab) -> None:
    lab.arrives(asks("iol-a"))
    lab.works()
    assert lab.record().reason == "no wanted context among iol-a"
    assert "none" in [event.details.get("answer") for event in lab.record().story]


def test_known_arguments_count_without_a_label_that_is_known(lab: Lab) -> None:
    lab.arrives(asks("iol-a", arguments="rebase=main"))
    lab.works()
    (request,) = lab.ledger.requests()
    assert (request.contexts, request.leftovers) == ((), ("iol-a",))


def test_unknown_arguments_do_not(lab: Lab) -> None:
    lab.arrives(asks("iol-a", arguments="colour=red"))
    lab.works()
    assert lab.record().reason == "no wanted context among iol-a and unknown argument colour"


def test_without_labels_nothing_is_asked(lab: Lab, box: Sandbox) -> None:
    lab.arrives(asks(arguments="rebase=main"))
    lab.works()
    assert lab.outcome() is Outcome.DONE
    assert checks_asked_for(box) == 0


def test_with_patterns_nothing_is_asked(lab_at: MakeLab, box: Sandbox) -> None:
    lab = lab_at(box.url, requests=tables.RequestsSettings(contexts=("iol-*",)))
    lab.arrives(asks("iol-a"))
    lab.works()
    assert lab.outcome() is Outcome.DONE
    assert checks_asked_for(box) == 0


def test_for_a_cover_letter_the_checks_of_its_patches_count(lab: Lab, box: Sandbox) -> None:
    has(box, "b-1@example.org", "iol-first")
    has(box, "b-2@example.org", "iol-last")
    lab.arrives(asks("iol-first", "iol-last", "iol-other", to="cover@example.org"))
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.contexts == ("iol-first", "iol-last")
    assert request.leftovers == ("iol-other",)


def test_its_patches_are_asked_from_the_last_on_until_all_labels_are_known(
    lab: Lab, box: Sandbox
) -> None:
    has(box, "b-2@example.org", "iol-a")
    lab.arrives(asks("iol-a", to="cover@example.org"))
    lab.works()
    last = max(box.store.patches)
    assert paths(box)[-2:] == [
        f"/api/series/{max(box.store.series)}/",
        f"/api/patches/{last}/checks/",
    ]


def test_all_pages_of_checks_are_read(lab: Lab, box: Sandbox) -> None:
    has(box, OURS, *(f"iol-{number}" for number in range(250)))
    lab.arrives(asks("iol-0", "iol-249"))
    lab.works()
    assert lab.ledger.requests()[0].contexts == ("iol-0", "iol-249")


# What is remembered.


def test_a_known_label_is_asked_for_once_a_day(lab: Lab, box: Sandbox) -> None:
    has(box, OURS, "iol-a", "iol-b")
    for hour in range(3):
        lab.arrives(asks("iol-a", id=f"r-{hour}"), asks("iol-b", id=f"s-{hour}"))
        lab.works()
        lab.clock += HOUR
    assert checks_asked_for(box) == 1
    lab.clock += DAY
    lab.arrives(asks("iol-a", id="later"))
    lab.works()
    assert checks_asked_for(box) == 2


def test_that_a_label_is_not_known_is_remembered_for_half_a_minute(lab: Lab, box: Sandbox) -> None:
    has(box, OURS, "iol-a")
    for second in range(0, 30, 10):
        lab.arrives(asks("iol-b", id=f"r-{second}"))
        lab.works()
        lab.clock += 10
    assert checks_asked_for(box) == 1
    has(box, OURS, "iol-b")
    lab.arrives(asks("iol-b", id="later"))
    lab.works()
    assert lab.outcome("later@example.org") is Outcome.DONE


# What may go wrong.


# The questions are asked as all are; a few of the answers show it.
SOME = (
    "500",
    "502 with HTML",
    "429 with Retry-After in seconds",
    "403 of a bot wall",
    "404 as JSON",
    "204",
    "null",
    "an object",
    "truncated JSON",
    "a list of junk",
    "a redirect to another host",
    "50 MB",
    "silence",
    "slow chunks",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [each for each in USELESS if each.name in SOME], ids=lambda case: str(case.name)
)
def test_after_a_useless_answer_the_mail_is_tried_again(
    case: Case, hell: Hell, lab_at: MakeLab
) -> None:
    hell.will(*case.answers)

    def route(seen: Seen) -> Answer | None:
        return knows()(seen) if seen.path == "/api/patches/" else None

    hell.route(route)
    timeout = TIMEOUT * 4 if case.waits else 10.0
    lab = lab_at(hell.url, timeout=timeout, requests=PATCHWORK)
    lab.arrives(asks("iol-a"))
    lab.works()
    assert lab.waiting() == {"down" if case.overload else "failing": 1}
    hell.route(
        lambda seen: (
            knows()(seen)
            if seen.path == "/api/patches/"
            else rows({"context": "iol-a", "state": "success"})
        )
    )
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


@pytest.mark.slow
def test_the_schedule_is_that_of_any_question(hell: Hell, lab_at: MakeLab) -> None:
    hell.will(html(502))
    hell.route(lambda seen: knows()(seen) if seen.path == "/api/patches/" else None)
    lab = lab_at(hell.url, requests=PATCHWORK)
    lab.arrives(asks("iol-a"))
    begun = lab.clock()
    lab.works()
    due = lab.ledger.next_due()
    assert due is not None
    assert due - begun == MINUTE
    lab.works_until(begun + 8 * DAY)
    assert lab.outcome() is Outcome.FAILED


def test_a_series_without_patches_is_asked_for_again_as_missing(
    hell: Hell, lab_at: MakeLab
) -> None:
    row = patch_row("cover@example.org", id=442)
    hell.route(
        lambda seen: (
            rows(row)
            if seen.path == "/api/covers/"
            else text('{"id": 29430, "patches": []}')
            if seen.path == "/api/series/29430/"
            else rows()
        )
    )
    lab = lab_at(hell.url, requests=PATCHWORK)
    lab.arrives(asks("iol-a", to="cover@example.org"))
    lab.works()
    assert lab.waiting() == {"missing": 1}
    assert "knows no patch of series 29430" in lab.record().reason


@pytest.mark.slow
def test_what_was_learnt_before_the_time_was_over_is_not_asked_again(
    hell: Hell, lab_at: MakeLab
) -> None:
    """A pipe has a few seconds, and a long series takes more."""
    many = [{"id": number} for number in range(1, 31)]
    slow: set[str] = set()

    def route(seen: Seen) -> Answer:
        if seen.path == "/api/covers/":
            return rows(patch_row("cover@example.org", id=442))
        if seen.path == "/api/series/29430/":
            return text(json.dumps({"id": 29430, "patches": many}))
        if seen.path in slow:
            return stalls()
        return rows({"context": "iol-a"}) if "/checks/" in seen.path else rows()

    slow.add("/api/patches/10/checks/")
    hell.route(route)
    hurried = lab_at(hell.url, until=time.monotonic() + 1, requests=PATCHWORK)
    hurried.arrives(asks("iol-b", to="cover@example.org"))
    hurried.works()
    assert hurried.outcome() is Outcome.QUEUED
    *answered, unanswered = [seen.path for seen in hell.seen]
    slow.clear()
    lab = lab_at(hell.url, requests=PATCHWORK)
    lab.works_when_due()
    assert lab.outcome() is Outcome.IGNORED
    after = [seen.path for seen in hell.seen][len(answered) + 1 :]
    assert not set(after) & set(answered)
    assert unanswered in after


def test_hostile_numbers_of_labels_take_no_time(lab: Lab, box: Sandbox) -> None:
    has(box, OURS, *(f"iol-{number}-testing" for number in range(200)))
    many = (f"iol-{number}-tst" for number in range(50_000))
    lab.arrives(asks(*many, "x" * 100_000))
    lab.works()  # without limits it takes hours
    assert lab.outcome() is Outcome.IGNORED


# What a label means.


@pytest.mark.parametrize(
    ("context", "names"),
    [
        ("iol-unit_tests-2", {"iol-unit_tests-2"}),
        (
            "github-robot: build",
            {"github-robot", "github-robot-_build", "github-robot-build"},
        ),
        ("ci/iol intel", {"ci-iol_intel", "ci-iol-intel"}),
        ("größe: x", {"größe", "größe-_x", "größe-x"}),
        ("-x", {"x"}),
        ("???", set()),
    ],
)
def test_a_check_is_meant_by_its_name_or_what_a_line_can_ask_for_instead(
    context: str, names: set[str]
) -> None:
    assert labels.names([context]) == names


def test_what_a_line_cannot_ask_for_is_never_suggested(lab: Lab, box: Sandbox) -> None:
    has(box, OURS, "github-robot: build")
    lab.arrives(asks("github-robots"))
    lab.works()
    assert "github-robots (did you mean github-robot?)" in lab.record().reason


# Suggestions.


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("iol-unit-tst", "iol-unit-tst (did you mean iol-unit-testing?)"),
        ("IOL-Unit-Testing", "IOL-Unit-Testing (did you mean iol-unit-testing?)"),
        ("github_robot", "github_robot (did you mean GitHub-robot?)"),
        ("everything", "everything"),
        ("x" * 101, "x" * 101),
    ],
)
def test_the_nearest_known_context_is_suggested(label: str, told: str) -> None:
    known = {"iol-unit-testing", "iol-broadcom-Performance", "GitHub-robot", "x" * 100}
    assert labels.with_suggestions([label], known) == [told]


# The setting.


@pytest.mark.parametrize("value", ['"patchwork"', '["patchwork"]'])
def test_it_may_be_a_word_or_a_list(value: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[requests]\ncontexts = {value}\n[state]\ndir = "{tmp_path}"\n')
    requests = config.load(file=str(file), environment={}).requests
    assert labels.are_asked_for(requests)
    assert labels.patterns(requests) == ()


def test_it_stands_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[requests]\ncontexts = ["patchwork", "iol-*"]\n')
    with pytest.raises(ConfigError, match=r'\[requests\] contexts: "patchwork" stands alone'):
        config.load(file=str(file), environment={})


# A dry run.


@pytest.fixture
def archive(tmp_path: Path) -> str:
    path = tmp_path / "replies.mbox"
    lines = b""
    for number, asked in enumerate((("iol-a", "iol-tst"), ("iol-tst",))):
        lines += b"From robin@example.org Wed Sep  6 09:00:00 2023\n"
        lines += asks(*asked, id=f"r-{number}") + b"\n"
    path.write_bytes(lines)
    return str(path)


def rehearsed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, archive: str, *more: str
) -> tuple[int, str]:
    flags = ["--contexts", "patchwork", "--state", str(tmp_path / "state")]
    code = cli.main(["replay", "--dry-run", archive, *flags, *more])
    return code, capsys.readouterr().out


def test_a_dry_run_asks_patchwork_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, archive: str, box: Sandbox
) -> None:
    has(box, OURS, "iol-a", "iol-test")
    code, output = rehearsed(capsys, tmp_path, archive, "--patchwork", box.url)
    assert code == 0
    series = min(box.store.series)
    assert (
        f"<r-0@example.org> series {series}: iol-a "
        "(not read: iol-tst (did you mean iol-test?))" in output
    )
    assert "1 request would be recorded" in output
    assert "1 × no wanted context among iol-tst (did you mean iol-test?)" in output
    assert "r-1@example.org" not in output


def test_a_dry_run_tells_that_patchwork_did_not_say(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, archive: str, hell: Hell
) -> None:
    hell.route(lambda seen: knows()(seen) if seen.path == "/api/patches/" else failing(503))
    code, output = rehearsed(capsys, tmp_path, archive, "--patchwork", hell.url)
    assert code == 69
    assert "0 requests would be recorded" in output
    assert "2 mails would be waiting for Patchwork" in output


def test_offline_it_says_that_it_cannot_be_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, archive: str
) -> None:
    code, output = rehearsed(capsys, tmp_path, archive, "--offline")
    assert code == 0
    warning = "every label counts as wanted here: only Patchwork could say which of them are"
    assert output.startswith("<r-0@example.org> series unknown: iol-a, iol-tst")
    assert f"warning: {warning}" in output
