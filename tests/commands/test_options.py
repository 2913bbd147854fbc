# SPDX-License-Identifier: BSD-3-Clause
"""The command line: its flags, and what of them is a setting."""

import argparse
from datetime import UTC, datetime

import pytest

from ingest.commands import command_line, flag_values, options
from ingest.commands.settings import settings_of
from ingest.errors import ConfigError, UsageError

FLAGS = {
    "nothing": [],
    "a file": ["--config", "x.toml"],
    "all": [
        "--state",
        "s",
        "-vv",
        "--patchwork",
        "http://p",
        "--retests",
        "r",
        "--contexts",
        "a,b",
    ],
    "joined": ["--state=s", "--patchwork=http://p"],
    "cut": ["--sta", "s"],
}


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_pipe_reads_its_flags_as_the_whole_command_line_does(flags: list[str]) -> None:
    whole = dict(vars(command_line.parser().parse_args(["pipe", *flags])))
    del whole["run"]
    assert whole.pop("command") == "pipe"
    assert vars(options.pipe_parser().parse_args(flags)) == whole


@pytest.mark.parametrize("flags", [["--bogus"], ["--state"], ["mail.eml"], ["--config"]])
def test_pipe_refuses_what_the_whole_command_line_refuses_in_the_same_words(
    flags: list[str],
) -> None:
    said = []
    for parser, arguments in (
        (command_line.parser(), ["pipe", *flags]),
        (options.pipe_parser(), flags),
    ):
        with pytest.raises(UsageError) as raised:
            parser.parse_args(arguments)
        said.append(str(raised.value).partition("; see ")[0])
    assert said[0] == said[1]


def test_flags_stand_above_what_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECHECK_INGEST_PATCHWORK_URL", "http://environment.example.org")
    monkeypatch.setenv("RECHECK_INGEST_REQUESTS_CONTEXTS", "one")
    flags = ["--patchwork", "http://flag.example.org", "--state", "/tmp/state"]
    settings = settings_of(options.pipe_parser().parse_args(flags))
    assert settings.patchwork.url == "http://flag.example.org"
    assert settings.requests.contexts == ("one",)
    assert settings.state.dir == "/tmp/state"


def test_a_flag_with_a_wrong_value_is_named() -> None:
    arguments = options.pipe_parser().parse_args(["--patchwork", "ftp://x", "--state", "/tmp/s"])
    with pytest.raises(ConfigError, match=r"\[patchwork\] url, given by a flag"):
        settings_of(arguments)


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2023-09-06", 0),
        ("2023-09-06T09:00:00", 9),
        (" 2023-09-06 09:00:00 ", 9),
        ("2023-09-06T09:00:00+02:00", 7),
        ("2023-09-06T09:00:00Z", 9),
    ],
)
def test_a_moment_is_in_utc_unless_it_names_an_offset(text: str, hour: int) -> None:
    assert flag_values.moment(text) == datetime(2023, 9, 6, hour, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("text", ["", "today", "20230906", "2023-W36", "2023-13-01", "1693990800"])
def test_what_is_not_a_moment_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="neither a date nor"):
        flag_values.moment(text)
