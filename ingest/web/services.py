# SPDX-License-Identifier: BSD-3-Clause
"""The e-mail services that post mail: for each, how it proves itself, where the mail is, and
which answer makes it do what. Where the facts are from is told in contrib/doc/http.md.
"""

import time
from collections.abc import Iterable, Mapping

from ingest.config.web_tables import HookSettings
from ingest.errors import ConfigError
from ingest.ledger import Envelope
from ingest.web import forms, proofs, sns
from ingest.web.forms import Malformed, Object
from ingest.web.hooks import HANG_UP, Delivery, Hook, Keys, NoMail, Presented, Refused, Service

_FORMS = (forms.URLENCODED, forms.MULTIPART)
# What Mandrill signs its trial of a new webhook with.
_MANDRILL_TRIAL = b"test-webhook"
# The settings of a hook that some services have no use for.
_SETTINGS = ("secret_file", "basic_file", "url", "topics", "window")


def _envelope(sender: str | None, recipients: Iterable[str | None]) -> Envelope:
    """What a service told. <> is the null sender, as "" is."""
    bare = None if sender is None else sender.strip().removeprefix("<").removesuffix(">")
    return Envelope(bare, tuple(each.strip() for each in recipients if each and each.strip()))


def _wanted(value: bytes | str | None, name: str) -> bytes:
    """The mail in a field. Raises ``NoMail``."""
    raw = forms.raw(value) if isinstance(value, str) else value
    if not raw or not raw.strip():
        raise NoMail(f"there is no {name}")
    return raw


# Mailgun.


def _prove_mailgun(hook: Hook, keys: Keys, request: Presented) -> None:
    stamp, token = request.form.one("timestamp"), request.form.one("token")
    given = proofs.from_hex(request.form.one("signature"))
    if not token or not proofs.hmac_is("sha256", keys.secrets, (stamp, token), given):
        raise Refused("its signature is wrong")
    age = time.time() - int(stamp) if stamp.isdigit() and len(stamp) < 15 else float("inf")
    if abs(age) > hook.table.window:
        raise Refused("its signature is too old, or of the future")


def _once_mailgun(request: Presented) -> str:
    return request.form.one("token").decode("latin-1")


def _mails_mailgun(hook: Hook, request: Presented) -> list[Delivery]:
    form = request.form
    raw = _wanted(form.get("body-mime"), "body-mime")
    to = (form.text("recipient") or "").split(",")
    return [Delivery(raw, _envelope(form.text("sender"), to))]


# SendGrid.


def _prove_signed_body(hook: Hook, keys: Keys, request: Presented) -> None:
    """SendGrid and Postal: a signature in the head over the body, with what is before it."""
    if not hook.table.secret_file:
        return
    name, *before = hook.service.signature
    parts = [request.head.one(each) or b"" for each in before]
    given = proofs.from_base64(request.head.one(name) or b"")
    if not proofs.is_signed(keys.public, [*parts, *request.body.pieces()], given, "sha256"):
        raise Refused("its signature is wrong")


def _mails_sendgrid(hook: Hook, request: Presented) -> list[Delivery]:
    raw = _wanted(request.form.get("email"), "email")
    written = request.form.get("envelope")
    told = Object(forms.read_json(written) if written else {})
    return [Delivery(raw, _envelope(told.text("from"), told.texts("to")))]


# Postmark, CloudMailin.


def _prove_nothing_more(hook: Hook, keys: Keys, request: Presented) -> None:
    """User and password are all; ``Hook.look`` has seen to them."""


def _mails_postmark(hook: Hook, request: Presented) -> list[Delivery]:
    raw = _wanted(request.json.text("RawEmail"), "RawEmail")
    first = next(iter(request.json.objects("Headers")), Object({}))
    is_path = (first.text("Name") or "").lower() == "return-path"
    sender = first.text("Value") if is_path else None
    return [Delivery(raw, _envelope(sender, [request.json.text("OriginalRecipient")]), True)]


def _mails_cloudmailin(hook: Hook, request: Presented) -> list[Delivery]:
    form = request.form
    raw = _wanted(form.get("message"), "message")
    to = form.beginning_with("envelope[recipients]") or [form.text("envelope[to]") or ""]
    return [Delivery(raw, _envelope(form.text("envelope[from]"), to))]


# Mandrill.


