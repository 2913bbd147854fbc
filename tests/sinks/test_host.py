# SPDX-License-Identifier: BSD-3-Clause
"""This machine's name: made once, the same for ever, and not made by a look."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ingest.sinks import host


def test_a_look_makes_no_id(tmp_path: Path) -> None:
    assert host.known(str(tmp_path / "state")) == ""
    assert not list(tmp_path.iterdir())


def test_an_id_stays_and_another_folder_has_another(tmp_path: Path) -> None:
    first = host.kept(str(tmp_path / "a"))
    assert first
    assert host.kept(str(tmp_path / "a")) == host.known(str(tmp_path / "a")) == first
    assert host.kept(str(tmp_path / "b")) != first


def test_several_that_make_it_at_once_have_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(host.kept, [str(tmp_path)] * 40))
    assert len(found) == 1
