# SPDX-License-Identifier: BSD-3-Clause
"""Which way a mail came: whether from a host of its list. Pure. Anybody can write a list's header
fields, but not from its hosts.
"""

import re

from ingest import addresses
from ingest.config.tables import Settings
from ingest.ledger import Envelope
from ingest.mail import headers
from ingest.mail.headers import Head
from ingest.mail.trust import LIST

_BY_SMTP = ("smtp", "lmtp")
# A comment without an address in it, such as what Postfix says of TLS.
_COMMENT = r"\([^()\[\]]*\)"
# The client's address and the server's name (RFC 5321, section 4.4), as Postfix, OpenSMTPD,
# Sendmail and Exim write them. What is before is the client's own greeting.
_FROM_BY = r"(?i)\[(?:IPv6:)?([0-9A-Fa-f.:]+)\]\s*\)\s+by\s+([^\s;()]+)"
_LONGEST_RECEIVED = 2000


def of(raw: bytes, source: str, envelope: Envelope, settings: Settings) -> str:
    """The passage of a mail: "list", or "" if it is not known to have come from its list."""
    if not settings.list:
        return ""
    head = headers.read(raw)
    list_id = headers.list_id(head)
    hosts = [
        network
        for each in settings.list.values()
        if each.list_id.lower() == list_id
        for network in addresses.networks(each.hosts)
    ]
    if not hosts:
        return ""
    peer = _client(head, source, envelope, settings.policy.received_by)
    return LIST if addresses.within(peer, hosts) else ""


def is_by_own_server(source: str, envelope: Envelope) -> bool:
    """Whether a mail was handed over by a mail server of this machine, which wrote the topmost
    fields. Others may write what they like there."""
    if source in _BY_SMTP:
        return not addresses.is_host(envelope.peer) or addresses.is_loopback(envelope.peer)
    return source == "pipe" or source.startswith("maildir ")


def _client(head: Head, source: str, envelope: Envelope, received_by: tuple[str, ...]) -> str:
    """The address of the host that a mail came from, "" if that cannot be told."""
    if not is_by_own_server(source, envelope):
        return envelope.peer if source in _BY_SMTP else ""
    return received_from(head.first("received"), received_by) if received_by else ""


def received_from(field: str, received_by: tuple[str, ...]) -> str:
    """The client's address in a Received field that one of these servers wrote, "" for any other.
    A client that writes another such clause into its greeting makes it ambiguous."""
    if len(field) > _LONGEST_RECEIVED:
        return ""
    while (shorter := re.sub(_COMMENT, " ", field)) != field:
        field = shorter
    found = re.findall(_FROM_BY, field)
    if len(found) != 1 or found[0][1].lower() not in map(str.lower, received_by):
        return ""
    return str(found[0][0])
