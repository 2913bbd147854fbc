# SPDX-License-Identifier: BSD-3-Clause
"""A public-inbox in a folder, replayed."""

from pathlib import Path

import pytest

from ingest.errors import BadInput
from ingest.sources.mbox import Reader
from tests.support.inboxes import Inbox, Repository, deleted, file_of_v1, mail
from tests.support.mails import letter, reply


def recheck(name: object) -> bytes:
    return reply("patch@example.org", f"{name}@example.org")


def test_all_epochs_are_read_in_order(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "dev")
    mails = [recheck(n) for n in range(300)]
    inbox.add(*mails[:250])
    inbox.epoch().commit(deleted(mails[0]))
    inbox.add(*mails[250:], epoch=1)
    reader = Reader(str(inbox.folder))
    items = list(reader)
    assert [item.raw for item in items] == mails
    assert [items[0].where, items[-1].where] == [
        str(inbox.folder / "git" / f"{epoch}.git") for epoch in (0, 1)
    ]
    assert (reader.position, reader.warnings) == (reader.size, [])


def test_only_the_mails_that_may_hold_a_request_are_kept(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "dev")
    talk = letter("talk@example.org", "Re: x", "Nice.\n")
    inbox.add(talk, recheck("one"), talk, recheck("two"))
    ((number, items),) = Reader(str(inbox.folder)).searched()
    assert (number, [item.raw for item in items]) == (4, [recheck("one"), recheck("two")])


def test_an_epoch_an_inbox_of_version_1_and_one_among_other_archives_are_read(
    tmp_path: Path,
) -> None:
    inbox = Inbox(tmp_path / "all" / "dev")
    inbox.add(recheck("one"))
    old = Repository(tmp_path / "all" / "old.git")
    old.commit([file_of_v1(recheck("two"))], [file_of_v1(recheck("three"))], kept=True)
    (tmp_path / "all" / "single.eml").write_bytes(recheck("four"))
    read = {name: [item.raw for item in Reader(str(path))] for name, path in (
        ("epoch", inbox.folder / "git" / "0.git"),
        ("v1", old.folder),
        ("all", tmp_path / "all"),
    )}  # fmt: skip
    assert read["epoch"] == [recheck("one")]
    assert read["v1"] == [recheck("two"), recheck("three")]
    assert read["all"] == [recheck(name) for name in ("one", "two", "three", "four")]


def test_an_empty_inbox_holds_no_mail(tmp_path: Path) -> None:
    Inbox(tmp_path / "dev").epoch()
    with pytest.raises(BadInput, match="holds no mail"):
        list(Reader(str(tmp_path / "dev")))


def test_a_damaged_inbox_is_told_and_what_is_whole_is_read(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "all" / "dev")
    inbox.add(recheck("one"))
    repository = inbox.epoch(1)
    repository.commit(mail(recheck("two")), mail(recheck("three")))
    commit = repository.git("rev-parse", "HEAD~1")
    (repository.folder / "objects" / commit[:2] / commit[2:]).unlink()
    (tmp_path / "all" / "single.eml").write_bytes(recheck("four"))
    reader = Reader(str(tmp_path / "all"))
    assert [item.raw for item in reader] == [recheck("one"), recheck("four")]
    (warning,) = reader.warnings
    assert "1 file skipped, the history of" in warning
    with pytest.raises(BadInput, match=r"1\.git: the history of"):
        list(Reader(str(inbox.folder)))