def _prove_mandrill(hook: Hook, keys: Keys, request: Presented) -> None:
    given = proofs.from_base64(request.head.one(b"x-mandrill-signature") or b"")
    fields = [part for name, value in request.form.items() for part in (name, value)]
    is_trial = request.form.get("mandrill_events") == b"[]"
    secrets = (*keys.secrets, *([_MANDRILL_TRIAL] if is_trial else []))
    if not proofs.hmac_is("sha1", secrets, (hook.table.url.encode(), *fields), given):
        raise Refused("its signature is wrong, or url is not the one that Mandrill has")


def _mails_mandrill(hook: Hook, request: Presented) -> list[Delivery]:
    events = forms.read_json(request.form.one("mandrill_events"))
    if not isinstance(events, list):
        raise Malformed("mandrill_events is not a list")
    inbound = [each for each in map(Object, events) if each.text("event") == "inbound"]
    mails = [each.object("msg") for each in inbound]
    return [
        Delivery(
            _wanted(each.text("raw_msg"), "raw_msg"), _envelope(None, [each.text("email")]), True
        )
        for each in mails
    ]


# Forward Email.


def _prove_forwardemail(hook: Hook, keys: Keys, request: Presented) -> None:
    if not hook.table.secret_file:
        return
    given = proofs.from_hex(request.head.one(b"x-webhook-signature") or b"")
    if not proofs.hmac_is("sha256", keys.secrets, request.body.pieces(), given):
        raise Refused("its signature is wrong")


def _mails_forwardemail(hook: Hook, request: Presented) -> list[Delivery]:
    raw = _wanted(request.json.text("raw"), "raw")
    sender = request.json.object("session").text("sender")
    return [Delivery(raw, _envelope(sender, request.json.texts("recipients")), True)]


# Postal.


def _mails_postal(hook: Hook, request: Presented) -> list[Delivery]:
    if request.head.kind == forms.JSON:
        message, sender, to = map(request.json.text, ("message", "mail_from", "rcpt_to"))
        is_base64 = request.json.get("base64") is True
    else:
        message, sender, to = map(request.form.text, ("message", "mail_from", "rcpt_to"))
        is_base64 = (request.form.text("base64") or "").lower() in ("true", "1")
    if not is_base64 or not message:
        raise NoMail("there is no message in Base64")
    raw = _wanted(proofs.from_base64("".join(message.split()).encode()), "message in Base64")
    return [Delivery(raw, _envelope(sender, [to]))]


# Amazon SES by SNS.


_SNS_HEAD = {
    b"x-amz-sns-message-type": "Type",
    b"x-amz-sns-message-id": "MessageId",
    b"x-amz-sns-topic-arn": "TopicArn",
}


def _prove_ses(hook: Hook, keys: Keys, request: Presented) -> None:
    message = request.json
    for field, name in _SNS_HEAD.items():
        if (message.text(name) or "").encode() != request.head.one(field):
            raise Refused(f"{field.decode()} is not what the message says")
    try:
        hook.sns.prove(message)
    except sns.Unsigned as error:
        raise Refused("Amazon has not signed it for one of the topics") from error


def _mails_ses(hook: Hook, request: Presented) -> list[Delivery]:
    kind = request.json.text("Type")
    if kind == "SubscriptionConfirmation":
        hook.sns.confirm(request.json)
    if kind != "Notification":
        return []
    try:
        told = Object(forms.read_json(request.json.text("Message") or ""))
    except Malformed:
        return []  # SES tells a new topic so that it may publish there
    receipt = told.object("receipt")
    if told.text("notificationType") != "Received":
        return []
    content = _wanted(told.text("content"), "content")
    is_base64 = (receipt.object("action").text("encoding") or "").lower() == "base64"
    raw = _wanted(proofs.from_base64(content), "content in Base64") if is_base64 else content
    envelope = _envelope(told.object("mail").text("source"), receipt.texts("recipients"))
    return [Delivery(raw, envelope, not is_base64)]


