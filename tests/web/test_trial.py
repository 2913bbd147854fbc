# SPDX-License-Identifier: BSD-3-Clause
"""``check`` tells what is wrong with HTTP, a token or a hook before the first mail does."""

import json
import sys
from pathlib import Path

import pytest

from ingest.config import load as config
from ingest.web import trial
from tests.support import posted
from tests.support.amazon import Amazon
from tests.support.http_site import LISTEN, Site

UNSIGNED = ("sendgrid", "postal", "ses")  # whose private key is theirs alone


def found(toml: str, folder: Path, listen: str = "127.0.0.1:9") -> dict[str, tuple[str, str]]:
    """What is told of each thing, its last finding alone."""
    file = folder / "checked.toml"
    file.write_text(f'[http]\nlisten = ["{listen}"]\n{toml}')
    settings = config.load({("state", "dir"): str(folder)}, file=str(file), environment={})
    return {what: (level, text) for level, what, text in trial.findings(settings)}


@pytest.mark.parametrize("name", posted.SERVICES)
def test_a_sound_hook_is_tried_by_itself(quick_path: Path, name: str) -> None:
    told = found(posted.hooks(quick_path), quick_path)
    assert told["http"] == ("ok", "nothing listens on 127.0.0.1:9 now; serve will")
    level, text = told[f"hook {name}"]
    says = f"only {name} can sign" if name in UNSIGNED else f"takes a sample of {name}; serve"
    assert (level, text.startswith(says)) == ("ok", True)


def test_a_sound_hook_is_tried_over_http(quick_path: Path, amazon: Amazon) -> None:
    toml = posted.hooks(quick_path)
    with Site(quick_path, LISTEN + toml) as site:
        told = found(toml, quick_path, site.http.addresses()[0])
        assert told["http"][1].endswith("answers 200: ready")
        for name in posted.SERVICES:
            does = "refuses what is not signed" if name in UNSIGNED else "takes a sample"
            assert told[f"hook {name}"] == ("ok", f"{does} at {site.http.addresses()[0]}")
        assert site.queued() == []


def test_a_unix_socket_is_tried(quick_path: Path, amazon: Amazon) -> None:
    toml, listen = posted.hooks(quick_path), f"unix:{quick_path}/http.sock"
    with Site(quick_path, f'[http]\nlisten = ["{listen}"]\n{toml}'):
        assert found(toml, quick_path, listen)["hook mailgun"][1] == f"takes a sample at {listen}"


@pytest.mark.parametrize("name", ["mailgun", "postmark", "cloudmailin", "mandrill", "forwardemail"])
def test_a_secret_that_the_running_service_does_not_have_is_told(
    quick_path: Path, amazon: Amazon, name: str
) -> None:
    other = quick_path / "other"
    other.mkdir()
    theirs, ours = posted.hooks(quick_path), posted.hooks(other)
    (other / "secret").write_text("another secret")
    (other / "basic").write_text("another:password")
    with Site(quick_path, LISTEN + theirs) as site:
        level, text = found(ours, quick_path, site.http.addresses()[0])[f"hook {name}"]
    if name == "forwardemail":  # which is refused by no answer at all
        assert text.startswith("the running serve refuses")
    assert level == "problem"
    assert "another secret: reload it" in text


def test_a_hook_that_the_running_service_does_not_have_is_told(quick_path: Path) -> None:
    with Site(quick_path) as site:
        told = found(posted.hooks(quick_path), quick_path, site.http.addresses()[0])
    assert told["hook mailgun"] == (
        "problem",
        "the running serve does not know this hook: reload it (SIGHUP)",
    )


def test_a_service_that_is_not_ready_is_told(quick_path: Path) -> None:
    with Site(quick_path) as site:
        site.is_well = False
        level, text = found("", quick_path, site.http.addresses()[0])["http"]
    assert (level, "answers 503: the worker" in text) == ("problem", True)


BROKEN = [
    ("mailgun", "secret", None, "cannot be read"),
    ("mailgun", "secret", b"", "is empty"),
    ("mailgun", "secret", b"\xff", "it is not text"),
    ("postmark", "basic", b"password alone", "must hold user:password"),
    ("sendgrid", "sendgrid", b"a secret", "it holds no public key"),
    ("postal", "postal", b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "it holds no public key"),
]


@pytest.mark.parametrize(("name", "file", "content", "says"), BROKEN)
def test_a_file_that_cannot_be_what_it_must_is_told(
    quick_path: Path, name: str, file: str, content: bytes | None, says: str
) -> None:
    toml = posted.hooks(quick_path)
    (quick_path / file).unlink()
    if content is not None:
        (quick_path / file).write_bytes(content)
    level, text = found(toml, quick_path)[f"hook {name}"]
    assert (level, says in text) == ("problem", True), text


def test_a_secret_that_everyone_can_read_is_told(quick_path: Path) -> None:
    toml = posted.hooks(quick_path)
    (quick_path / "secret").chmod(0o644)
    file = quick_path / "checked.toml"
    file.write_text(toml)
    settings = config.load({("state", "dir"): str(quick_path)}, file=str(file), environment={})
    told = [(level, text) for level, what, text in trial.findings(settings)]
    assert any("can be read by everyone" in text for level, text in told if level == "problem")
    assert any("[http] listen names no" in text for level, text in told if level == "warning")


def test_a_hook_that_needs_cryptography_says_so_where_it_is_missing(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = posted.hooks(quick_path)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    level, text = found(toml, quick_path)["hooks"]
    assert (level, "pip install 'recheck-ingest[hooks]'" in text) == ("problem", True)


@pytest.mark.parametrize(
    ("content", "may", "level", "says"),
    [
        ("a-token", 'may = ["mail"]', "ok", "may mail"),
        ("a-token", "", "warning", "it may do nothing: set may"),
        ("", 'may = ["mail"]', "problem", "is empty"),
    ],
)
def test_a_token_is_looked_at(
    quick_path: Path, content: str, may: str, level: str, says: str
) -> None:
    (quick_path / "token").write_text(content)
    (quick_path / "token").chmod(0o600)
    told = found(f'[token.a]\nfile = "{quick_path}/token"\n{may}\n', quick_path)["token a"]
    assert (told[0], says in told[1]) == (level, True)


def test_check_tells_it(quick_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ingest.commands import cli

    file = quick_path / "settings.toml"
    file.write_text(posted.hooks(quick_path))
    (quick_path / "secret").unlink()
    flags = ["--config", str(file), "--state", str(quick_path), "--patchwork", "http://127.0.0.1:9"]
    cli.main(["check", "--json", *flags])
    told = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert told["hook mailgun"]["level"] == "problem"
    assert told["hook postmark"]["level"] == "ok"
