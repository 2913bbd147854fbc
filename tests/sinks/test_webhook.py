# SPDX-License-Identifier: BSD-3-Clause
"""The sink that POSTs: to real servers over loopback, good and bad."""

import base64
import hashlib
import hmac
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from http.client import responses  # a newer Python words some of them otherwise
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from ingest.config import sink_tables
from ingest.config.tables import Settings
from ingest.errors import NotTaken, SinkUnavailable, TurnedAway
from ingest.ledger import Request
from ingest.sinks.request_json import shape
from ingest.sinks.webhook import Webhook
from tests.support.bad_server import (
    MEGABYTE,
    TIMEOUT,
    Answer,
    Hell,
    Seen,
    drips,
    failing,
    floods,
    html,
    http,
    redirect,
    refused_url,
    resets,
    says,
    stalls,
    then_ends,
)
from tests.support.clock import Clock
from tests.support.retest_files import asked

RAW_KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(RAW_KEY).decode()}"
NO_CONTENT = says(b"HTTP/1.1 204 No Content\r\n\r\n")


class Lab:
    """A webhook sink for a server that is told what to answer."""

    def __init__(self, hell: Hell, clock: Clock, folder: Path) -> None:
        self.hell = hell
        self.clock = clock
        self.secret = folder / "secret"
        self.token = folder / "token"
        hell.will(NO_CONTENT)

    def give(
        self, request: Request | None = None, *, url: str = "", again: bool = False, **other: Any
    ) -> str:
        table = sink_tables.WebhookSettings(
            url=url or f"{self.hell.url}/hook?token=hidden", **other
        )
        webhook = Webhook("lab", table, Settings(), self.clock)
        return webhook.give(request or asked(), again=again, stop=lambda: False)

    def signed(self, secret: str) -> Seen:
        """What comes when this is in the secret's file."""
        self.secret.write_text(secret)
        self.give(secret_file=str(self.secret))
        return self.hell.seen[-1]

    def refused(
        self, error: type[SinkUnavailable] | type[NotTaken] | type[TurnedAway], **other: Any
    ) -> str:
        with pytest.raises(error) as raised:
            self.give(**other)
        assert "hidden" not in str(raised.value)
        return str(raised.value)


@pytest.fixture
def lab(hell: Hell, clock: Clock, tmp_path: Path) -> Lab:
    return Lab(hell, clock, tmp_path)


# What is sent.


def test_the_request_is_posted_as_json(lab: Lab) -> None:
    assert lab.give(asked(7, subject="“Überprüfung”")) == "204 No Content"
    [seen] = lab.hell.seen
    assert (seen.method, seen.target) == ("POST", "/hook?token=hidden")
    assert json.loads(seen.body) == shape(asked(7, subject="“Überprüfung”"), Settings())
    assert seen.body.isascii(), "whatever a receiver takes for the charset"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("recheck-ingest/")
    assert "authorization" not in seen.headers
    assert "webhook-signature" not in seen.headers


def test_the_id_is_the_same_at_every_attempt_and_the_body_too(lab: Lab) -> None:
    lab.hell.will(failing(503), failing(503), NO_CONTENT)
    for again in (False, True):
        lab.refused(SinkUnavailable, again=again)
        lab.clock += 100.0
    lab.give(again=True)
    ids = {(each.headers["webhook-id"], each.headers["idempotency-key"]) for each in lab.hell.seen}
    assert ids == {(asked().id,) * 2}
    assert len({each.body for each in lab.hell.seen}) == 1
    assert [each.headers["webhook-timestamp"] for each in lab.hell.seen] == [
        "1700000000",
        "1700000100",
        "1700000200",
    ]


def test_form_of_githubs_repository_dispatch(lab: Lab) -> None:
    lab.give(asked(7), event_type="recheck")
    [seen] = lab.hell.seen
    assert json.loads(seen.body) == {
        "event_type": "recheck",
        "client_payload": {"request": shape(asked(7), Settings())},
    }
    assert seen.headers["accept"] == "application/vnd.github+json"


def test_a_token_is_sent_as_a_bearer_s(lab: Lab) -> None:
    lab.token.write_text("first\n")
    lab.give(token_file=str(lab.token))
    lab.token.write_text("second")
    lab.give(token_file=str(lab.token))
    told = [each.headers["authorization"] for each in lab.hell.seen]
    assert told == ["Bearer first", "Bearer second"]


# The signature.


