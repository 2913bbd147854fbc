# SPDX-License-Identifier: BSD-3-Clause
"""Whether the pipe really runs, for ``check``: the alias lines that name it, and the installed
program run as each user of the pipe, which stores and finds a mail in a ledger of its own.
"""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest.commands import alias, as_user
from ingest.commands.alias import Alias
from ingest.config.tables import Settings

# Level, what it is about, and the text, as in ``Finding``.
Found = tuple[str, str, str]

_PROGRAM = "recheck-ingest"
_MAIL = """\
From: {program} <check@localhost>
Subject: a mail that check stores and finds
Message-ID: <{id}>
In-Reply-To: <none@localhost>

Recheck-request: none
"""


def aliases(settings: Settings, pipes: Sequence[Alias]) -> Iterator[Found]:
    """Whether each alias says what it should."""
    for each in pipes:
        what = f"alias {each.name}"
        if not each.guarded:
            text = (
                f"its line in {each.file} has no “|| exit 75” behind the program: what goes wrong "
                "bounces the mail; see aliases.example"
            )
            yield "problem", what, text
        state = each.state or ("" if each.config else settings.state.dir)
        if state and Path(state).resolve() != Path(settings.state.dir).resolve():
            text = (
                f"it keeps its state in {state}, and this configuration in {settings.state.dir}: "
                "make them agree, or give check the alias's --state"
            )
            yield "problem", what, text
        said = f"runs {each.program} as {each.user}" + (f", state {state}" if state else "")
        yield "ok", what, said


def users(pipes: Sequence[Alias], settings: Settings) -> list[str]:
    """Whom the pipe runs as: the users of its aliases; where there are none, and no other way in
    is configured, whom Postfix would take."""
    if pipes:
        return list(dict.fromkeys(each.user for each in pipes))
    others = (
        *(settings.smtp.listen, settings.lmtp.listen, settings.http.listen),
        *(settings.maildir.path, settings.inbox, settings.catch_up.interval),
    )
    default = "" if any(others) else alias.default_user()
    return [default] if default and as_user.my_name() == "root" else []


def runs(settings: Settings, pipes: Sequence[Alias], tried: Sequence[str]) -> Iterator[Found]:
    """Whether the program runs as each of these users: the one that the user's alias names, else
    the one that is installed."""
    installed = shutil.which(_PROGRAM) or str(Path(sys.argv[0]).absolute())
    for user in tried:
        if user == "root":  # what an alias names is never run as root, neither here nor by Postfix
            continue
        named = [each.program for each in pipes if each.user == user]
        for program in dict.fromkeys(named or [installed]):
            try:
                problem = _tried(settings, user, program)
            except KeyError:
                problem = "not tried: there is no such user"
            except PermissionError as error:
                problem = f"{program} cannot be run: {error.strerror or error}"
            except (OSError, subprocess.TimeoutExpired) as error:
                problem = f"{program} does not run: {error}"
            text = problem or f"{program} stores a mail and finds it"
            yield "problem" if problem else "ok", f"program as {user}", text


def _tried(settings: Settings, user: str, program: str) -> str:
    """What goes wrong, "" if nothing does."""
    state = Path(settings.state.dir)
    if not state.is_dir():  # to look changes nothing: the first mail makes it
        return _said(as_user.run(user, [program, "--version"]), program)
    scratch = state / f"check-{secrets.token_hex(4)}"
    made = as_user.look(user, lambda: _make(scratch))
    if made:
        return made[0]
    try:
        name = f"{scratch.name}@localhost"
        mail = _MAIL.format(program=_PROGRAM, id=name).encode()
        # The trial asks nobody anything.
        quiet = {"RECHECK_INGEST_PIPE_BUDGET": "0"}
        flags = ["--state", str(scratch)]
        stored = as_user.run(user, [program, "pipe", *flags], mail, **quiet)
        if problem := _said(stored, program):
            return problem
        return _said(as_user.run(user, [program, "show", name, *flags]), program)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make(folder: Path) -> list[str]:
    try:
        folder.mkdir()
    except OSError as error:
        return [f"{folder.parent} cannot be written: {error.strerror}"]
    return []


def _said(done: "subprocess.CompletedProcess[bytes]", program: str) -> str:
    """What a program that failed says, "" if it did not fail."""
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"{program} ends with {done.returncode}: {lines[-1] if lines else 'it says nothing'}"
