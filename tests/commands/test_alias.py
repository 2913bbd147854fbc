# SPDX-License-Identifier: BSD-3-Clause
"""What Postfix's own programs say of the aliases that run our pipe."""

import os
import subprocess
from pathlib import Path

import pytest

from ingest.commands import alias
from ingest.commands.alias import Alias
from ingest.commands.quickstart import alias_line
from tests.support.parts import require, require_root

pytestmark = pytest.mark.slow  # Postfix looks the machine up by name

GUARDED = '"|timeout 300 {} >/dev/null 2>&1 || exit 75"'
PROGRAM = "/opt/bin/recheck-ingest"

# The right-hand side of an alias, and what is read of it: program, state, configuration, guard.
LINES = {
    "with a guard": (
        GUARDED.format(f"{PROGRAM} pipe --state /var/lib/r"),
        (PROGRAM, "/var/lib/r", "", True),
    ),
    "without": (f'"|{PROGRAM} pipe --state=/var/lib/r"', (PROGRAM, "/var/lib/r", "", False)),
    "by configuration": (
        GUARDED.format(f"{PROGRAM} pipe --config /etc/r.toml -v"),
        (PROGRAM, "", "/etc/r.toml", True),
    ),
    "by path": ('"|recheck-ingest pipe || exit 75"', ("recheck-ingest", "", "", True)),
    "another program": ('"|/usr/bin/vacation pipe"', None),
    "another command of ours": (f'"|{PROGRAM} status"', None),
    "a folder": ("/var/spool/recheck/", None),
}


@pytest.fixture
def postfix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of Postfix with two files of aliases; the first is to be written."""
    require("postconf")
    maps = f"hash:{tmp_path}/aliases, hash:{tmp_path}/missing"
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nalias_maps = {maps}\ndefault_privs = games\n"
    )
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    return tmp_path / "aliases"


def written(aliases: Path, text: str, owner: int = 0) -> list[Alias]:
    aliases.write_text(text)
    subprocess.run([require("postalias"), f"hash:{aliases}"], check=True)
    if os.geteuid() == 0:
        os.chown(f"{aliases}.db", owner, owner)
    return alias.found()


def test_a_line_names_program_and_state(postfix: Path) -> None:
    lines = [f"{name.replace(' ', '-')}: {line}\n" for name, (line, _) in LINES.items()]
    found = written(postfix, "".join(lines))
    assert {a.name: (a.program, a.state, a.config, a.guarded) for a in found} == {
        name.replace(" ", "-"): expected for name, (_, expected) in LINES.items() if expected
    }


def test_the_line_of_quickstart_is_read_whole(postfix: Path) -> None:
    (found,) = written(postfix, alias_line("recheck", PROGRAM) + "\n")
    assert (found.name, found.program, found.guarded) == ("recheck", PROGRAM, True)
    assert found.state == "/var/lib/recheck-ingest"


@pytest.mark.parametrize(("owner", "user"), [(0, "games"), (65534, "nobody")])
def test_a_pipe_runs_as_the_owner_of_the_aliases_but_never_as_root(
    owner: int, user: str, postfix: Path
) -> None:
    require_root("give files away")
    (found,) = written(postfix, 'recheck: "|recheck-ingest pipe"\n', owner)
    assert (found.user, alias.default_user()) == (user, "games")


def test_without_postfix_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_CONFIG", "/nowhere")
    assert (alias.found(), alias.default_user()) == ([], "")