def verified(seen: Seen, key: bytes) -> list[bool]:
    """For each signature whether it is that of the Standard Webhooks specification: HMAC-SHA256,
    in base64, over the id, the timestamp and the body as they came, with dots between."""
    signed = b".".join(
        [
            seen.headers["webhook-id"].encode(),
            seen.headers["webhook-timestamp"].encode(),
            seen.body,
        ]
    )
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    signatures = [each.split(",", 1) for each in seen.headers["webhook-signature"].split(" ")]
    return [version == "v1" and told == expected for version, told in signatures]


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (SECRET, RAW_KEY),
        (f"\n  {SECRET}  \n\n", RAW_KEY),
        ("correct horse battery staple", b"correct horse battery staple"),
        ("Überprüfung\n", "Überprüfung".encode()),
    ],
    ids=["whsec", "whsec with blanks", "text", "text beyond ASCII"],
)
def test_a_signature_is_that_of_the_specification(lab: Lab, secret: str, key: bytes) -> None:
    seen = lab.signed(secret)
    assert verified(seen, key) == [True]
    assert verified(seen, b"another") == [False]


def test_of_two_secrets_both_sign_so_that_one_can_be_replaced(lab: Lab) -> None:
    seen = lab.signed(f"{SECRET}\nold one\n")
    assert verified(seen, RAW_KEY) == [True, False]
    assert verified(seen, b"old one") == [False, True]


def test_a_secret_is_read_at_each_attempt(lab: Lab) -> None:
    assert verified(lab.signed("one"), b"one") == [True]
    assert verified(lab.signed("two"), b"two") == [True]


