# SPDX-License-Identifier: BSD-3-Clause
"""What contrib/ has for receivers of webhooks fits what is really sent to them."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.config import load as config
from ingest.config import sink_tables
from ingest.config.tables import Settings
from ingest.sinks.webhook import Webhook
from tests.support.bad_server import Hell, http, says
from tests.support.places import ROOT
from tests.support.retest_files import asked

CONTRIB = ROOT / "contrib"
JENKINS = CONTRIB / "jenkins" / "Jenkinsfile.example"
GITHUB = CONTRIB / "github" / "recheck.yml"
REQUEST = asked(7, contexts=("iol-a", "iol-b"), arguments={"rebase": "main"})
FILES = pytest.mark.parametrize("file", [JENKINS, GITHUB], ids=lambda file: file.parent.name)


def head(file: Path) -> str:
    """What the comment at the beginning says."""
    lines = file.read_text().split("\n\n")[0].splitlines()
    return "\n".join(re.sub(r"^(//|#) ?", "", line) for line in lines)


def toml(file: Path) -> str:
    """The table of settings in a file's comment."""
    text = re.search(r"^ *\[webhook\..*?(?=\n\n)", head(file), re.MULTILINE | re.DOTALL)
    assert text is not None
    return text.group()


def table(file: Path) -> tuple[str, dict[str, Any]]:
    """The same as values, by its name."""
    [(name, settings)] = tomllib.loads(toml(file))["webhook"].items()
    return name, settings


def tried(file: Path) -> dict[str, Any]:
    """What the comment's curl sends."""
    content = re.search(r"-d '(.*?)'", head(file), re.DOTALL)
    assert content is not None
    sent: dict[str, Any] = json.loads(content.group(1))
    return sent


def sent(hell: Hell, **settings: Any) -> dict[str, Any]:
    """What our webhook sends with these settings."""
    hell.will(says(http(204)))
    webhook = Webhook("x", sink_tables.WebhookSettings(url=hell.url, **settings), Settings())
    webhook.give(REQUEST, again=False, stop=lambda: False)
    body: dict[str, Any] = json.loads(hell.seen[-1].body)
    return body


def at(document: Any, path: str) -> Any:
    """The value at a path of names with dots between; fails if there is none."""
    for name in path.split("."):
        assert name in document, path
        document = document[name]
    return document


@FILES
def test_a_file_says_where_it_goes_and_how_it_is_tested(file: Path) -> None:
    told = head(file)
    assert "SPDX-License-Identifier: BSD-3-Clause" in told.splitlines()[0]
    assert "\nFor " in told
    assert "\nTest it with:\n" in told


@FILES
def test_the_settings_in_its_comment_are_valid(file: Path, tmp_path: Path) -> None:
    name, settings = table(file)
    written = tmp_path / "config.toml"
    written.write_text(toml(file))
    loaded = config.load(file=str(written), environment={"HOME": "/"})
    assert loaded.webhook[name].url == settings["url"]


@FILES
def test_the_trial_in_its_comment_is_of_the_form_that_is_sent(file: Path, hell: Hell) -> None:
    _, settings = table(file)
    body = sent(hell, event_type=settings.get("event_type", ""))

    def fits(trial: Any, real: Any) -> bool:
        if isinstance(trial, dict):
            return trial.keys() <= real.keys() and all(fits(trial[k], real[k]) for k in trial)
        return type(trial) is type(real)

    assert fits(tried(file), body)


@FILES
def test_the_scripts_for_a_shell_are_such_and_have_no_value_written_into_them(file: Path) -> None:
    scripts = {
        JENKINS: re.findall(r"sh '''\n(.*?)'''", JENKINS.read_text(), re.DOTALL),
        GITHUB: re.findall(r"- run: \|\n((?: {10}.*\n)+)", GITHUB.read_text()),
    }[file]
    for script in scripts:
        assert "${{" not in script
        checked = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True)
        assert (checked.returncode, checked.stderr) == (0, "")
    assert len(scripts) == 1
    assert not re.search(r"\bsh \"", file.read_text()), "Groovy would fill in values"


# Jenkins.


def test_every_jsonpath_of_the_jenkins_job_finds_its_value(hell: Hell) -> None:
    found = dict(re.findall(r"\[key: '(\w+)', value: '\$\.([\w.]+)'", JENKINS.read_text()))
    assert len(found) == JENKINS.read_text().count("[key: ") >= 8
    body = sent(hell)
    for variable, path in found.items():
        assert variable == f"RECHECK_{path.upper()}", "as a command has them"
        assert at(body, path) != "" or path in ("requester", "subject")
    used = set(re.findall(r"\$(RECHECK_\w+)", JENKINS.read_text()))
    assert used <= found.keys()


def test_the_brackets_of_the_jenkins_job_close() -> None:
    code = re.sub(r"'''.*?'''|'[^'\n]*'|//[^\n]*", "", JENKINS.read_text(), flags=re.DOTALL)
    assert not set("'\"") & set(code)
    open_brackets: list[str] = []
    for char in code:
        if char in "([{":
            open_brackets.append(char)
        elif char in ")]}":
            assert open_brackets.pop() == {")": "(", "]": "[", "}": "{"}[char]
    assert open_brackets == []


# GitHub.


def test_github_is_sent_no_more_keys_than_it_takes(hell: Hell) -> None:
    body = sent(hell, event_type="recheck")
    assert body.keys() == {"event_type", "client_payload"}
    assert len(body["client_payload"]) <= 10
    assert len(body["event_type"]) <= 100


def test_every_value_that_the_workflow_names_is_sent(hell: Hell) -> None:
    paths = re.findall(r"github\.event\.client_payload\.([\w.]+)", GITHUB.read_text())
    body = sent(hell, event_type="recheck")
    assert len(paths) >= 5
    for path in paths:
        at(body["client_payload"], path)


def test_the_workflow_runs_for_the_event_that_is_sent() -> None:
    _, settings = table(GITHUB)
    types = re.search(r"\non:\n  repository_dispatch:\n    types: \[(\w+)\]\n", GITHUB.read_text())
    assert types is not None
    assert types.group(1) == settings["event_type"] == tried(GITHUB)["event_type"]


def test_the_workflow_is_yaml() -> None:
    text = GITHUB.read_text()
    assert "\t" not in text
    for line in text.splitlines():  # each is a comment, an item, a key, or inside of the script
        assert re.fullmatch(r"(#.*|( {2})*(- )?[\w-]+:( .*)?| {10,}.*|)", line), line
    workflow = yaml.safe_load(text)
    assert workflow[True] == {"repository_dispatch": {"types": ["recheck"]}}  # "on", to YAML 1.1
    assert list(workflow["jobs"]) == ["retest"]
