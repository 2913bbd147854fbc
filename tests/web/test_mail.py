# SPDX-License-Identifier: BSD-3-Clause
"""POST /mail: who may, what is taken, and what is answered."""

import base64
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from ingest.errors import ConfigError
from ingest.ledger import Envelope
from tests.support.http_site import LISTEN, Site, request

TOKENS = """
[token.relay]
file = "{folder}/relay"
may = ["mail"]
[token.reader]
file = "{folder}/reader"
"""


@pytest.fixture
def guarded(quick_path: Path) -> str:
    """A configuration with a token that may, and one that may not."""
    (quick_path / "relay").write_text("old-token\nnew-token\n")
    (quick_path / "reader").write_text("reader-token\n")
    return LISTEN + TOKENS.format(folder=quick_path)


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (request("one"), "queued\n"),
        (b"From: a\n\nno request\n", "it holds no request\n"),
        (request("one").replace(b"\n", b"\r\n"), "queued\n"),
        (b"From robin Mon Mar  2 09:00:00 2026\n" + request("one"), "queued\n"),
    ],
)
def test_without_any_token_this_machine_may_post(quick_path: Path, mail: bytes, text: str) -> None:
    with Site(quick_path) as site:
        assert site.post("/mail", mail) == (200, text)


def test_a_mail_is_kept_byte_for_byte_whatever_its_type_is_called(quick_path: Path) -> None:
    with Site(quick_path) as site:
        for number, kind in enumerate(
            ["message/rfc822", "application/x-www-form-urlencoded", "text/plain", "é"]
        ):
            raw = request(f"m{number}", b"\xff\x00 email=x&y=%41\r\n")
            assert site.post("/mail", raw, {"Content-Type": kind}) == (200, "queued\n")
            (mail,) = site.queued()
            assert mail.raw == raw
            assert mail.source == "http"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Host": "lab.example.org"},
        {"Host": "[bad"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_without_a_token_nobody_else_may_through_a_web_server_or_a_browser(
    quick_path: Path, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with Site(quick_path) as site:
        assert site.post("/mail", request("one"), headers) == (401, "refused\n")
        assert site.queued() == []
    assert "there is no [token.NAME]" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer new-token"},
        {"Authorization": "bearer  old-token"},
        {"Authorization": "Token new-token"},
        {"Authorization": 'Token token="new-token"'},
        {"Authorization": f"Basic {base64.b64encode(b'actionmailbox:new-token').decode()}"},
        {"Api-Key": "new-token", "Api-Username": "system"},
    ],
    ids=str,
)
def test_a_token_may_come_as_relays_send_it(
    quick_path: Path, guarded: str, headers: dict[str, str]
) -> None:
    with Site(quick_path, guarded) as site:
        also = {"Host": "lab.example.org", "X-Forwarded-For": "203.0.113.9"}
        assert site.post("/mail", request("one"), headers | also) == (200, "queued\n")
        assert site.queued()[0].source == "http, token relay"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer new-toke"},
        {"Authorization": "Bearer reader-token"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Digest new-token"},
        {"Api-Key": ""},
    ],
    ids=str,
)
def test_with_tokens_nobody_may_without_the_right_one(
    quick_path: Path, guarded: str, headers: dict[str, str]
) -> None:
    with Site(quick_path, guarded) as site:
        assert site.post("/mail", request("one"), headers) == (401, "refused\n")
        assert site.queued() == []


def test_two_tokens_at_once_are_none(quick_path: Path, guarded: str) -> None:
    with Site(quick_path, guarded) as site:
        head = b"POST /mail HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        twice = b"Authorization: Bearer new-token\r\n" * 2
        mail = request("one")
        length = b"Content-Length: %d\r\n\r\n" % len(mail)
        assert site.say(head + twice + length + mail).startswith(b"HTTP/1.1 401")


def test_a_token_is_replaced_without_a_restart(quick_path: Path, guarded: str) -> None:
    with Site(quick_path, guarded) as site:
        headers = {"Authorization": "Bearer newer-token"}
        assert site.post("/mail", request("one"), headers)[0] == 401
        (quick_path / "relay").write_text("newer-token\n")
        assert site.post("/mail", request("one"), headers)[0] == 200


def test_a_token_file_that_cannot_be_read_is_our_trouble(quick_path: Path, guarded: str) -> None:
    (quick_path / "relay").unlink()
    with Site(quick_path, guarded) as site:
        headers = {"Authorization": "Bearer new-token"}
        assert site.post("/mail", request("one"), headers) == (503, "Try again later.\n")


