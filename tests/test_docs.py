# SPDX-License-Identifier: BSD-3-Clause
"""The guides name every command, flag and setting, their examples hold, and their links lead
somewhere."""

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.commands import command_line
from ingest.config import load as config
from ingest.ledger import Outcome
from ingest.retests import document as retests
from tests.support import settings_table
from tests.support.places import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "contrib" / "doc").glob("*.md"))]
}
GUIDES = "\n".join(PAGES.values())


def commands() -> dict[str, argparse.ArgumentParser]:
    for action in command_line.parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("there are no subcommands")


def flags() -> Iterator[tuple[str, str]]:
    for name, parser in commands().items():
        for action in parser._actions:
            yield from ((name, option) for option in action.option_strings)


def test_every_command_is_in_the_table_of_commands() -> None:
    table = PAGES["contrib/doc/commands.md"]
    assert [name for name in commands() if f"| `recheck-ingest {name}" not in table] == []


def test_every_flag_is_in_a_guide() -> None:
    options = {option: name for name, option in flags() if option != "-h"}
    assert [
        f"{name} {option}"
        for option, name in options.items()
        if not re.search(rf"`[^`\n]*{option}\b", GUIDES)
    ] == []


def test_the_table_of_settings_is_that_of_the_program() -> None:
    assert settings_table.table_on_the_page() == settings_table.settings_table()


@pytest.mark.parametrize("page", list(PAGES))
def test_the_example_configurations_are_valid(page: str, tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", PAGES[page], re.DOTALL)):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        loaded: Any = config.load(file=str(file), environment={"HOME": str(tmp_path)})
        for name, content in tomllib.loads(text).items():
            servers = loaded.servers if name == "patchwork" else {}
            for server in content.keys() & servers:
                assert_held(servers[server], content.pop(server))
            assert_held(getattr(loaded, name), content)


def assert_held(held: Any, written: Any) -> None:
    """What was loaded is what is written: a table, named tables, or a value."""
    if isinstance(written, dict):
        for key, value in written.items():
            assert_held(held[key] if isinstance(held, dict) else getattr(held, key), value)
    elif isinstance(held, tuple) and isinstance(written, str):
        assert held == (written,)
    else:
        assert held == (tuple(written) if isinstance(written, list) else written)


def test_the_example_of_the_retest_json_is_byte_for_byte_ours() -> None:
    text = re.findall(r"```json\n(.*?)\n```", PAGES["contrib/doc/taking.md"], re.DOTALL)[0]
    assert retests.dump(json.loads(text)) == text


@pytest.mark.parametrize("page", list(PAGES))
def test_links_within_the_tree_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page]):
        assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", list(PAGES))
def test_files_of_the_tree_that_a_guide_names_exist(page: str) -> None:
    for named in re.findall(r"`((?:ingest|tests|contrib|\.ci)/[\w./-]*)`", PAGES[page]):
        assert (ROOT / named).exists(), named


def test_the_readme_is_short_and_names_every_guide() -> None:
    assert PAGES["README.md"].count("\n") <= 250
    for page in PAGES:
        assert page == "README.md" or f"({page})" in PAGES["README.md"], page


def test_every_state_of_a_mail_is_in_the_guide_of_list() -> None:
    [line] = re.findall(r"\| `--state STATE` \|.*", PAGES["contrib/doc/commands.md"])
    assert set(re.findall(r"`(\w+)`", line)) == set(Outcome)
