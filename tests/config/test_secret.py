# SPDX-License-Identifier: BSD-3-Clause
"""Secrets in files: read anew each time, and looked after."""

from pathlib import Path

import pytest

from ingest.config import secret
from ingest.errors import SinkUnavailable


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("first\n")
    path.chmod(0o600)
    return path


def test_blanks_and_line_ends_around_it_do_not_count(file: Path) -> None:
    file.write_text("\n  pass word\t\r\n\n")
    assert secret.read(str(file), "password_file") == "pass word"


def test_a_mended_file_counts_at_once(file: Path) -> None:
    assert secret.token(str(file)) == "first"
    file.write_text("second")
    assert secret.token(str(file)) == "second"


BROKEN = {
    "empty": (b"", "is empty"),
    "blanks alone": (b" \n\t", "is empty"),
    "not text": (b"\xff\xfe", "cannot be read: it is not text"),
}


@pytest.mark.parametrize(("content", "why"), BROKEN.values(), ids=BROKEN)
def test_without_a_secret_the_setting_and_the_file_are_named(
    file: Path, content: bytes, why: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(SinkUnavailable) as refused:
        secret.read(str(file), "password_file")
    assert str(refused.value) == f"password_file {file} {why}"


def test_a_missing_file_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="cannot be read: No such file or directory"):
        secret.read(str(tmp_path / "none"), "token_file")


@pytest.mark.parametrize("text", ["two\nlines", "na\u00efve", "a\x00b", "a\tb"])
def test_a_token_that_would_break_a_header_field_is_not_sent(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SinkUnavailable, match="is not one line of ASCII"):
        secret.token(str(file))
    assert secret.read(str(file), "password_file") == text


def test_problems_are_those_of_each_setting_that_names_a_file(file: Path, tmp_path: Path) -> None:
    file.write_text("two\nlines")
    none = tmp_path / "none"
    named = {"token_file": str(file), "password_file": str(none), "secret_file": ""}
    assert secret.problems(named) == [
        f"token_file {file} is not one line of ASCII",
        f"password_file {none} cannot be read: No such file or directory",
    ]
    assert secret.problems({"password_file": str(file)}) == []


READABLE, BY_GROUP, BY_ALL = (
    "can be read by everyone: chmod o=",
    "can be written by its group: chmod go-w",
    "can be written by everyone: chmod go-w",
)
MODES = {
    **dict.fromkeys((0o600, 0o400, 0o640, 0o440), ""),
    **dict.fromkeys((0o644, 0o604, 0o664), READABLE),
    **dict.fromkeys((0o660, 0o620), BY_GROUP),
    0o602: BY_ALL,
}


@pytest.mark.parametrize(("mode", "says"), MODES.items(), ids=map(oct, MODES))
def test_who_else_can_get_at_a_secret_is_a_problem(file: Path, mode: int, says: str) -> None:
    file.chmod(mode)
    told = f"{file} {says} {file}" if says else ""
    assert secret.loose(file) == told
    named = {"token_file": str(file), "other_file": ""}
    assert secret.problems(named) == ([f"token_file {told}"] if told else [])


def test_what_is_not_there_is_not_loose(tmp_path: Path) -> None:
    assert secret.loose(tmp_path / "none") == ""


def test_a_credential_of_systemd_is_read_from_its_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    assert secret.token(f"%d/{file.name}") == "first"
    assert secret.problems({"token_file": f"%d/{file.name}"}) == []
    file.chmod(0o604)
    assert secret.problems({"token_file": f"%d/{file.name}"}) == [
        f"token_file {file} can be read by everyone: chmod o= {file}"
    ]


def test_a_credential_that_no_unit_hands_over_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (told,) = secret.problems({"token_file": "%d/token"})
    assert told.startswith("token_file %d/token is a credential of systemd, and")
    assert "LoadCredential=" in told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://ci.example.org/x", []),
        ("http://127.0.0.1:8080/x", []),
        ("http://localhost/x", []),
        ("http://[::1]/x", []),
        ("http://ci.example.org/x?t=1", ["ci.example.org"]),
        ("http://192.0.2.1/x", ["192.0.2.1"]),
    ],
)
def test_a_token_is_in_the_clear_where_others_can_listen(url: str, told: list[str]) -> None:
    hosts = [f"the token goes to {host} in the clear: use https" for host in told]
    assert secret.in_clear(url) == hosts
