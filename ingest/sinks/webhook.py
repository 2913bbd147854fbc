# SPDX-License-Identifier: BSD-3-Clause
"""The sink [webhook.NAME]: sends each request to a URL by POST, signed as the Standard Webhooks
specification has it, or in the form of GitHub's repository_dispatch.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from contextlib import closing
from http.client import responses
from typing import Any
from urllib.parse import urljoin, urlsplit

from ingest import __version__
from ingest.config import secret
from ingest.config.sink_tables import WebhookSettings
from ingest.config.tables import Settings
from ingest.errors import NotTaken, SinkUnavailable, TurnedAway, Unavailable
from ingest.ledger import Request
from ingest.policy.manners import Manners
from ingest.sinks import Clock, Configured, Stop
from ingest.sinks.request_json import shape
from ingest.transport import Client, Reply, retry_after
from ingest.words import printable

_PREFIX = "whsec_"
# Bytes of an answer, of which a status and a sentence are all that matters.
_MOST = 1 << 20
# What says something of the request, so that it is of no use to send the same again: Bad Request,
# Conflict, Gone, Content Too Large, Unsupported Media Type, Unprocessable Content (RFC 9110). All
# else, such as a wrong token, a wrong path or a redirect to a login, says something of us.
_OF_THE_REQUEST = (400, 409, 410, 413, 415, 422)
_ALWAYS = {"User-Agent": f"recheck-ingest/{__version__}", "Accept-Encoding": "identity"}


def receiver(name: str, settings: Settings) -> Configured:
    """The configured sink of this name."""
    return Webhook(name, settings.webhook[name], settings)


class Webhook:
    """A ``Receiver`` that is a URL."""

    once_per_mail = False
    manners = Manners()

    def __init__(
        self, name: str, table: WebhookSettings, settings: Settings, clock: Clock = time.time
    ) -> None:
        self.name = f"webhook:{name}"
        self._table = table
        self._settings = settings
        self._clock = clock

    @property
    def purpose(self) -> str:
        """See ``Configured``."""
        return f"posts to {origin(self._table.url)}"

    def problems(self) -> list[str]:
        """See ``Configured``."""
        return secret.problems(self._secrets())

    def dangers(self) -> list[str]:
        """See ``Configured``."""
        return secret.in_clear(self._table.url) if self._table.token_file else []

    def _secrets(self) -> dict[str, str]:
        return {"secret_file": self._table.secret_file, "token_file": self._table.token_file}

    def give(self, request: Request, *, again: bool, stop: Stop) -> str:
        """See ``Receiver``. A 2xx confirms. The webhook is unavailable if it answers 5xx, 408, 429,
        or 403 with a time to come again, as GitHub does, or if it does not answer."""
        body = json.dumps(self._form(request)).encode()
        headers = {**self._headers(request.id, body), **self._token()}
        # With a connection of its own: one that has been idle for days may be dead, and a POST
        # that breaks off may have arrived.
        client = Client(_ALWAYS, max_answer=_MOST, server="the webhook", shown=origin)
        with closing(client):
            try:
                reply = client.post(self._table.url, body, self._table.timeout, headers)
            except Unavailable as error:
                raise SinkUnavailable(str(error)) from error
        return self._outcome(reply)

    def _form(self, request: Request) -> dict[str, Any]:
        if not self._table.event_type:
            return shape(request, self._settings)
        # GitHub takes ten keys at most; below one, there are as many as we like.
        return {
            "event_type": self._table.event_type,
            "client_payload": {"request": shape(request, self._settings)},
        }

    def _headers(self, id: str, body: bytes) -> dict[str, str]:
        now = int(self._clock())
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Idempotency-Key": id,
            "webhook-id": id,
            "webhook-timestamp": str(now),
        }
        if self._table.event_type:
            headers["Accept"] = "application/vnd.github+json"
        if self._table.secret_file:
            # Of several, one a line, each signs: so a secret is replaced without a gap.
            secrets = secret.read(self._table.secret_file, "secret_file").splitlines()
            keys = [self._key(each.strip()) for each in secrets if each.strip()]
            headers["webhook-signature"] = " ".join(sign(key, id, now, body) for key in keys)
        return headers

    def _key(self, text: str) -> bytes:
        if not text.startswith(_PREFIX):
            return text.encode()
        reason = f"secret_file {self._table.secret_file}: what follows {_PREFIX} is not base64"
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise SinkUnavailable(reason) from error
        if not key:
            raise SinkUnavailable(reason)
        return key

    def _token(self) -> dict[str, str]:
        if not self._table.token_file:
            return {}
        return {"Authorization": f"Bearer {secret.token(self._table.token_file)}"}

    def _outcome(self, reply: Reply) -> str:
        answer = f"{reply.status} {responses.get(reply.status, '')}".rstrip()
        if 200 <= reply.status < 300:
            return answer
        reason = f"the webhook at {origin(self._table.url)} answers {answer}{_message(reply)}"
        location = reply.headers.get("Location")
        if 300 <= reply.status < 400 and location:
            target = origin(location, self._table.url)
            reason += f", to {target}; that is not followed: set url to where it leads"
        pause = retry_after(reply, self._clock())
        if reply.status >= 500 or reply.status in (408, 429) or (reply.status == 403 and pause):
            raise SinkUnavailable(reason, pause)
        raise NotTaken(reason) if reply.status in _OF_THE_REQUEST else TurnedAway(reason)


def sign(key: bytes, id: str, at: int, body: bytes) -> str:
    """One signature of the Standard Webhooks specification, symmetric: HMAC-SHA256 over id,
    time and body with dots between. ``at``: Unix time."""
    digest = hmac.digest(key, f"{id}.{at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def origin(url: str, base: str = "") -> str:
    """A URL, relative to ``base``, without what may be a secret in it: scheme, host and port."""
    try:
        parts = urlsplit(urljoin(base, url))
        host = parts.netloc.rpartition("@")[2]
        return printable(f"{parts.scheme}://{host}")
    except ValueError:
        return "no URL"


def _message(reply: Reply) -> str:
    """What a refusal says in JSON, as GitHub's and Jenkins' do."""
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        return ""
    said = content.get("message") if isinstance(content, dict) else None
    return f": {printable(said)}" if isinstance(said, str) and said.strip() else ""
