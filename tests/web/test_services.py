# SPDX-License-Identifier: BSD-3-Clause
"""Every service: what it really sends is taken in, what only looks like it is not, and each gets
the answer that makes it do the right thing."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.ledger import Envelope
from tests.support import posted
from tests.support.http_site import LISTEN, Site, request
from tests.support.posted import Posted

HANGS_UP = 0
NOT_UTF_8 = b"caf\xe9 \xff\x00 \r and CR alone\r\n"


def send(site: Site, name: str, given: Posted) -> int:
    return site.post(f"/mail/{name}", given.body, given.headers)[0]


@pytest.mark.parametrize("name", posted.SERVICES)
def test_a_mail_of_the_service_is_queued_with_its_envelope(site: Site, name: str) -> None:
    assert send(site, name, posted.SERVICES[name](request(name))) == 200
    (mail,) = site.queued()
    sender = None if name == "mandrill" else posted.SENDER
    assert mail.envelope == Envelope(sender, (posted.RECIPIENT,))
    assert mail.raw == request(name)


@pytest.mark.parametrize("name", posted.SERVICES)
def test_the_story_says_when_a_mail_came_as_text(site: Site, name: str) -> None:
    send(site, name, posted.SERVICES[name](request(name)))
    kept = site.kept(f"{name}@example.org")
    how = "" if name in posted.EXACT else ", text from JSON"
    assert kept.source == f"hook {name} ({name}{how})"
    assert kept.story[0].details["source"] == kept.source


@pytest.mark.parametrize("name", posted.EXACT)
def test_bytes_that_are_not_utf_8_arrive_as_they_were(site: Site, name: str) -> None:
    raw = request(name, NOT_UTF_8)
    assert send(site, name, posted.SERVICES[name](raw)) == 200
    assert site.queued()[0].raw == raw


def test_mailgun_and_postal_may_send_the_simpler_kind_of_form(site: Site) -> None:
    raw = request("simple", NOT_UTF_8)
    fields = [*posted.mailgun_fields(raw), *posted.mailgun_proof()]
    assert send(site, "mailgun", Posted(*posted.urlencoded(fields))) == 200
    assert send(site, "postal", posted.postal_form(raw)) == 200
    assert [mail.raw for mail in site.queued()] == [raw]


@pytest.mark.parametrize("name", posted.SERVICES)
def test_the_same_request_again_is_a_duplicate_and_a_success(site: Site, name: str) -> None:
    given = posted.SERVICES[name](request(name))
    assert [send(site, name, given), send(site, name, given)] == [200, 200]
    assert len(site.queued()) == 1


def altered(given: Posted) -> Posted:
    """With a mail that was changed on its way."""
    at = given.body.index(b"robin")
    return Posted(given.headers, given.body[:at] + b"X" + given.body[at + 1 :])


def without(given: Posted, *names: str) -> Posted:
    return Posted({k: v for k, v in given.headers.items() if k.lower() not in names}, given.body)


def with_header(given: Posted, name: str, value: str) -> Posted:
    return Posted({**without(given, name.lower()).headers, name: value}, given.body)


def mailgun(proof: list[tuple[str, bytes]], also: list[tuple[str, bytes]] | None = None) -> Posted:
    fields = [*posted.mailgun_fields(request("forged")), *proof, *(also or [])]
    return Posted(*posted.multipart(fields))


def wrongly_signed(name: str, header: str) -> Posted:
    given = posted.SERVICES[name](request("forged"))
    other = posted.SERVICES[name](request("other"))
    return with_header(given, header, other.headers[header])


FORGED: dict[str, tuple[str, Callable[[], Posted], int]] = {
    "mailgun, another secret": (
        "mailgun", lambda: mailgun(posted.mailgun_proof("another")), 401),
    "mailgun, no proof": ("mailgun", lambda: mailgun([]), 401),
    "mailgun, no token": (
        "mailgun", lambda: mailgun(posted.mailgun_proof(token="")), 401),
    "mailgun, ten hours old": (
        "mailgun", lambda: mailgun(posted.mailgun_proof(age=36000)), 401),
    "mailgun, of tomorrow": (
        "mailgun", lambda: mailgun(posted.mailgun_proof(age=-86400)), 401),
    "mailgun, two tokens": (
        "mailgun", lambda: mailgun(posted.mailgun_proof(), [("token", b"u" * 50)]), 401),
    "mailgun, JSON": (
        "mailgun", lambda: Posted(*posted.as_json({"body-mime": "x"})), 401),
    "sendgrid, another mail": (
        "sendgrid", lambda: altered(posted.sendgrid(request("forged"))), 503),
    "sendgrid, another time": (
        "sendgrid",
        lambda: with_header(
            posted.sendgrid(request("f")), "X-Twilio-Email-Event-Webhook-Timestamp", "1600112503"),
        503),
    "sendgrid, no signature": (
        "sendgrid",
        lambda: without(
            posted.sendgrid(request("f")), "x-twilio-email-event-webhook-signature"),
        503),
    "postmark, another password": (
        "postmark",
        lambda: Posted(posted.postmark(b"a\n").headers | posted.basic("recheck:other"), b"{}"),
        401),
    "postmark, no password": (
        "postmark", lambda: without(posted.postmark(request("f")), "authorization"), 401),
    "cloudmailin, another password": (
        "cloudmailin",
        lambda: Posted(posted.cloudmailin(b"a\n").headers | posted.basic("a:b"), b""),
        503),
    "cloudmailin, no password": (
        "cloudmailin", lambda: without(posted.cloudmailin(request("f")), "authorization"), 503),
    "mandrill, another mail": (
        "mandrill", lambda: altered(posted.mandrill(request("forged"))), 503),
    "mandrill, another secret": (
        "mandrill", lambda: posted.mandrill_events(b"[1]", "test-webhook"), 503),
    "mandrill, no signature": (
        "mandrill",
        lambda: without(posted.mandrill(request("f")), "x-mandrill-signature"), 503),
    "forwardemail, another mail": (
        "forwardemail", lambda: altered(posted.forwardemail(request("forged"))), HANGS_UP),
    "forwardemail, no signature": (
        "forwardemail",
        lambda: without(posted.forwardemail(request("f")), "x-webhook-signature"), HANGS_UP),
    "postal, the signature of another mail": (
        "postal", lambda: wrongly_signed("postal", "X-Postal-Signature-256"), 503),
    "postal, SHA-1 alone": (
        "postal", lambda: without(posted.postal(request("f")), "x-postal-signature-256"), 503),
    "ses, another mail": ("ses", lambda: altered(posted.ses(request("forged"))), 503),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_what_is_not_proven_is_refused_and_told_nothing(site: Site, case: str) -> None:
    name, forge, status = FORGED[case]
    given = forge()
    answered = site.post(f"/mail/{name}", given.body, given.headers)
    assert answered == (status, "" if status == HANGS_UP else "refused\n")
    assert site.queued() == []


@pytest.mark.parametrize("name", posted.SERVICES)
def test_the_proof_of_one_service_is_none_for_another(site: Site, name: str) -> None:
    given = posted.SERVICES[name](request(name))
    for other in posted.SERVICES:
        if other != name and {name, other} != {"postmark", "cloudmailin"}:
            assert send(site, other, given) != 200
    assert site.queued() == []


def test_a_signature_that_covers_no_mail_counts_for_one(site: Site) -> None:
    first = Posted(
        *posted.multipart([*posted.mailgun_fields(request("one")), *posted.mailgun_proof()])
    )
    second = Posted(
        *posted.multipart([*posted.mailgun_fields(request("two")), *posted.mailgun_proof()])
    )
    assert [send(site, "mailgun", each) for each in (first, second, first)] == [200, 401, 200]
    assert [mail.message_id for mail in site.queued()] == ["one@example.org"]


def test_it_counts_for_one_after_a_restart_too(quick_path: Path) -> None:
    toml = LISTEN + posted.hooks(quick_path)
    proof = posted.mailgun_proof()
    for name, status in (("one", 200), ("two", 401)):
        given = Posted(*posted.multipart([*posted.mailgun_fields(request(name)), *proof]))
        with Site(quick_path, toml) as site:
            assert send(site, "mailgun", given) == status


def two_mails(name: str) -> Posted:
    """With two fields of the mail, where somebody may have looked at either."""
    raw = request("twice")
    if name == "mailgun":
        return mailgun(posted.mailgun_proof(), [("body-mime", raw)])
    if name == "sendgrid":
        return posted.sendgrid_signed(*posted.multipart([("email", raw), ("email", b"a\n")]))
    if name == "cloudmailin":
        headers, body = posted.multipart([("message", raw), ("message", b"a\n")])
        return Posted({**headers, **posted.basic()}, body)
    if name == "postmark":
        text = json.dumps(raw.decode()).encode()
        body = b'{"RawEmail": %s, "RawEmail": "a"}' % text
        return Posted({**posted.postmark(raw).headers}, body)
    if name == "postal":
        encoded = base64.b64encode(raw)
        return postal_signed(b'{"base64": true, "message": "%s", "message": "YQo="}' % encoded)
    body = b'{"raw": %s, "raw": "a\\n"}' % json.dumps(raw.decode()).encode()
    signature = hmac.new(posted.SECRET.encode(), body, hashlib.sha256).hexdigest()
    return Posted({"Content-Type": "application/json", "X-Webhook-Signature": signature}, body)


def postal_signed(body: bytes) -> Posted:
    return posted.postal_signed({"Content-Type": "application/json"}, body)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("mailgun", 503), ("sendgrid", 503), ("postmark", 503), ("cloudmailin", 503),
        ("postal", 503), ("forwardemail", HANGS_UP),
    ],
)  # fmt: skip
def test_two_mails_under_one_name_are_neither(site: Site, name: str, status: int) -> None:
    assert send(site, name, two_mails(name)) == status
    assert site.queued() == []


NO_MAIL: dict[str, tuple[str, Callable[[], Posted], int]] = {
    "mailgun without mime in its URL": (
        "mailgun",
        lambda: Posted(
            *posted.multipart([("body-plain", b"Recheck-request: a"), *posted.mailgun_proof()])
        ),
        503,
    ),
    "sendgrid without send_raw": (
        "sendgrid",
        lambda: posted.sendgrid_signed(*posted.multipart([("text", b"Recheck-request: a")])),
        503,
    ),
    "postmark without RawEmail": (
        "postmark",
        lambda: Posted(posted.postmark(b"a\n").headers, b'{"TextBody": "Recheck-request: a"}'),
        503,
    ),
    "postal without Base64": ("postal", lambda: postal_signed(b'{"message": "From: a"}'), 503),
    "mandrill with a strange list": ("mandrill", lambda: posted.mandrill_events(b"7"), 503),
    "mandrill with strange events": ("mandrill", lambda: posted.mandrill_events(b'["a"]'), 503),
}


@pytest.mark.parametrize("case", NO_MAIL)
def test_a_service_that_is_set_wrongly_keeps_the_mail_and_the_log_says_what_to_set(
    site: Site, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, made, status = NO_MAIL[case]
    assert send(site, name, made()) == status
    (told,) = [each.message for each in caplog.records if each.levelname == "ERROR"]
    assert f"/mail/{name} got no mail from {name}" in told


def test_mandrill_asks_by_head_and_tries_a_new_webhook(site: Site) -> None:
    assert site.post("/mail/mandrill", b"", method="HEAD") == (200, "")
    assert send(site, "mandrill", posted.mandrill_events(b"[]", "test-webhook")) == 200
    assert site.post("/mail/mailgun", b"", method="HEAD") == (405, "")


def test_several_mails_of_one_request_are_all_taken(site: Site) -> None:
    mails = [request(f"m{number}") for number in range(30)]
    assert send(site, "mandrill", posted.mandrill(*mails)) == 200
    assert sorted(mail.raw for mail in site.queued()) == sorted(mails)


def test_any_hook_may_want_user_and_password_as_well(quick_path: Path) -> None:
    toml = posted.hooks(quick_path).replace(
        '[hook.mailgun]\n', f'[hook.mailgun]\nbasic_file = "{quick_path}/basic"\n'
    )  # fmt: skip
    given = posted.mailgun(request("both"))
    with Site(quick_path, LISTEN + toml) as site:
        assert send(site, "mailgun", given) == 401
        assert send(site, "mailgun", Posted(given.headers | posted.basic(), given.body)) == 200


def test_a_secret_is_replaced_without_a_gap(site: Site, quick_path: Path) -> None:
    (quick_path / "secret").write_text(f"new-secret\n{posted.SECRET}\n")
    assert send(site, "mailgun", posted.mailgun(request("old"))) == 200
    (quick_path / "secret").write_text("new-secret\n")
    assert send(site, "mailgun", mailgun(posted.mailgun_proof(token="another"))) == 401


@pytest.mark.parametrize(("name", "status"), [("mailgun", 503), ("forwardemail", HANGS_UP)])
def test_a_secret_that_cannot_be_read_is_our_trouble(
    site: Site, quick_path: Path, name: str, status: int
) -> None:
    (quick_path / "secret").unlink()
    assert send(site, name, posted.SERVICES[name](request("x"))) == status


AGAIN = {name: HANGS_UP if name == "forwardemail" else 503 for name in posted.SERVICES}


@pytest.mark.parametrize("name", posted.SERVICES)
def test_a_ledger_that_cannot_be_written_makes_the_service_try_again(
    quick_path: Path, amazon: object, name: str
) -> None:
    with Site(quick_path, LISTEN + posted.hooks(quick_path)) as site:
        (quick_path / "ledger.sqlite").unlink(missing_ok=True)
        (quick_path / "ledger.sqlite").mkdir()
        assert send(site, name, posted.SERVICES[name](request("x"))) == AGAIN[name]
        (quick_path / "ledger.sqlite").rmdir()
        assert send(site, name, posted.SERVICES[name](request("x"))) == 200


@pytest.mark.parametrize("name", posted.SERVICES)
def test_a_bug_of_ours_makes_the_service_try_again(
    quick_path: Path, amazon: object, name: str
) -> None:
    async def broken(raw: bytes, source: str, envelope: Envelope) -> object:
        raise RuntimeError("a bug")

    with Site(quick_path, LISTEN + posted.hooks(quick_path), accept=broken) as site:  # type: ignore[arg-type]
        assert send(site, name, posted.SERVICES[name](request("x"))) == AGAIN[name]


WRONG_TABLES = {
    'service = "mailgun"': "[hook.x]: mailgun needs secret_file",
    'service = "sendgrid"': "[hook.x]: sendgrid needs secret_file, or basic_file",
    'service = "mandrill"\nsecret_file = "/s"': "[hook.x]: mandrill needs secret_file and url",
    'service = "postmark"\nbasic_file = "/b"\nsecret_file = "/s"': (
        "[hook.x]: postmark has no use for secret_file"
    ),
    'service = "ses"\ntopics = ["inbound"]': "[hook.x] topics: 'inbound' is not a TopicArn",
    'service = "gmail"': "service is 'gmail', but must be \"mailgun\" or",
    'secret_file = "/s"': "service",
}


@pytest.mark.parametrize("table", WRONG_TABLES)
def test_a_table_that_makes_no_sense_is_told_at_the_start(quick_path: Path, table: str) -> None:
    with pytest.raises(ConfigError) as told, Site(quick_path, f"{LISTEN}[hook.x]\n{table}\n"):
        pass
    assert WRONG_TABLES[table] in str(told.value)
