# SPDX-License-Identifier: BSD-3-Clause
"""What the e-mail services post, made with their keys as their manuals say, without the program's
own code."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote_plus

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from tests.support import amazon

SECRET = "key-0123456789abcdef"
BASIC = "recheck:pass:word"
MANDRILL_URL = "https://lab.example.org/mail/mandrill"
SENDER, RECIPIENT = "robin@example.org", "recheck@lab.example"


@dataclass
class Posted:
    """A request, to be forged or sent."""

    headers: dict[str, str]
    body: bytes
    also: dict[str, str] = field(default_factory=dict)


def basic(credentials: str = BASIC) -> dict[str, str]:
    """The header of user and password."""
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def urlencoded(fields: list[tuple[str, bytes]]) -> tuple[dict[str, str], bytes]:
    """A form of the simpler kind."""
    pairs = [f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields]
    return {"Content-Type": "application/x-www-form-urlencoded"}, "&".join(pairs).encode()


def multipart(fields: list[tuple[str, bytes]]) -> tuple[dict[str, str], bytes]:
    """A form of the other kind."""
    boundary = "xYzZY"
    parts = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (boundary.encode(), name.encode(), value)
        for name, value in fields
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return headers, parts + b"--%s--\r\n" % boundary.encode()


def as_json(values: object) -> tuple[dict[str, str], bytes]:
    """A document."""
    return {"Content-Type": "application/json; charset=utf-8"}, json.dumps(values).encode()


def mailgun_proof(
    secret: str = SECRET, *, age: float = 0, token: str = "t" * 50
) -> list[tuple[str, bytes]]:
    """The fields that Mailgun proves itself by; they cover no mail."""
    stamp = str(int(time.time() - age))
    signature = hmac.new(secret.encode(), f"{stamp}{token}".encode(), hashlib.sha256)
    return [
        ("timestamp", stamp.encode()),
        ("token", token.encode()),
        ("signature", signature.hexdigest().encode()),
    ]


def mailgun_fields(raw: bytes) -> list[tuple[str, bytes]]:
    """The fields of a mail."""
    return [
        ("recipient", RECIPIENT.encode()),
        ("sender", SENDER.encode()),
        ("subject", b"Re: [PATCH] a"),
        ("body-mime", raw),
    ]


def mailgun(raw: bytes) -> Posted:
    return Posted(*multipart([*mailgun_fields(raw), *mailgun_proof()]))


@cache
def sendgrid_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sendgrid_signed(headers: dict[str, str], body: bytes) -> Posted:
    """With the signature of a security policy."""
    stamp = "1600112502"
    signature = sendgrid_key().sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return Posted(
        {
            **headers,
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        },
        body,
    )


def sendgrid(raw: bytes) -> Posted:
    envelope = json.dumps({"to": [RECIPIENT], "from": SENDER}).encode()
    fields = [("headers", b"x"), ("envelope", envelope), ("email", raw), ("charsets", b"{}")]
    return sendgrid_signed(*multipart(fields))


def postmark(raw: bytes) -> Posted:
    headers, body = as_json(
        {
            "FromName": "Robin",
            "OriginalRecipient": RECIPIENT,
            "Headers": [
                {"Name": "Return-Path", "Value": f"<{SENDER}>"},
                {"Name": "Received", "Value": "by mx"},
            ],
            "RawEmail": raw.decode(),
        }
    )
    return Posted({**headers, **basic()}, body)


def cloudmailin(raw: bytes) -> Posted:
    headers, body = multipart(
        [
            ("envelope[to]", RECIPIENT.encode()),
            ("envelope[from]", SENDER.encode()),
            ("envelope[recipients][0]", RECIPIENT.encode()),
            ("message", raw),
        ]
    )
    return Posted({**headers, **basic()}, body)


def mandrill_events(events: bytes, secret: str = SECRET) -> Posted:
    """Any events, signed."""
    headers, body = urlencoded([("mandrill_events", events)])
    covered = MANDRILL_URL.encode() + b"mandrill_events" + events
    signature = hmac.new(secret.encode(), covered, hashlib.sha1).digest()
    return Posted({**headers, "X-Mandrill-Signature": base64.b64encode(signature).decode()}, body)


def mandrill(*raws: bytes) -> Posted:
    events = [
        {"event": "inbound", "ts": 1, "msg": {"raw_msg": raw.decode(), "email": RECIPIENT}}
        for raw in raws
    ]
    return mandrill_events(json.dumps([*events, {"event": "send", "msg": {}}]).encode())


def forwardemail(raw: bytes) -> Posted:
    headers, body = as_json(
        {"raw": raw.decode(), "session": {"sender": SENDER}, "recipients": [RECIPIENT]}
    )
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return Posted({**headers, "X-Webhook-Signature": signature}, body)


def postal_signed(headers: dict[str, str], body: bytes) -> Posted:
    """With both of Postal's signatures."""
    sign = amazon.key().sign
    signatures = {
        "X-Postal-Signature": sign(body, padding.PKCS1v15(), hashes.SHA1()),
        "X-Postal-Signature-256": sign(body, padding.PKCS1v15(), hashes.SHA256()),
    }
    return Posted(
        {**headers, **{k: base64.b64encode(v).decode() for k, v in signatures.items()}}, body
    )


