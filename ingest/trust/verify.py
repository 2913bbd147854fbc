# SPDX-License-Identifier: BSD-3-Clause
"""Who wrote a mail, as far as it can be proved: once, at the worker's first attempt."""

from importlib.util import find_spec

from ingest.config.policy_tables import PolicySettings
from ingest.config.tables import Settings
from ingest.ledger import Envelope
from ingest.mail import headers
from ingest.mail.message import Mail
from ingest.trust import authserv, passage, signature
from ingest.trust.signature import CannotVerify, Lookup

AUTHSERV, DKIM = "authserv", "dkim"


def is_wanted(policy: PolicySettings) -> bool:
    """Whether anything is to be verified at all."""
    return bool(policy.authserv) or wants_dkim(policy)


def wants_dkim(policy: PolicySettings) -> bool:
    """Whether signatures are to be verified."""
    return policy.dkim or DKIM in policy.required()


def is_installed() -> bool:
    """Whether what verifies signatures is there."""
    return find_spec("dkim") is not None and find_spec("dns") is not None


def problems(settings: Settings) -> list[str]:
    """What is required and can never be proved with these settings, a sentence each."""
    policy, found = settings.policy, []
    required = policy.required()
    if wants_dkim(policy) and not is_installed():
        found.append("DKIM signatures cannot be verified: install recheck-ingest[dkim]")
    if passage.LIST in required and not settings.list:
        found.append('"list" is required, but no [list.NAME] says where a list\'s mail comes from')
    if AUTHSERV in required and not policy.authserv:
        found.append('"authserv" is required, but [policy] authserv names no server')
    if passage.PATCHWORK in required and not settings.catch_up.interval:
        told = '"patchwork" is required, but [catch_up] interval is 0: run catch-up yourself'
        found.append(told)
    return found


def author(
    raw: bytes,
    mail: Mail,
    source: str,
    envelope: Envelope,
    policy: PolicySettings,
    lookup: Lookup | None = None,
) -> str:
    """How the From of a mail was proved, "" if it was not. ``lookup``: of keys, by default in DNS.
    Raises ``signature.CannotVerify``."""
    head = headers.read(raw)
    mailbox = mail.requester.mailbox.lower()
    domain = mailbox.rpartition("@")[2]
    froms = head.all("from")
    # Of a mail in a mail the outer From says nothing.
    if not domain or len(froms) != 1 or mailbox not in froms[0].lower():
        return ""
    if wants_dkim(policy):
        if not is_installed():
            raise CannotVerify("signatures cannot be verified: install recheck-ingest[dkim]")
        if lookup is None:
            from ingest.trust import dns

            lookup = dns.resolver(policy.dns, policy.dns_timeout)
        if signature.proves(raw, head, domain, lookup):
            return DKIM
    if policy.authserv and passage.is_by_own_server(source, envelope):
        ids = tuple(each.lower() for each in policy.authserv)
        if authserv.proves(head, ids, domain):
            return AUTHSERV
    return ""
