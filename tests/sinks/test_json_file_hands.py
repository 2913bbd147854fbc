# SPDX-License-Identifier: BSD-3-Clause
"""The retest JSON between crashes, in the hands of others: who takes it, edits it or writes to it
under its lock loses nothing and has nothing twice, wherever the sink was killed."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.ledger import open_ledger
from tests.sinks.test_json_file import Death, Sink
from tests.support.examples import examples
from tests.support.leftovers import memory
from tests.support.retest_files import append, asked, contexts


class Scene:
    """A sink, its file, and everything that anybody was handed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "retests.json"
        self.ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
        self.sink = Sink(self.ledger, self.path)
        self.batch = folder / "batch.json"
        self.asked: set[str] = set()
        self.got: list[str] = []

    def read(self) -> set[str]:
        """What a consumer reads in the file, which is to be a whole document."""
        with suppress(FileNotFoundError):
            if text := self.path.read_text():
                return contexts(json.loads(text))
        return set()

    def record(self) -> None:
        number = len(self.asked) + 1
        self.sink.record(asked(number, series=number % 2 + 1))
        self.asked.add(f"c-{number}")


def publish(scene: Scene) -> None:
    """The sink is not killed."""
    scene.record()
    scene.sink.publish()


def _die(scene: Scene, owner: object, name: str, *, behind: bool) -> None:
    """The sink is killed just before a call, or just behind it."""
    scene.record()
    call = getattr(owner, name)

    def die(*arguments: object) -> None:
        if behind:
            call(*arguments)
        raise Death

    with patch.object(owner, name, die), suppress(Death):
        scene.sink.publish()


def killed_before_the_write_is_noted(scene: Scene) -> None:
    _die(scene, scene.ledger, "promise_with", behind=False)


def killed_before_the_rename(scene: Scene) -> None:
    _die(scene, os, "replace", behind=False)


def killed_behind_the_rename(scene: Scene) -> None:
    _die(scene, os, "replace", behind=True)


def killed_before_the_cursor_moves(scene: Scene) -> None:
    _die(scene, scene.ledger, "set_cursor", behind=False)


def killed_behind_the_cursor(scene: Scene) -> None:
    _die(scene, scene.ledger, "set_cursor", behind=True)


def nothing(scene: Scene) -> None:
    """Nobody touches the file."""


def taken_by_rename(scene: Scene) -> None:
    scene.got += scene.read()
    scene.path.unlink(missing_ok=True)


def emptied_in_place(scene: Scene) -> None:
    """The consumer leaves a document that asks for nothing."""
    scene.got += scene.read()
    if scene.path.exists():
        scene.path.write_text(
            json.dumps(json.loads(scene.path.read_text() or "{}") | {"retests": {}})
        )


def cut_to_nothing(scene: Scene) -> None:
    """``: > retests.json``"""
    scene.got += scene.read()
    if scene.path.exists():
        scene.path.write_text("")


def replaced_by_an_empty_document(scene: Scene) -> None:
    """The consumer moves the file away and puts there one that asks for nothing."""
    scene.got += scene.read()
    scene.path.unlink(missing_ok=True)
    scene.path.write_text('{"retests": {}, "last_comment_timestamp": null}')


def taken_and_put_back(scene: Scene) -> None:
    if scene.path.exists():
        scene.path.rename(scene.batch)
        scene.batch.rename(scene.path)


def taken_and_put_back_as_a_copy(scene: Scene) -> None:
    if scene.path.exists():
        text = scene.path.read_bytes()
        scene.path.unlink()
        scene.path.write_bytes(text)


def taken_by_half(scene: Scene) -> None:
    """The consumer takes the first label that it finds out of the document."""
    if not scene.path.exists() or not (text := scene.path.read_text()):
        return
    document = json.loads(text)
    for entry in document["retests"].values():
        if entry["contexts"]:
            scene.got.append(entry["contexts"].pop(0))
            break
    scene.path.write_text(json.dumps(document))


def written_to_by_another_ledger(scene: Scene) -> None:
    append(scene.path, asked(1, series=77, contexts=("theirs",)))


DEATHS: tuple[Callable[[Scene], None], ...] = (
    publish,
    killed_before_the_write_is_noted,
    killed_before_the_rename,
    killed_behind_the_rename,
    killed_before_the_cursor_moves,
    killed_behind_the_cursor,
)
HANDS: tuple[Callable[[Scene], None], ...] = (
    nothing,
    taken_by_rename,
    emptied_in_place,
    cut_to_nothing,
    replaced_by_an_empty_document,
    taken_and_put_back,
    taken_and_put_back_as_a_copy,
    taken_by_half,
    written_to_by_another_ledger,
)


def check(folder: str, steps: Sequence[Callable[[Scene], None]]) -> None:
    """Take these steps, and all that is left at the end; each request was handed out once."""
    scene = Scene(Path(folder))
    publish(scene)
    for step in steps:
        step(scene)
    publish(scene)
    taken_by_rename(scene)
    scene.ledger.close()
    assert sorted(each for each in scene.got if each != "theirs") == sorted(scene.asked)


@pytest.mark.parametrize("death", DEATHS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("hands", HANDS, ids=lambda each: each.__name__)
def test_what_others_do_behind_a_crash_loses_nothing_and_doubles_nothing(
    death: Callable[[Scene], None], hands: Callable[[Scene], None], quick_path: Path
) -> None:
    check(str(quick_path), [death, hands])


@examples(200)
@given(st.lists(st.tuples(st.sampled_from(DEATHS), st.sampled_from(HANDS)), max_size=5))
def test_what_others_do_between_crashes_loses_nothing_and_doubles_nothing(
    pairs: list[tuple[Callable[[Scene], None], ...]],
) -> None:
    with TemporaryDirectory(dir=memory()) as folder:
        check(folder, [step for pair in pairs for step in pair])
