# SPDX-License-Identifier: BSD-3-Clause
"""Is this signature, or this password, what it must be? Pure; each comparison takes as long
whether it fails early or late. RSA and ECDSA need the package cryptography, imported when used.
"""

import base64
import binascii
import hmac
import importlib.util
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_PEM = "-----BEGIN"
# v=DKIM1; t=s; h=sha256; p=MIGf…
_DKIM = re.compile(r"(?:^|;)\s*p=([A-Za-z0-9+/=]+)")


class BadKey(ValueError):
    """What is configured as a public key is not one; the text says what it should be."""


def has_cryptography() -> bool:
    """Whether RSA and ECDSA can be checked here."""
    return importlib.util.find_spec("cryptography") is not None


def any_equal(given: bytes, right: Iterable[bytes]) -> bool:
    """Whether a secret is one of several; empty ones never are."""
    found = False
    for each in right:
        found |= bool(each) and hmac.compare_digest(given, each)
    return found


def hmac_is(algorithm: str, keys: Iterable[bytes], parts: Iterable[bytes], given: bytes) -> bool:
    """Whether ``given`` is the HMAC under one of the keys over the parts joined. ``given`` is
    the digest itself. See ``from_hex`` and ``from_base64``."""
    digests = [hmac.new(key, digestmod=algorithm) for key in keys if key]
    for part in parts:
        for each in digests:
            each.update(part)
    return any_equal(given, [each.digest() for each in digests])


def from_hex(text: bytes) -> bytes:
    """The bytes that are written in hexadecimal digits; none if it is something else."""
    try:
        return binascii.unhexlify(text.strip())
    except (binascii.Error, ValueError):
        return b""


def from_base64(text: bytes) -> bytes:
    """The bytes that are written in Base64; none if it is something else."""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def public_keys(text: str) -> list["Key"]:
    """The RSA and elliptic-curve keys of a file: PEM, or on each line Base64 of
    SubjectPublicKeyInfo, also as a DKIM record has it (RFC 6376, 3.6.1). Raises ``BadKey``."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    keys: list[Key] = []
    for each in _written_keys(text):
        try:
            if each.startswith(_PEM):
                key = serialization.load_pem_public_key(each.encode())
            else:
                key = serialization.load_der_public_key(base64.b64decode(each, validate=True))
        except ValueError as error:
            raise BadKey("it holds no public key in PEM or Base64") from error
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise BadKey("it holds a key that is neither RSA nor of an elliptic curve")
        keys.append(key)
    return keys


def _written_keys(text: str) -> list[str]:
    if _PEM in text:
        return [_PEM + each for each in text.split(_PEM)[1:]]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [(_DKIM.search(line), line) for line in lines]
    return [match[1] if match else line for match, line in found]


def is_signed(keys: Iterable["Key"], parts: Iterable[bytes], given: bytes, hash: str) -> bool:
    """Whether one of the keys made this signature over the parts joined: RSA with PKCS #1 v1.5,
    or ECDSA in DER. ``hash``: "sha1" or "sha256"."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    algorithm = {"sha1": hashes.SHA1, "sha256": hashes.SHA256}[hash]()
    digest: Any = hashes.Hash(algorithm)
    for part in parts:
        digest.update(part)
    value, known = digest.finalize(), utils.Prehashed(algorithm)
    for key in keys:
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(given, value, padding.PKCS1v15(), known)
            else:
                key.verify(given, value, ec.ECDSA(known))
        except InvalidSignature:
            continue
        return True
    return False
