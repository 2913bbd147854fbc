# SPDX-License-Identifier: BSD-3-Clause
"""Signatures that others made, published by the services and by those who maintain receivers."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization

from ingest.web import proofs
from tests.support import amazon

# Of rails, actionmailbox/test/controllers/ingresses/mailgun.
MAILGUN_KEY = b"tbsy84uSV1Kt3ZJZELY2TmShPRs91E3yL4tzf96297vBCkDWgL"
MAILGUN_PARTS = (b"1539112500", b"7VwW7k6Ak7zcTwoSoNm7aTtbk1g67MKAnsYLfUB7PdszbgR5Xi")
MAILGUN_SIGNATURE = b"ef24c5225322217bb065b80bb54eb4f9206d764e3e16abab07f0a64d1cf477cc"

# Of sendgrid-python, test/unit/test_eventwebhook.py.
SENDGRID_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2"
    "fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
SENDGRID_SIGNATURE = (
    b"MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtE"
    b"ZtM="
)
SENDGRID_PARTS = (
    b"1600112502",
    (
        b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
        b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
        b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
        b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
    ),
)


def changed(parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (*parts[:-1], parts[-1] + b"0")


def test_the_published_signature_of_mailgun_counts() -> None:
    given = proofs.from_hex(MAILGUN_SIGNATURE)
    assert proofs.hmac_is("sha256", [MAILGUN_KEY], MAILGUN_PARTS, given)
    assert not proofs.hmac_is("sha256", [MAILGUN_KEY], changed(MAILGUN_PARTS), given)
    assert not proofs.hmac_is("sha256", [MAILGUN_KEY[:-1]], MAILGUN_PARTS, given)


def test_the_published_signature_of_sendgrid_counts() -> None:
    keys = proofs.public_keys(SENDGRID_KEY)
    given = proofs.from_base64(SENDGRID_SIGNATURE)
    assert proofs.is_signed(keys, SENDGRID_PARTS, given, "sha256")
    assert not proofs.is_signed(keys, changed(SENDGRID_PARTS), given, "sha256")


def der() -> str:
    public = amazon.key().public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(public.public_bytes(serialization.Encoding.DER, spki)).decode()


def pem() -> str:
    public = amazon.key().public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, spki).decode()


@pytest.mark.parametrize(
    "written",
    [
        pem,
        der,
        lambda: f"v=DKIM1; t=s; h=sha256; p={der()};",
        lambda: f"{pem()}\n{pem()}",
        lambda: f"{der()}\n\n{SENDGRID_KEY}\n",
    ],
    ids=["PEM", "Base64", "DKIM", "two of PEM", "two lines"],
)
def test_a_public_key_is_read_however_it_is_written(written: object) -> None:
    assert callable(written)
    keys = proofs.public_keys(written())
    assert keys[0].public_numbers() == amazon.key().public_key().public_numbers()


@pytest.mark.parametrize("text", ["a secret", "p=", "-----BEGIN PUBLIC KEY-----\nAAAA\n", "AAAA"])
def test_what_is_not_a_public_key_is_told(text: str) -> None:
    with pytest.raises(proofs.BadKey):
        proofs.public_keys(text)


@pytest.mark.parametrize("text", [b"", b"zz", b"a", b"\xff", "é".encode()])
def test_a_signature_that_is_not_written_as_one_never_counts(text: bytes) -> None:
    for given in (proofs.from_hex(text), proofs.from_base64(text)):
        assert not proofs.hmac_is("sha256", [b"key"], [b"part"], given)


def test_an_empty_secret_never_counts() -> None:
    assert not proofs.any_equal(b"", [b""])
    assert not proofs.hmac_is("sha256", [b""], [b"part"], b"")