ENVELOPES = {
    "": Envelope(),
    "?sender=robin@example.org&recipient=a@b&recipient=c%2Bd@e": Envelope(
        "robin@example.org", ("a@b", "c+d@e")
    ),
    "?sender=": Envelope(""),
    "?sender=%3C%3E": Envelope(""),
    "?sender=%3Crobin@example.org%3E": Envelope("robin@example.org"),
    "?recipient=" + "a" * 999: Envelope(None, ("a" * 320,)),
    "?" + "&".join(f"recipient=r{n}" for n in range(200)): Envelope(
        None, tuple(f"r{n}" for n in range(100))
    ),
}


@pytest.mark.parametrize("query", ENVELOPES)
def test_the_envelope_is_in_the_url(quick_path: Path, query: str) -> None:
    with Site(quick_path) as site:
        assert site.post(f"/mail{query}", request("one"))[0] == 200
        assert site.queued()[0].envelope == ENVELOPES[query]


def test_the_envelope_is_in_fields_of_the_head(quick_path: Path) -> None:
    with Site(quick_path) as site:
        headers = {"X-Envelope-Sender": "", "X-Envelope-Recipient": "a@b"}
        assert site.post("/mail", request("one"), headers)[0] == 200
        assert site.queued()[0].envelope == Envelope("", ("a@b",))


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?sender=a&sender=b", request("one")),
        ("?" + "&".join(f"x{n}=1" for n in range(2000)), request("one")),
        ("", b""),
        ("", b"what curl -d @FILE makes of a mail: From: aSubject: b"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    quick_path: Path, query: str, body: bytes
) -> None:
    with Site(quick_path) as site:
        status, text = site.post(f"/mail{query}", body)
        assert status == 400
        assert text.endswith(".\n")


def test_discourse_posts_a_form(quick_path: Path, guarded: str) -> None:
    raw = request("one", b"caf\xe9 + & = %\r\n")
    with Site(quick_path, guarded) as site:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Api-Key": "new-token",
        }
        assert site.post("/mail", f"email={quote_plus(raw)}".encode(), headers)[0] == 200
        assert site.queued()[0].raw == raw


def test_a_mail_above_the_limit_is_kept_cut_and_told(quick_path: Path) -> None:
    with Site(quick_path, f"{LISTEN}[intake]\nmax_size = 5000\n") as site:
        status, text = site.post("/mail", request("large", b"x" * 9000))
        assert (status, text) == (200, "kept, but too large to be worked on\n")
        kept = site.kept("large@example.org")
        assert (kept.outcome, kept.size) == ("rejected", 5000)


def test_when_the_ledger_cannot_be_written_it_is_to_be_sent_again(quick_path: Path) -> None:
    with Site(quick_path) as site:
        file = quick_path / "ledger.sqlite"
        file.unlink(missing_ok=True)
        file.mkdir()
        assert site.post("/mail", request("one")) == (503, "Try again later.\n")
        assert site.get("/readyz") == (503, "the ledger cannot be written\n")
        file.rmdir()
        assert site.post("/mail", request("one")) == (200, "queued\n")


def test_a_bug_of_ours_costs_no_mail(quick_path: Path) -> None:
    async def broken(raw: bytes, source: str, envelope: Envelope) -> object:
        raise RuntimeError("a bug")

    with Site(quick_path, accept=broken) as site:  # type: ignore[arg-type]
        assert site.post("/mail", request("one")) == (503, "Try again later.\n")


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[http]\nlisten = ["0.0.0.0:0"]\n', "set file of [token.NAME]"),
        ('[http]\nlisten = ["*:0"]\n', "set file of [token.NAME]"),
        ('[http]\nlisten = ["127.0.0.1:0"]\nmax_body = 1000\n', "max_body must hold"),
        ('[token.x]\nmay = ["mail"]\n', "file"),
        ('[token.x]\nfile = "/x"\nmay = ["everything"]\n', 'a list of "mail"'),
    ],
)
def test_settings_that_make_no_sense_are_told(quick_path: Path, toml: str, told: str) -> None:
    with pytest.raises(ConfigError) as error, Site(quick_path, toml):
        pass
    assert told in str(error.value)


def test_with_a_token_it_may_be_reached_from_elsewhere(quick_path: Path, guarded: str) -> None:
    toml = guarded.replace("127.0.0.1", "0.0.0.0")
    with Site(quick_path, toml) as site:
        headers = {"Authorization": "Bearer new-token"}
        assert site.post("/mail", request("one"), headers)[0] == 200
