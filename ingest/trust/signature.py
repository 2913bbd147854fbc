# SPDX-License-Identifier: BSD-3-Clause
"""DKIM (RFC 6376): whether the author's domain has signed all of a mail that decides anything."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from ingest.errors import Temporary
from ingest.mail.headers import Head
from ingest.trust.authserv import is_aligned

# Of what does not hold it says more than anybody wants to know.
logging.getLogger("dkimpy").setLevel(logging.CRITICAL + 1)

LEAST_KEY = 1024
# Signatures of the author's domain that are looked at, each of which costs a look at DNS.
_MOST = 3
# A key is a few hundred bytes.
_LONGEST_KEY = 8192
# RFC 8301 and RFC 8463. SHA-1 proves nothing any more.
_ALGORITHMS = ("rsa-sha256", "ed25519-sha256")
# By these it is decided who asks, when, and about which patch. Any of them that a mail has must be
# signed as often as it is there: what is added to a signed mail is not. A List-Id is the list's.
_NEEDED = frozenset(("from", "date", "message-id", "in-reply-to", "references", "auto-submitted"))
# What makes a mail that mail, and no other.
_IDENTITY = frozenset(("from", "date", "message-id"))

# The text of a TXT record, b"" if there is none. Raises ``CannotVerify``.
Lookup = Callable[[str], bytes]


class CannotVerify(Temporary):
    """A signature can be neither accepted nor refused now."""


class Keys:
    """Keys as the library asks for them, each looked up once. ``trouble``: why one of them could
    not be had."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[str, bytes] = {}
        self.trouble: CannotVerify | None = None

    def __call__(self, name: bytes, timeout: float = 0) -> bytes:
        """The TXT record of a name, b"" for none."""
        asked = name.decode("ascii", "replace").rstrip(".").lower()
        if asked not in self._known:
            try:
                key = self._lookup(asked)
            except CannotVerify as error:
                self.trouble = error
                key = b""
            self._known[asked] = key if len(key) <= _LONGEST_KEY else b""
        return self._known[asked]


def proves(raw: bytes, head: Head, domain: str, keys: Keys) -> bool:
    """Whether a domain has signed a mail. Raises ``CannotVerify`` if none of its signatures holds,
    but one may."""
    import dkim

    for index in _candidates(head, domain):
        try:
            signed = dkim.DKIM(raw[head.start :], minkey=LEAST_KEY)
            if signed.verify(index, keys):
                return True
        except Exception:  # noqa: BLE001  garbage raises of all kinds; it proves nothing
            continue
    if keys.trouble:
        raise keys.trouble
    return False


def _candidates(head: Head, domain: str) -> Iterator[int]:
    """The signatures, by their places, that would prove it."""
    found = 0
    for index, value in enumerate(head.all("dkim-signature")):
        signed = tags(value)
        if not is_aligned(signed.get("d", ""), domain) or not covers(head, signed):
            continue
        found += 1
        if found > _MOST:
            return
        yield index


def is_for_all(head: Head, domain: str) -> bool:
    """Whether each of a domain's signatures is for the whole text, and for what makes a mail that
    mail. Another server may have found one good that is not, and does not tell which."""
    found = map(tags, head.all("dkim-signature"))
    ours = (each for each in found if is_aligned(each.get("d", ""), domain))
    return all(covers(head, each, _IDENTITY) for each in ours)


def covers(head: Head, signed: Mapping[str, str], names: Collection[str] = _NEEDED) -> bool:
    """Whether a signature with these tags is for the whole text, and for all of these fields that a
    mail has: by default those that decide anything."""
    there = Counter(name for name, _ in head.fields if name in names)
    named = Counter(each.strip().lower() for each in signed.get("h", "").split(":"))
    # Past l= anybody may have added text.
    if "l" in signed or signed.get("a", "").lower() not in _ALGORITHMS:
        return False
    return all(named[name] >= number for name, number in there.items())


def tags(value: str) -> dict[str, str]:
    """The tags of a signature (section 3.2). One that names a tag twice has none."""
    pairs = [each.partition("=") for each in value.split(";")]
    found = {name.strip(): tag.strip() for name, _, tag in pairs}
    return found if len(found) == len(pairs) else {}
