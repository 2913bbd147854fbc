# SPDX-License-Identifier: BSD-3-Clause
"""Whose a mail is whose From its list has replaced by its own address, for DMARC's sake (RFC 7960,
section 4.1). Pure. Only a list can say that: ask of mail that is known to have come by its list.
"""

import re
from collections.abc import Iterator, Sequence
from email.utils import getaddresses

from ingest.mail.headers import Head, decoded

# As list servers write the name of the sender: "Robin via dev", "'Robin' via dev".
_VIA = re.compile(r"\s+\(?via\b.*\Z", re.IGNORECASE | re.DOTALL)
# Fields that hold the author alone, whatever the name in them.
_OF_AUTHOR_ALONE = frozenset(("x-original-from", "x-original-sender"))
_LONGEST_FIELD = 8192


def author(head: Head, name: str, replaced: str, fields: Sequence[str]) -> tuple[str, str] | None:
    """The name and address of who wrote a mail, None if that is not known. ``name``: what From
    says, such as "Robin via dev"; ``replaced``: the list's address in it; ``fields``: those in
    which this list keeps its authors, in lower case.

    Anybody can write such fields before the list does, so that all of them must agree.
    """
    wanted = _plain(_VIA.sub("", name))
    found = {
        address.lower(): (own, address)
        for field in fields
        for own, address in _people(head, field)
        if "@" in address and address.lower() != replaced.lower()
        if field in _OF_AUTHOR_ALONE or (wanted and _plain(own) == wanted)
    }
    if len(found) != 1:
        return None
    [(own, address)] = found.values()
    return own or _VIA.sub("", name).strip(" '\""), address


def _people(head: Head, field: str) -> Iterator[tuple[str, str]]:
    """The names and addresses in the fields of a name."""
    values = [each[:_LONGEST_FIELD] for each in head.all(field)]
    for name, address in getaddresses(values):
        yield decoded(name), address


def _plain(name: str) -> str:
    return " ".join(name.replace('"', " ").replace("'", " ").split()).casefold()
