# SPDX-License-Identifier: BSD-3-Clause
"""``check --send-test``: a mail through this machine's mail server, waited for in the signs of
life. It is no sign of life of a list, and holds no request.
"""

import secrets
import time
from collections.abc import Iterator, Sequence

from ingest import signs
from ingest.commands.alias import Alias
from ingest.config.tables import Settings
from ingest.errors import SinkUnavailable
from ingest.mail.peek import TEST_FIELD
from ingest.sinks import sendmail
from ingest.words import ago

_PATIENCE = 30.0
_NAP = 0.1

_WHAT = "test mail"
_MAIL = """\
From: recheck-ingest <>
To: {address}
Subject: a test of recheck-ingest
Date: {date}
Message-ID: <{token}@recheck-ingest.test>
Auto-Submitted: auto-generated
{field}: {token}

This mail tests whether mail reaches recheck-ingest. Nothing is to be done about it.
"""


def findings(
    settings: Settings, pipes: Sequence[Alias], address: str
) -> Iterator[tuple[str, str, str]]:
    """Send the mail, and say by which source it came: level, what it is about, and the text.
    ``address``: whom it is sent to, "" for the first alias that runs our pipe."""
    address = address or next((each.name for each in pipes), "")
    if not address or address.startswith("-"):
        text = "no alias runs recheck-ingest pipe: give the address, --send-test ADDRESS"
        yield "problem", _WHAT, text
        return
    token = secrets.token_hex(8)
    begun = time.monotonic()
    if problem := _sent(address, token):
        yield "problem", _WHAT, f"it could not be sent to {address}: {problem}"
        return
    patience = settings.signs.test_timeout
    folders = dict.fromkeys([settings.state.dir, *(each.state for each in pipes if each.state)])
    while time.monotonic() - begun < patience:
        for folder in folders:
            if source := signs.test_came_by(folder, token):
                took = ago(time.monotonic() - begun)
                yield "ok", _WHAT, f"sent to {address}, it came by {source} within {took}"
                return
        time.sleep(_NAP)
    text = (
        f"sent to {address}, it has not come within {patience:.0f} s: look for {token} in the mail "
        f"server's log, and whether {settings.state.dir} is the state that the source is given"
    )
    yield "problem", _WHAT, text


def _sent(address: str, token: str) -> str:
    """Hand the mail to the mail server. What went wrong, "" if nothing did."""
    from email.utils import formatdate

    mail = _MAIL.format(address=address, date=formatdate(), token=token, field=TEST_FIELD).encode()
    try:
        sendmail.send(address, mail, _PATIENCE)
    except SinkUnavailable as error:
        return str(error)
    return ""
