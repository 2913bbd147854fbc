# SPDX-License-Identifier: BSD-3-Clause
"""Who asks: how the request log names the sender of a mail, and what that name says. Pure."""

import re

from ingest.value import Value

# What every mail server takes without quoting (RFC 5321, section 4.1.2: Dot-string, Domain).
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")
_LONGEST_ADDRESS, _LONGEST_LOCAL = 254, 64

_BY_WAY_OF = re.compile(r"(.*) \(by way of ([^\s()]+)\)", re.DOTALL)
_NAMED = re.compile(r"(.*?)\s*<([^<>]*)>", re.DOTALL)
# As list servers write the name of a sender whose address they have replaced by the list's.
_VIA = re.compile(r"\S\s+\(?via\s+\S", re.IGNORECASE)


class Requester(Value):
    """Who asks. ``mailbox``: the own address as it stood in the mail, "" if it is not known;
    ``of_list``: the address of the list that stood in its place, "" if none did."""

    name: str
    mailbox: str = ""
    of_list: str = ""

    @property
    def address(self) -> str:
        """The own address, "" if it is not known or cannot be written to."""
        return address(self.mailbox)

    @property
    def key(self) -> str:
        """By what the requests of one sender are known to be of one."""
        return (self.mailbox or str(self)).lower()

    def __str__(self) -> str:
        if self.of_list:
            return f"{self.name} (by way of {self.of_list})"
        return (
            f"{self.name} <{self.mailbox}>"
            if self.name and self.mailbox
            else (self.name or self.mailbox)
        )


def of(sender: str, mailbox: str, list_id: str) -> Requester:
    """Who asks by a mail that came by a list: its From, as text and as an address. A list that
    writes its own address there for DMARC's sake (RFC 7960) is kept apart."""
    name = sender.removesuffix(f"<{mailbox}>").strip()
    name = "" if name == mailbox else name
    if is_list(mailbox, list_id):
        return Requester(name or "somebody", of_list=mailbox)
    if _VIA.search(name):
        return Requester(name, of_list=mailbox)
    return Requester(name, mailbox)


def is_list(address: str, list_id: str) -> bool:
    """Whether an address is that of a list. By custom it differs from the List-Id in the @ only."""
    local, at, domain = address.rpartition("@")
    return bool(at) and f"{local}.{domain}".lower() == list_id


def read(text: str) -> Requester:
    """A name and an address as a person writes them, taken apart."""
    by_way = _BY_WAY_OF.fullmatch(text)
    if by_way:
        return Requester(by_way[1], of_list=by_way[2])
    named = _NAMED.fullmatch(text)
    name, given = (named[1].strip(), named[2]) if named else ("", text.strip())
    if _VIA.search(name):
        return Requester(name, of_list=given)
    return Requester(name, given)


def address(text: str) -> str:
    """The text if it is an address that any mail server takes, else ""."""
    is_short = len(text) <= _LONGEST_ADDRESS and len(text.partition("@")[0]) <= _LONGEST_LOCAL
    return text if is_short and _ADDRESS.fullmatch(text) else ""
