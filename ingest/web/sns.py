# SPDX-License-Identifier: BSD-3-Clause
"""Messages of Amazon SNS: who signed them, and the confirmation of a subscription.

Whatever a message says, only Amazon's hosts in the region of a configured topic are asked, by
HTTPS, without redirects.
"""

import hashlib
import logging
import re
import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from ingest.errors import Temporary, Unavailable
from ingest.transport import Client, Reply
from ingest.web import proofs
from ingest.web.forms import Malformed, Object

log = logging.getLogger(__name__)

# Bytes of a message: 256 KB, and what JSON's escapes add.
MOST = 1 << 20

# arn:aws:sns:us-east-1:123456789012:topic
_TOPIC = re.compile(r"arn:(aws|aws-cn):sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
_DOMAINS = {"aws": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}
_HASHES = {"1": "sha1", "2": "sha256"}
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]

# Certificates kept. Amazon has one for each region, and a new one once in a while.
_MOST_CERTIFICATES = 8
_MOST_CONFIRMED = 1000
# Seconds without a question after one failed: forged messages cannot make us ask all the time.
_PAUSE = 10.0
_TIMEOUT = 5.0
_MOST_ANSWER = 1 << 16


class Unsigned(Exception):
    """Amazon did not sign this message for a topic of ours."""


def host(topic: str) -> str:
    """Amazon's host that speaks for a topic, "" if this is no TopicArn."""
    match = _TOPIC.fullmatch(topic)
    return f"sns.{match[2]}.{_DOMAINS[match[1]]}" if match else ""


class Sns:
    """What is remembered of Amazon over messages: certificates, and what was confirmed."""

    def __init__(self, topics: Iterable[str]) -> None:
        """``topics``: the TopicArns whose messages count."""
        self._topics = frozenset(topics)
        self._certificates: dict[str, proofs.Key] = {}
        self._confirmed: dict[bytes, None] = {}
        self._failed = -_PAUSE
        self._lock = threading.Lock()

    def is_wanted(self, topic: str | None) -> bool:
        """Whether this is one of the topics."""
        return topic in self._topics

    def prove(self, message: Object) -> None:
        """Raises ``Unsigned`` for a message that is not for one of the topics, or not signed by
        Amazon, and ``Temporary`` if its certificate cannot be had."""
        topic, version = message.text("TopicArn") or "", message.text("SignatureVersion") or ""
        keys = _SIGNED.get(message.text("Type") or "")
        if not self.is_wanted(topic) or keys is None or version not in _HASHES:
            raise Unsigned
        signature = proofs.from_base64((message.text("Signature") or "").encode())
        key = self._key(message.text("SigningCertURL") or "", host(topic))
        if not proofs.is_signed([key], _canonical(message, keys), signature, _HASHES[version]):
            raise Unsigned

    def confirm(self, message: Object) -> None:
        """Visit the SubscribeURL of a proven message, once. Raises ``Temporary``."""
        url, topic = message.text("SubscribeURL") or "", message.text("TopicArn") or ""
        if not _is_at(url, host(topic)):
            raise Malformed("SubscribeURL does not lead to Amazon")
        known = hashlib.sha256(url.encode()).digest()
        with self._lock:
            if known in self._confirmed:
                return
            reply = _ask(url)
            # The answer is not read: it says nothing that counts.
            if reply.status != 200:
                raise Temporary(f"the subscription to {topic} was answered {reply.status}")
            self._confirmed[known] = None
            while len(self._confirmed) > _MOST_CONFIRMED:
                del self._confirmed[next(iter(self._confirmed))]
        log.info("confirmed the subscription to %s", topic)

    def _key(self, url: str, at: str) -> "proofs.Key":
        """The key of a certificate. One is asked for at a time."""
        if not _is_at(url, at) or not _CERTIFICATE_PATH.fullmatch(urlsplit(url).path):
            raise Unsigned
        if known := self._certificates.get(url):  # whoever may wait for another one
            return known
        with self._lock:
            if url not in self._certificates:
                if time.monotonic() - self._failed < _PAUSE:
                    raise Temporary("Amazon's certificate could not be had a moment ago")
                self._failed = time.monotonic()
                self._certificates[url] = _certificate(_ask(url))
                self._failed = -_PAUSE
                while len(self._certificates) > _MOST_CERTIFICATES:
                    del self._certificates[next(iter(self._certificates))]
            return self._certificates[url]


def _canonical(message: Object, keys: Iterable[str]) -> Iterable[bytes]:
    """What is signed: each of the keys that is there, and its value, a line each (Amazon's
    guide, "Verifying the signatures of Amazon SNS messages")."""
    for key in keys:
        value = message.text(key)
        if value is not None:
            yield f"{key}\n{value}\n".encode("utf-8", "replace")


def _is_at(url: str, host: str) -> bool:
    """Whether a URL leads to this host by HTTPS, and says nothing else about the way."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    return bool(host) and plain and parts.scheme == "https" and parts.netloc == host


def _ask(url: str) -> Reply:
    """One question, on a connection whose certificate is checked up to a root that this machine
    trusts. Raises ``Temporary``."""
    client = Client({}, max_answer=_MOST_ANSWER, server="Amazon SNS")
    try:
        return client.get(url, _TIMEOUT)
    except Unavailable as error:
        raise Temporary(str(error)) from error
    finally:
        client.close()


def _certificate(reply: Reply) -> "proofs.Key":
    """The key in a certificate that is valid now. Raises ``Temporary``."""
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        found = x509.load_pem_x509_certificate(reply.body)
    except ValueError as error:
        raise Temporary("Amazon's certificate cannot be read") from error
    key = found.public_key()
    now = datetime.now(UTC)
    valid = found.not_valid_before_utc <= now <= found.not_valid_after_utc
    if reply.status != 200 or not valid or not isinstance(key, rsa.RSAPublicKey):
        raise Temporary("Amazon's certificate is not valid now")
    return key
