# SPDX-License-Identifier: BSD-3-Clause
"""The README names every command, flag and setting, and its first screen keeps its form."""

import argparse
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.commands import options
from ingest.config import load as config
from ingest.config.tables import SINKS
from tests.support.places import ROOT

README = (ROOT / "README.md").read_text()


def commands() -> dict[str, argparse.ArgumentParser]:
    for action in options.parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("there are no subcommands")


def flags() -> Iterator[tuple[str, str]]:
    for name, parser in commands().items():
        for action in parser._actions:
            yield from ((name, option) for option in action.option_strings)


@pytest.mark.parametrize("name", list(commands()))
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"| `recheck-ingest {name}" in README


@pytest.mark.parametrize(("name", "option"), list(flags()))
def test_every_flag_is_in_the_readme(name: str, option: str) -> None:
    assert option in ("-h",) or re.search(rf"`[^`\n]*{option}\b", README)


def shown(setting: Any) -> str:
    """A default as it is written in TOML."""
    value = setting.default
    if setting.metadata["kind"] == "an octal number":
        return f"`0o{value:o}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{v}"' if isinstance(v, str) else f"{v:g}" for v in value) + "]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return (
        f'`"{value}"`'
        if isinstance(value, str)
        else f"`{value:.0f}`"
        if value >= 1
        else f"`{value}`"
    )


def settings_table() -> str:
    """The README's table of settings, as it must be."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    every = {
        **config.tables(),
        **{f"{kind}.NAME": table for kind, (table, _) in SINKS.items()},
    }
    for name, table in every.items():
        for key, setting in config.settings_of(table).items():
            default, meaning = shown(setting), setting.metadata["help"]
            lines.append(f"| `[{name}]` `{key}` | {default} | {meaning} |")
    return "\n".join(lines)


def test_the_table_of_settings_is_that_of_the_program() -> None:
    begin, end = "<!-- settings -->\n", "\n<!-- /settings -->"
    assert README.partition(begin)[2].partition(end)[0] == settings_table()


def test_the_example_configuration_is_valid(tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", README, re.DOTALL)):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        loaded: Any = config.load(file=str(file), environment={"HOME": str(tmp_path)})
        for name, content in tomllib.loads(text).items():
            table = getattr(loaded, name)
            named = content.items() if name in SINKS else [("", content)]
            for sink, entries in named:
                for key, value in entries.items():
                    held = getattr(table[sink] if sink else table, key)
                    assert held == (tuple(value) if isinstance(value, list) else value)


def test_the_first_screen_holds_both_commands() -> None:
    first_screen = README.splitlines()[:26]
    blocks = re.findall(r"```sh\n(.*?)\n```", "\n".join(first_screen), re.DOTALL)
    assert len(blocks) == 2
    assert blocks[0].endswith("recheck-ingest demo")
    assert blocks[1].endswith("python -m pytest -q")
    ci = (ROOT / ".ci" / "run").read_text()
    assert ci.rstrip().endswith("python -m pytest -q")


def test_the_example_of_the_retest_json_is_byte_for_byte_ours() -> None:
    import json

    from ingest.retests import document as retests

    text = re.findall(r"```json\n(.*?)\n```", README, re.DOTALL)[0]
    assert retests.dump(json.loads(text)) == text


def test_every_source_file_names_its_license() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    code = (".py", ".toml", ".rc", ".example", ".sh", ".service", ".timer", ".socket", "run")
    for name in listed.stdout.decode().split("\0"):
        if name.endswith(code) and (ROOT / name).is_file():
            head = (ROOT / name).read_text().splitlines()[:3]
            assert any("SPDX-License-Identifier: BSD-3-Clause" in line for line in head), name
