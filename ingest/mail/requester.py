# SPDX-License-Identifier: BSD-3-Clause
"""Who asks: how the request log names the sender of a mail, and what that name says. Pure."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.mail.message import Mail

# What every mail server takes without quoting (RFC 5321, section 4.1.2: Dot-string, Domain).
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")
_LONGEST_ADDRESS, _LONGEST_LOCAL = 254, 64

_BY_WAY_OF = re.compile(r"(.*) \(by way of ([^\s()]+)\)", re.DOTALL)
_NAMED = re.compile(r"(.*?)\s*<([^<>]*)>", re.DOTALL)
# As list servers write the name of a sender whose address they have replaced by the list's.
_VIA = re.compile(r"\S\s+\(?via\s+\S", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks. ``address``: the own one, "" if it is not known or cannot be written to;
    ``of_list``: that of the list that stood in its place, "" if none did."""

    name: str
    address: str
    of_list: str


def told(mail: "Mail") -> str:
    """The sender of a mail for the request log: the From header, where a list that writes its
    own address there for DMARC's sake (RFC 7960) is named as such."""
    if not is_list(mail.address, mail.list_id):
        return mail.sender
    name = mail.sender.removesuffix(f"<{mail.address}>").strip()
    name = "somebody" if name == mail.address else name
    return f"{name} (by way of {mail.address})"


def is_list(address: str, list_id: str) -> bool:
    """Whether an address is that of a list. By custom it differs from the List-Id in the @ only."""
    local, at, domain = address.rpartition("@")
    return bool(at) and f"{local}.{domain}".lower() == list_id


def read(text: str) -> Requester:
    """A name in the request log, taken apart."""
    by_way = _BY_WAY_OF.fullmatch(text)
    if by_way:
        return Requester(by_way[1], "", address(by_way[2]))
    named = _NAMED.fullmatch(text)
    name, given = (named[1].strip(), named[2]) if named else ("", text.strip())
    if _VIA.search(name):
        return Requester(name, "", address(given))
    return Requester(name or given.partition("@")[0], address(given), "")


def address(text: str) -> str:
    """The text if it is an address that any mail server takes, else ""."""
    is_short = len(text) <= _LONGEST_ADDRESS and len(text.partition("@")[0]) <= _LONGEST_LOCAL
    return text if is_short and _ADDRESS.fullmatch(text) else ""