def postal(raw: bytes) -> Posted:
    told = {"id": 1, "rcpt_to": RECIPIENT, "mail_from": SENDER, "size": len(raw), "base64": True}
    return postal_signed(*as_json({**told, "message": base64.encodebytes(raw).decode()}))


def postal_form(raw: bytes) -> Posted:
    fields = {"rcpt_to": RECIPIENT, "mail_from": SENDER, "base64": "true"}
    pairs = [(name, value.encode()) for name, value in fields.items()]
    return postal_signed(*urlencoded([*pairs, ("message", base64.encodebytes(raw))]))


def ses(raw: bytes) -> Posted:
    notification = amazon.notification(raw)
    return Posted(*amazon.posted(amazon.signed(amazon.message("Notification", notification))))


SERVICES: dict[str, Callable[[bytes], Posted]] = {
    "mailgun": mailgun,
    "sendgrid": sendgrid,
    "postmark": postmark,
    "cloudmailin": cloudmailin,
    "mandrill": mandrill,
    "forwardemail": forwardemail,
    "postal": postal,
    "ses": ses,
}
# Which pass every byte on as it was.
EXACT = ("mailgun", "sendgrid", "cloudmailin", "postal", "ses")


def hooks(folder: Path) -> str:
    """The configuration of a hook for each service, named as it, with its files."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    sendgrid_der = sendgrid_key().public_key().public_bytes(serialization.Encoding.DER, spki)
    postal_pem = amazon.key().public_key().public_bytes(serialization.Encoding.PEM, spki)
    files = {
        "secret": f"{SECRET}\n".encode(),
        "basic": f"{BASIC}\n".encode(),
        "sendgrid": base64.b64encode(sendgrid_der),
        "postal": postal_pem,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    tables = {
        "mailgun": f'secret_file = "{folder}/secret"',
        "sendgrid": f'secret_file = "{folder}/sendgrid"',
        "postmark": f'basic_file = "{folder}/basic"',
        "cloudmailin": f'basic_file = "{folder}/basic"',
        "mandrill": f'secret_file = "{folder}/secret"\nurl = "{MANDRILL_URL}"',
        "forwardemail": f'secret_file = "{folder}/secret"',
        "postal": f'secret_file = "{folder}/postal"',
        "ses": f'topics = ["{amazon.TOPIC}"]',
    }
    return "".join(
        f'[hook.{name}]\nservice = "{name}"\n{settings}\n' for name, settings in tables.items()
    )
