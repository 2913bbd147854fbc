# SPDX-License-Identifier: BSD-3-Clause
"""For each service a request of its own making, proven with what a hook is configured with, which
holds a mail without a request. Only a service whose signature takes a private key has none.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus

from ingest.web.hooks import Hook, Keys

MAIL = (
    b"From: check@localhost\r\nSubject: recheck-ingest check\r\n\r\n"
    b"This mail tries a hook. It holds no request.\r\n"
)
_TEXT = MAIL.decode()
_BOUNDARY = "recheck-ingest-check"


@dataclass(frozen=True, slots=True)
class Sample:
    """A request to be posted."""

    headers: Mapping[str, str]
    body: bytes


def sample(hook: Hook, keys: Keys) -> Sample | None:
    """A request that the hook must take, None if only the service can make one."""
    if hook.table.secret_file and hook.service.public:
        return None
    make = _SAMPLES.get(hook.service.name)
    if make is None:
        return None
    made = make(hook, keys)
    return Sample({**made.headers, **credentials(keys)}, made.body)


def credentials(keys: Keys) -> dict[str, str]:
    """The header of user and password, if there are any."""
    if not keys.basic:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(keys.basic[0]).decode()}"}


def _mailgun(hook: Hook, keys: Keys) -> Sample:
    stamp, token = str(int(time.time())), secrets.token_hex(25)
    signature = hmac.new(keys.secrets[0], f"{stamp}{token}".encode(), hashlib.sha256)
    proof = {"timestamp": stamp, "token": token, "signature": signature.hexdigest()}
    return _form({**proof, "body-mime": _TEXT})


def _sendgrid(hook: Hook, keys: Keys) -> Sample:
    return _form({"email": _TEXT, "envelope": "{}"})


def _cloudmailin(hook: Hook, keys: Keys) -> Sample:
    return _form({"message": _TEXT})


def _postmark(hook: Hook, keys: Keys) -> Sample:
    return _json({"RawEmail": _TEXT})


def _mandrill(hook: Hook, keys: Keys) -> Sample:
    events = json.dumps([{"event": "inbound", "msg": {"raw_msg": _TEXT}}])
    covered = f"{hook.table.url}mandrill_events{events}"
    signature = hmac.new(keys.secrets[0], covered.encode(), hashlib.sha1).digest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Mandrill-Signature": base64.b64encode(signature).decode(),
    }
    return Sample(headers, f"mandrill_events={quote_plus(events)}".encode())


def _forwardemail(hook: Hook, keys: Keys) -> Sample:
    made = _json({"raw": _TEXT})
    if not keys.secrets:
        return made
    signature = hmac.new(keys.secrets[0], made.body, hashlib.sha256).hexdigest()
    return Sample({**made.headers, "X-Webhook-Signature": signature}, made.body)


_SAMPLES: Mapping[str, Callable[[Hook, Keys], Sample]] = {
    "mailgun": _mailgun,
    "sendgrid": _sendgrid,
    "postmark": _postmark,
    "cloudmailin": _cloudmailin,
    "mandrill": _mandrill,
    "forwardemail": _forwardemail,
}


def _json(values: Mapping[str, str]) -> Sample:
    return Sample({"Content-Type": "application/json"}, json.dumps(values).encode())


def _form(fields: Mapping[str, str]) -> Sample:
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    body = f"{''.join(parts)}--{_BOUNDARY}--\r\n".encode()
    return Sample({"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}, body)