def test_the_specification_s_own_library_verifies_it(lab: Lab) -> None:
    lab.clock.now = time.time()  # it refuses what is older than five minutes
    seen = lab.signed(SECRET)
    told = standardwebhooks.Webhook(SECRET).verify(seen.body, seen.headers)
    assert told == shape(asked(), Settings())
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(seen.body + b" ", seen.headers)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (lambda path: None, "cannot be read: No such file or directory"),
    "a folder": (lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "nothing": (lambda path: path.write_text(" \n"), "is empty"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe\0"), "cannot be read: it is not text"),
}


@pytest.mark.parametrize("setting", ["secret_file", "token_file"])
@pytest.mark.parametrize(("make", "told"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_used_is_told_and_nothing_is_sent(
    lab: Lab, make: Callable[[Path], object], told: str, setting: str
) -> None:
    make(lab.secret)
    said = lab.refused(SinkUnavailable, **{setting: str(lab.secret)})
    assert said == f"{setting} {lab.secret} {told}"
    assert lab.hell.seen == []


@pytest.mark.parametrize("secret", ["whsec_", "whsec_%%%", "whsec_YWJj ZGVm", "whsec_YWJ"])
def test_a_secret_that_is_none_signs_nothing(lab: Lab, secret: str) -> None:
    lab.secret.write_text(secret)
    said = lab.refused(SinkUnavailable, secret_file=str(lab.secret))
    assert said == f"secret_file {lab.secret}: what follows whsec_ is not base64"
    assert lab.hell.seen == []


@pytest.mark.parametrize("token", ["a\nb", "a\tb", "tökén", "a\x1bb"])
def test_a_token_that_could_be_another_header_is_not_sent(lab: Lab, token: str) -> None:
    lab.token.write_text(token)
    assert "is not one line of ASCII" in lab.refused(SinkUnavailable, token_file=str(lab.token))
    assert lab.hell.seen == []


# What is answered.


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_2xx_confirms(lab: Lab, status: int) -> None:
    lab.hell.will(says(http(status, b"" if status == 204 else b"<html>")))
    assert lab.give().startswith(str(status))


TRIED_AGAIN: dict[str, tuple[Answer, str]] = {
    "500": (failing(500), "answers 500 Internal Server Error"),
    "502 of a proxy": (html(502), "answers 502 Bad Gateway"),
    "503": (failing(503), "answers 503 Service Unavailable"),
    "a status of 999": (failing(999), "answers 999"),
    "429": (failing(429), "answers 429 Too Many Requests"),
    "408": (failing(408), "answers 408 Request Timeout"),
    "403 with Retry-After": (failing(403, "Retry-After: 60"), "answers 403 Forbidden"),
    "silence": (stalls(), "cannot be reached: timed out"),
    "a byte now and then": (drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"), "cannot be reached: timed out"),
    "a slow body": (drips(http(200, b"[", length=9999), b" "), "cannot be reached: timed out"),
    "a reset": (resets(b""), "cannot be reached: Connection reset by peer"),
    "an end": (lambda line: line.close(), "cannot be reached: "),
    "no HTTP": (then_ends(b"220 mail.example.org ESMTP\r\n"), "cannot be reached: "),
    "half an answer": (then_ends(http(200, b"{}", length=99)), "cannot be reached: "),
    "a huge answer": (floods(http(200, length=50 * MEGABYTE), b" " * 65536), "is over 1048576"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "told"), TRIED_AGAIN.values(), ids=TRIED_AGAIN)
def test_what_may_pass_is_tried_again(lab: Lab, answer: Answer, told: str) -> None:
    lab.hell.will(answer)
    waits = "timed out" in told
    said = lab.refused(SinkUnavailable, timeout=TIMEOUT if waits else 10.0)
    assert told in said
    assert lab.hell.url in said
    assert not waits or lab.hell.was_left(1)
    assert len(lab.hell.seen) == 1


def test_where_nobody_listens_it_is_tried_again(lab: Lab) -> None:
    url = refused_url()
    said = lab.refused(SinkUnavailable, url=f"{url}/?token=hidden")
    assert said == f"the webhook at {url} cannot be reached: Connection refused"


NOT_FOLLOWED = "that is not followed: set url to where it leads"
REFUSED: dict[str, tuple[Answer, str]] = {
    "400": (failing(400), "answers 400 Bad Request"),
    "401": (failing(401), "answers 401 Unauthorized"),
    "403": (failing(403), "answers 403 Forbidden"),
    "404": (html(404), "answers 404 Not Found"),
    "410": (failing(410), "answers 410 Gone"),
    "413": (failing(413), f"answers 413 {responses[413]}"),
    "422 as GitHub tells it": (
        says(http(422, b'{"message": "Invalid request.\\n\\nNo."}')),
        f"answers 422 {responses[422]}: Invalid request. No.",
    ),
    "404 as Jenkins tells it": (
        says(http(404, b'{"jobs":null,"message":"Did not find any jobs"}')),
        "answers 404 Not Found: Did not find any jobs",
    ),
    "a message that is none": (
        says(http(400, b'{"message": {"a": 1}}')),
        "answers 400 Bad Request",
    ),
    "nesting without end": (says(http(400, b"[" * 100_000)), "answers 400 Bad Request"),
    "304": (says(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "answers 304 Not Modified"),
    "a redirect": (
        redirect(lambda line: "https://other.example.org/hidden?x=hidden", 307),
        f"answers 307 Temporary Redirect, to https://other.example.org; {NOT_FOLLOWED}",
    ),
    "a redirect with a password": (
        redirect(lambda line: "https://me:hidden@other.example.org:1/"),
        f"answers 302 Found, to https://other.example.org:1; {NOT_FOLLOWED}",
    ),
    "a redirect to no URL": (
        redirect(lambda line: "https://[::1"),
        f"answers 302 Found, to no URL; {NOT_FOLLOWED}",
    ),
}  # fmt: skip


# Whether a refusal says something of us, and not of the request.
OF_US = ("401", "403", "404", "304", "a redirect")


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_refusal_is_final_only_if_it_says_something_of_the_request(lab: Lab, name: str) -> None:
    answer, told = REFUSED[name]
    error = TurnedAway if name.startswith(OF_US) else NotTaken
    lab.hell.will(answer)
    assert lab.refused(error) == f"the webhook at {lab.hell.url} {told}"
    assert len(lab.hell.seen) == 1, "a redirect is not followed"


def test_a_redirect_on_the_same_server_is_told_with_the_server(lab: Lab) -> None:
    lab.hell.will(redirect(lambda line: "/elsewhere"))
    assert f"to {lab.hell.url}; that is not followed" in lab.refused(TurnedAway)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("7", 7.0),
        ("999999999", 86400.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("status", [403, 408, 429, 500, 503])
def test_a_receiver_says_when_it_is_asked_again(
    lab: Lab, status: int, header: str, pause: float | None
) -> None:
    lab.hell.will(failing(status, f"Retry-After: {header}"))
    if status == 403 and pause is None:
        lab.refused(TurnedAway)
        return
    with pytest.raises(SinkUnavailable) as raised:
        lab.give()
    assert raised.value.retry_after == pause


# TLS.


@pytest.fixture
def secure(certificate: str) -> Iterator[Hell]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Hell(context) as server:
        server.will(NO_CONTENT)
        yield server


def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(lab: Lab, secure: Hell) -> None:
    said = lab.refused(SinkUnavailable, url=secure.url)
    assert "certificate verify failed" in said
    assert secure.seen == []


def test_a_lab_s_own_authority_is_named_as_requests_has_it(
    lab: Lab, secure: Hell, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    assert lab.give(url=secure.url) == "204 No Content"
    [seen] = secure.seen
    assert json.loads(seen.body) == shape(asked(), Settings())


def test_nothing_is_left_open(lab: Lab) -> None:
    def opened(times: int) -> int:
        lab.hell.start()
        for _ in range(times):
            lab.give()
        lab.hell.stop()  # so that only our own ends count
        return len(os.listdir("/proc/self/fd"))

    lab.hell.stop()
    before = opened(1)
    assert opened(5) == before
