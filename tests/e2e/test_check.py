# SPDX-License-Identifier: BSD-3-Clause
"""``check`` beside a real Postfix, whose alias runs the installed program as nobody."""

import json
import os
import subprocess

import pytest

from ingest import signs
from tests.e2e.conftest import Paths
from tests.support.postfix import DOMAIN, Postfix


def checked(
    postfix: Postfix, paths: Paths, *flags: str, **environment: str
) -> dict[str, tuple[str, str]]:
    """What ``check`` finds, by what each finding is about."""
    done = subprocess.run(
        [paths.installed, "check", "--json", "--state", paths.state, *flags],
        capture_output=True,
        check=False,
        env={**os.environ, "MAIL_CONFIG": str(postfix.config), **environment},
    )
    return {each["what"]: (each["level"], each["text"]) for each in json.loads(done.stdout)}


# What the tests here look at is there before, and gone after.
pytestmark = pytest.mark.usefixtures("lab")


def test_check_runs_the_program_that_the_alias_names_as_its_user(
    postfix: Postfix, paths: Paths
) -> None:
    found = checked(postfix, paths)
    assert found["alias recheck"] == ("ok", f"runs {paths.program} as nobody, state {paths.state}")
    assert found["program as nobody"] == ("ok", f"{paths.program} stores a mail and finds it")


def test_check_tells_of_a_program_that_the_alias_names_and_that_does_not_run(
    postfix: Postfix, paths: Paths
) -> None:
    paths.program.write_text("#!/nowhere/python\n")
    paths.program.chmod(0o755)
    level, text = checked(postfix, paths)["program as nobody"]
    assert (level, "does not run" in text) == ("problem", True)


def test_a_test_mail_comes_through_the_mail_server_and_is_no_sign_of_a_list(
    postfix: Postfix, paths: Paths
) -> None:
    before = counts(paths)
    address = f"recheck@{DOMAIN}"
    found = checked(postfix, paths, "--send-test", address)
    level, text = found["test mail"]
    assert (level, text.partition(" within")[0]) == (
        "ok",
        f"sent to {address}, it came by pipe",
    )
    assert counts(paths) == before
    assert postfix.bounces() == []


def test_a_test_mail_that_does_not_come_is_a_problem(postfix: Postfix, paths: Paths) -> None:
    found = checked(
        postfix, paths, "--send-test", f"careless@{DOMAIN}", RECHECK_INGEST_SIGNS_TEST_TIMEOUT="1"
    )
    level, text = found["test mail"]
    assert (level, "has not come within 1 s" in text) == ("problem", True)


def counts(paths: Paths) -> list[tuple[str, str | None, int]]:
    """What the lists are known by."""
    return [(each.source, each.name, each.count) for each in signs.read(str(paths.state))]
