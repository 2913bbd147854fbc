# SPDX-License-Identifier: BSD-3-Clause
"""Every error is temporary or permanent by its type, and has words and an exit code."""

import inspect

import pytest

from ingest import errors
from ingest.errors import Error, Permanent, Temporary

KINDS = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, Error) and each not in (Error, Temporary, Permanent)
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_either_temporary_or_permanent(kind: type[Error]) -> None:
    assert issubclass(kind, Temporary) != issubclass(kind, Permanent)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_s_exit_code_is_one_that_is_documented(kind: type[Error]) -> None:
    assert kind.exit_code in {1, 64, 65, 69, 75, 78, 130}


@pytest.mark.parametrize("kind", [each for each in KINDS if each is not errors.NotYet])
def test_an_error_says_what_it_was_told_else_what_its_docstring_says(kind: type[Error]) -> None:
    assert str(kind("the disk is full")) == "the disk is full"
    assert str(kind()) == " ".join((kind.__doc__ or "-").split()), "on one line"


def test_what_keeps_us_from_storing_a_mail_is_exit_code_75() -> None:
    assert errors.StateUnavailable.exit_code == 75


@pytest.mark.parametrize("kind", [errors.Unavailable, errors.SinkUnavailable])
def test_how_long_a_server_asks_us_to_wait_is_kept(
    kind: type[errors.Unavailable] | type[errors.SinkUnavailable],
) -> None:
    assert kind("busy", 30.0).retry_after == 30.0
    assert kind("busy").retry_after is None
