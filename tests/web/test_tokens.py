# SPDX-License-Identifier: BSD-3-Clause
"""Who holds a token, and what it allows."""

import base64
import os
from pathlib import Path

import pytest

from ingest.config.web_tables import TokenSettings
from ingest.errors import SinkUnavailable
from ingest.web.head import Head
from ingest.web.tokens import Tokens


def sent(*fields: tuple[bytes, bytes]) -> Head:
    return Head({"method": "POST", "query_string": b"", "headers": fields, "client": None})


def bearer(token: bytes) -> Head:
    return sent((b"authorization", b"Bearer " + token))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "token"
    made.write_text("first-token\n\n  second-token \n")
    made.chmod(0o600)
    return made


@pytest.fixture
def tokens(file: Path) -> Tokens:
    return Tokens({"lab": TokenSettings(str(file), ("mail",)), "idle": TokenSettings(str(file))})


FORMS = {
    "Bearer": (b"authorization", b"Bearer second-token"),
    "Token": (b"authorization", b"Token second-token"),
    "Token of Ruby": (b"authorization", b'Token token="second-token"'),
    "Basic": (b"authorization", b"Basic " + base64.b64encode(b"anybody:second-token")),
    "Api-Key": (b"api-key", b"second-token"),
}


@pytest.mark.parametrize("field", FORMS.values(), ids=FORMS)
def test_a_token_is_taken_in_each_form_that_mail_relays_send(
    tokens: Tokens, field: tuple[bytes, bytes]
) -> None:
    assert tokens.holder(sent(field), "mail") == "lab"


@pytest.mark.parametrize("token", [b"", b"third-token", b"first-toke", b"first-token\nx", b"\xff"])
def test_any_other_token_is_nobodys(tokens: Tokens, token: bytes) -> None:
    assert tokens.holder(bearer(token), "mail") is None


def test_no_token_at_all_is_nobodys(tokens: Tokens) -> None:
    assert tokens.holder(sent(), "mail") is None


def test_a_token_allows_what_it_may_and_nothing_else(tokens: Tokens) -> None:
    assert tokens.holder(bearer(b"first-token"), "mail") == "lab"
    assert tokens.holder(bearer(b"first-token"), "write") is None


def test_a_file_that_changes_is_read_again(tokens: Tokens, file: Path) -> None:
    assert tokens.holder(bearer(b"first-token"), "mail") == "lab"
    new = file.with_name("new")
    new.write_text("third-token\n")
    new.chmod(0o600)
    os.replace(new, file)
    assert tokens.holder(bearer(b"first-token"), "mail") is None
    assert tokens.holder(bearer(b"third-token"), "mail") == "lab"


def test_a_file_that_is_gone_is_an_error_of_ours_and_not_of_who_asks(
    tokens: Tokens, file: Path
) -> None:
    assert tokens.holder(bearer(b"first-token"), "mail") == "lab"
    file.unlink()
    with pytest.raises(SinkUnavailable, match="token"):
        tokens.holder(bearer(b"first-token"), "mail")


def test_without_tables_there_are_no_tokens() -> None:
    assert not Tokens({})
    assert Tokens({}).holder(bearer(b"x"), "mail") is None
