# SPDX-License-Identifier: BSD-3-Clause
"""Who wrote a mail, as far as it can be proved: once, at the worker's first attempt."""

from importlib.util import find_spec

from ingest.config.policy_tables import PolicySettings
from ingest.config.tables import Settings
from ingest.ledger import Envelope
from ingest.mail import headers, message, rewriting
from ingest.mail.headers import Head
from ingest.mail.message import Mail
from ingest.mail.trust import LIST
from ingest.trust import arc, authserv, passage, signature
from ingest.trust.signature import CannotVerify, Keys, Lookup
from ingest.value import replace

AUTHSERV, DKIM = "authserv", "dkim"


def wants_dkim(policy: PolicySettings) -> bool:
    """Whether signatures are to be verified."""
    return bool(policy.dkim or policy.arc_sealers or DKIM in policy.required())


def is_installed() -> bool:
    """Whether what verifies signatures is there."""
    return find_spec("dkim") is not None and find_spec("dns") is not None


def problems(settings: Settings) -> list[str]:
    """What is required and can never be proved with these settings, a sentence each."""
    policy, found = settings.policy, []
    required = policy.required()
    if wants_dkim(policy) and not is_installed():
        found.append("DKIM signatures cannot be verified: install recheck-ingest[dkim]")
    if LIST in required and not settings.list:
        found.append('"list" is required, but no [list.NAME] says where a list\'s mail comes from')
    listens = settings.smtp.listen or settings.lmtp.listen
    if LIST in required and settings.list and not (policy.received_by or listens):
        told = "[policy] received_by is empty: of mail that our own mail server hands over nobody"
        found.append(f'"list" is required, but {told} knows the way')
    if AUTHSERV in required and not policy.authserv:
        found.append('"authserv" is required, but [policy] authserv names no server')
    return found


def attributed(raw: bytes, mail: Mail, came: str, settings: Settings) -> Mail:
    """A mail as its author's, if its list has replaced From, and as it is otherwise. ``came``: its
    passage; nobody but its list is believed."""
    if came != LIST or not mail.requester.of_list:
        return mail
    fields = [
        field.lower()
        for each in settings.list.values()
        if each.list_id.lower() == mail.list_id
        for field in each.author_fields
    ]
    found = rewriting.author(headers.read(raw), mail.requester.name, mail.address, fields)
    if found is None:
        return mail
    name, address = found
    return replace(mail, sender=f"{name} <{address}>" if name else address, address=address)


def author(
    raw: bytes,
    mail: Mail,
    source: str,
    envelope: Envelope,
    policy: PolicySettings,
    lookup: Lookup | None = None,
    came: str = "",
) -> str:
    """How the author of a mail was proved, see ``Trust``. ``lookup``: of keys, by default in
    DNS; ``came``: its passage. Raises ``signature.CannotVerify`` if that matters."""
    try:
        return _author(raw, mail, source, envelope, policy, lookup, came)
    except CannotVerify:
        if DKIM in policy.required():
            raise
        return ""


def _author(
    raw: bytes,
    mail: Mail,
    source: str,
    envelope: Envelope,
    policy: PolicySettings,
    lookup: Lookup | None,
    came: str,
) -> str:
    head = headers.read(raw)
    mailbox = mail.requester.mailbox.lower()
    domain = mailbox.rpartition("@")[2]
    froms = head.all("from")
    if not domain or len(froms) != 1 or not message.is_plain(raw):
        return ""
    # Of a mail in a mail, and of one whose From its list has replaced, the outer From says
    # nothing; what the list's server has found of it still does.
    is_from = mailbox in froms[0].lower()
    if not is_from and came != LIST:
        return ""
    found = []
    if wants_dkim(policy) and _is_signed(raw, head, domain, policy, lookup, is_from):
        found.append(DKIM)
    is_ours = policy.authserv and passage.is_by_own_server(source, envelope)
    if is_from and is_ours and signature.is_for_all(head, domain):
        ids = tuple(each.lower() for each in policy.authserv)
        if authserv.proves(head, ids, domain):
            found.append(AUTHSERV)
    return " ".join(found)


def _is_signed(
    raw: bytes,
    head: Head,
    domain: str,
    policy: PolicySettings,
    lookup: Lookup | None,
    is_from: bool,
) -> bool:
    """Whether a domain has signed a mail, or one of the sealers says that it had."""
    if not is_installed():
        raise CannotVerify("signatures cannot be verified: install recheck-ingest[dkim]")
    if lookup is None:
        from ingest.trust import dns

        lookup = dns.resolver(policy.dns, policy.dns_timeout)
    keys = Keys(lookup)
    trouble: CannotVerify | None = None
    if is_from:
        try:
            if signature.proves(raw, head, domain, keys):
                return True
        except CannotVerify as error:
            trouble = error
    is_sealed = policy.arc_sealers and signature.is_for_all(head, domain)
    if is_sealed and arc.proves(raw, head, domain, policy.arc_sealers, keys):
        return True
    if trouble:
        raise trouble
    return False
