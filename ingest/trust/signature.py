# SPDX-License-Identifier: BSD-3-Clause
"""DKIM (RFC 6376): whether the author's domain has signed all of a mail that decides anything."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ingest.errors import Temporary
from ingest.mail.headers import Head
from ingest.trust.authserv import is_aligned

# Of what does not hold it says more than anybody wants to know.
logging.getLogger("dkimpy").setLevel(logging.CRITICAL + 1)

# Signatures of the author's domain that are looked at, each of which costs a look at DNS.
_MOST = 3
_LEAST_KEY = 1024
# A key is a few hundred bytes.
_LONGEST_KEY = 8192
# By these it is decided who asks, when, and about which patch. Any of them that a mail has must be
# signed as often as it is there: what is added to a signed mail is not.
_SIGNED = ("from", "date", "message-id", "in-reply-to", "references", "list-id", "auto-submitted")
# Those that lists add are theirs.
_OF_LISTS = frozenset(("list-id",))

# The text of a TXT record, b"" if there is none. Raises ``CannotVerify``.
Lookup = Callable[[str], bytes]


class CannotVerify(Temporary):
    """A signature can be neither accepted nor refused now."""


def proves(raw: bytes, head: Head, domain: str, lookup: Lookup) -> bool:
    """Whether a domain has signed a mail. Raises ``CannotVerify`` if none holds, but one
    may."""
    import dkim

    trouble: CannotVerify | None = None
    for index in _candidates(head, domain):

        def ask(name: bytes, timeout: float = 0) -> bytes:
            nonlocal trouble
            try:
                key = lookup(name.decode("ascii", "replace").rstrip("."))
            except CannotVerify as error:
                trouble = error
                return b""
            return key if len(key) <= _LONGEST_KEY else b""

        try:
            signed = dkim.DKIM(raw[head.start :], minkey=_LEAST_KEY)
            if signed.verify(index, ask):
                return True
        except Exception:  # noqa: BLE001  garbage raises of all kinds; it proves nothing
            continue
    if trouble:
        raise trouble
    return False


def _candidates(head: Head, domain: str) -> Iterator[int]:
    """The signatures, by their places, that would prove it."""
    there = Counter(name for name, _ in head.fields if name in _SIGNED and name not in _OF_LISTS)
    found = 0
    for index, value in enumerate(head.all("dkim-signature")):
        tags = _tags(value)
        signed = Counter(each.strip().lower() for each in tags.get("h", "").split(":"))
        # Past l= anybody may have added text.
        if "l" in tags or not is_aligned(tags.get("d", ""), domain):
            continue
        if any(signed[name] < number for name, number in there.items()):
            continue
        found += 1
        if found > _MOST:
            return
        yield index


def _tags(value: str) -> dict[str, Any]:
    """The tags of a signature (section 3.2)."""
    pairs = (each.partition("=") for each in value.split(";"))
    return {name.strip(): tag.strip() for name, _, tag in pairs}