SERVICES: Mapping[str, Service] = {
    each.name: each
    for each in (
        Service(
            "mailgun",
            needs=(("secret_file",),),
            kinds=_FORMS,
            again=503,
            refused=401,
            give_up=406,
            hint="the URL of the route's forward() must end in mime",
            prove=_prove_mailgun,
            mails=_mails_mailgun,
            once=_once_mailgun,
        ),
        Service(
            "sendgrid",
            needs=(("secret_file",), ("basic_file",)),
            kinds=(forms.MULTIPART,),
            again=503,
            refused=503,
            give_up=413,
            hint="tick “POST the raw, full MIME message” in the settings of Inbound Parse",
            prove=_prove_signed_body,
            mails=_mails_sendgrid,
            signature=(
                b"x-twilio-email-event-webhook-signature",
                b"x-twilio-email-event-webhook-timestamp",
            ),
            public=True,
        ),
        Service(
            "postmark",
            needs=(("basic_file",),),
            kinds=(forms.JSON,),
            again=503,
            refused=401,
            give_up=403,
            hint="tick “Include raw email content in JSON payload” of the inbound stream",
            prove=_prove_nothing_more,
            mails=_mails_postmark,
        ),
        Service(
            "cloudmailin",
            needs=(("basic_file",),),
            kinds=(forms.MULTIPART,),
            again=503,
            refused=503,
            give_up=413,
            hint="choose the format “Raw” of the address",
            prove=_prove_nothing_more,
            mails=_mails_cloudmailin,
        ),
        Service(
            "mandrill",
            needs=(("secret_file", "url"),),
            kinds=(forms.URLENCODED,),
            again=503,
            refused=503,
            give_up=413,
            hint="the webhook must be one of an inbound route",
            prove=_prove_mandrill,
            mails=_mails_mandrill,
            signature=(b"x-mandrill-signature",),
            heads=True,
        ),
        Service(
            "forwardemail",
            needs=(("secret_file",), ("basic_file",)),
            kinds=(forms.JSON,),
            again=HANG_UP,
            refused=HANG_UP,
            give_up=413,
            hint="the payload must hold raw, as it does unless a paid plan leaves it out",
            prove=_prove_forwardemail,
            mails=_mails_forwardemail,
            signature=(b"x-webhook-signature",),
        ),
        Service(
            "postal",
            needs=(("secret_file",),),
            kinds=(forms.JSON, *_FORMS),
            again=503,
            refused=503,
            give_up=429,
            hint="choose the format “raw message” of the HTTP endpoint",
            prove=_prove_signed_body,
            mails=_mails_postal,
            signature=(b"x-postal-signature-256",),
            public=True,
        ),
        Service(
            "ses",
            needs=(("topics",),),
            kinds=(b"text/plain",),
            again=503,
            refused=503,
            give_up=413,
            hint="the action of the receipt rule must be SNS, with the encoding Base64",
            prove=_prove_ses,
            mails=_mails_ses,
            challenges=True,
            most=sns.MOST,
            asks=True,
        ),
    )
}


def configured(tables: Mapping[str, HookSettings], old: Mapping[str, Hook]) -> dict[str, Hook]:
    """The hooks by name; one whose table stays as it was goes on with what it remembers. Raises
    ``ConfigError``."""
    made = {}
    for name, table in tables.items():
        service, before = SERVICES[table.service], old.get(name)
        _check(f"[hook.{name}]", table, service)
        made[name] = before if before and before.table == table else Hook(name, table, service)
    return made


def _check(what: str, table: HookSettings, service: Service) -> None:
    default = HookSettings(service=table.service)
    given = {each for each in _SETTINGS if getattr(table, each) != getattr(default, each)}
    if useless := sorted(given - service.used):
        raise ConfigError(f"{what}: {service.name} has no use for {', '.join(useless)}")
    if not any(given >= set(several) for several in service.needs):
        right = ", or ".join(" and ".join(several) for several in service.needs)
        raise ConfigError(f"{what}: {service.name} needs {right}")
    for topic in table.topics:
        if not sns.host(topic):
            raise ConfigError(
                f"{what} topics: {topic!r} is not a TopicArn like "
                "arn:aws:sns:us-east-1:123456789012:inbound"
            )
    if needs_cryptography(table) and not proofs.has_cryptography():
        raise ConfigError(
            f"{what}: the signatures of {service.name} need the package cryptography: "
            "pip install 'recheck-ingest[hooks]'"
        )


def needs_cryptography(table: HookSettings) -> bool:
    """Whether what a hook checks takes RSA or ECDSA."""
    service = SERVICES[table.service]
    return service.asks or (service.public and bool(table.secret_file))
