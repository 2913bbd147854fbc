# SPDX-License-Identifier: BSD-3-Clause
"""The sink [mail.NAME]: answers the requester by mail, with what will run, what was not understood,
and which labels there are. The answer is an automatic response as RFC 3834 has it.
"""

import quopri
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from email.header import Header
from email.utils import formataddr, formatdate
from textwrap import wrap

from ingest import addresses, secret
from ingest.config.sink_tables import MailSettings
from ingest.config.tables import RequestsSettings, Settings
from ingest.errors import ConfigError, NotTaken, SinkUnavailable
from ingest.ledger import Request
from ingest.mail import requester
from ingest.patchwork import labels
from ingest.sinks import Stop, smtp
from ingest.words import counted, printable

# Whose mail nobody reads (RFC 3834, section 2; RFC 5230, section 4.6), and where nobody is
# (RFC 2606, section 2; some lists append .invalid to addresses, for DMARC's sake).
_NOBODY = re.compile(
    r"mailer-daemon|postmaster|(?:.*[-_.+])?(?:no|do-?not|never)[-_.]?(?:reply|respond|answer).*"
    r"|(?:.*-)?bounces?(?:[-+=].*)?|owner-.*|(?:.*-)?(?:owner|request|unsubscribe|subscribe)"
    r"|listserv|majordomo|mailman|daemon|nobody|root"
    r"|.*@(?:.*\.)?(?:invalid|test|localhost)",
    re.IGNORECASE,
)
# What can be named in a field on one line (RFC 5322, sections 2.1.1 and 3.6.4).
_ID = re.compile(r"(?=.{3,900}\Z)[!-;=?-~]+@[!-;=?-~]+")
_REPLY = re.compile(r"re:\s*", re.IGNORECASE)
_LONGEST_SUBJECT, _LONGEST_ITEM, _LONGEST_REASON = 200, 100, 200
# Whoever forges a sender must not be able to send him a text of any length through us.
_MOST_CONTEXTS, _MOST_LEFTOVERS = 100, 10
_INDENT, _WIDTH = "    ", 72


def receiver(name: str, settings: Settings) -> "Answer":
    """The configured sink of this name."""
    return Answer(name, settings.mail[name], settings.requests, settings.policy.no_answer)


class Answer:
    """A ``Receiver`` that is whoever asked."""

    once_per_mail = True

    @property
    def per_day(self) -> int:
        """See ``Configured``."""
        return self._table.per_day

    def __init__(
        self,
        name: str,
        table: MailSettings,
        requests: RequestsSettings,
        no_answer: Sequence[str] = (),
    ) -> None:
        """``no_answer``: addresses that are sent no answer."""
        self.name = f"mail:{name}"
        self._name = name
        self._table = table
        self._requests = requests
        self._no_answer = frozenset(map(str.lower, no_answer))

    @property
    def purpose(self) -> str:
        """See ``Configured``."""
        return f"answers by {self._table.server}"

    def problems(self) -> list[str]:
        """See ``Configured``."""
        table = self._table
        found = secret.problems({"password_file": table.password_file})
        if bool(table.user) != bool(table.password_file):
            found.append("user and password_file go together")
        if not requester.read(table.sender).address:
            found.append(f"sender {table.sender!r} is not an address")
        for each in table.lists:
            if not requester.address(each):
                found.append(f"{each!r} in lists is not an address")
        try:
            addresses.server(table.server, smtp.PORT)
        except ConfigError as error:
            found.append(str(error))
        return found

    def dangers(self) -> list[str]:
        """See ``Configured``."""
        return []

    def give(self, request: Request, *, again: bool, stop: Stop) -> str:
        """See ``Receiver``. Whether it is given again changes nothing: the answer is the same to
        the byte, its Message-ID too, by which mail servers and readers know a copy."""
        us = requester.read(self._table.sender)
        if not us.address:
            raise SinkUnavailable(f"sender {self._table.sender!r} is not an address")
        mail_server = server(self._table)
        recipients = self._recipients(request, us.address)
        is_verified = self._table.verified_senders or bool(request.trust.author)
        shown = request if is_verified else unquoted(request, self._requests)
        mail = compose(shown, self._table, self._requests, self._name, recipients)
        said = smtp.send(mail_server, us.address, recipients, mail, stop)
        return f"sent to {', '.join(recipients)}: {said}"

    def _recipients(self, request: Request, us: str) -> list[str]:
        """The requester, and the lists that are to have the answer. Raises ``NotTaken``."""
        lists = {each.lower(): each for each in self._table.lists}
        for each in lists.values():
            if not requester.address(each):
                raise SinkUnavailable(f"{each!r} in lists is not an address")
        asks = request.requester
        to = asks.address
        if asks.of_list:
            # Of the sender there is no address, but the list may be one that is to have it.
            if asks.of_list.lower() not in lists:
                raise NotTaken(f"no answer: the sender's address is the list's, {asks.of_list}")
            to = asks.of_list
        if not to:
            raise NotTaken(f"no answer: there is no address in {str(asks)[:200]!r}")
        if to.lower() == us.lower():
            raise NotTaken(f"no answer: {to} is our own address")
        if to.lower() in self._no_answer:
            raise NotTaken(f"policy no_answer: {to} is not answered")
        if is_nobody(to):
            raise NotTaken(f"no answer: nobody reads the mail of {to}")
        return [to, *(each for key, each in lists.items() if key != to.lower())]


def is_nobody(address: str) -> bool:
    """Whether an address is a program's, or one that is not meant to be written to."""
    return bool(_NOBODY.fullmatch(address.partition("@")[0]) or _NOBODY.fullmatch(address))


def unquoted(request: Request, requests: RequestsSettings) -> Request:
    """A request without what its sender made up, so that nobody can send a text of his own to a
    stranger through us: labels that Patchwork or the configuration knows stay, of arguments the
    names; of the rest the mail says how much there was."""
    known = request.contexts
    if not labels.are_asked_for(requests):
        # What a group stands for is Patchwork's, not the sender's.
        ours = {*requests.contexts, *(each for group in request.groups.values() for each in group)}
        known = tuple(each for each in known if each in ours)
    unnamed = len(request.contexts) - len(known)
    others = f"{counted(unnamed, 'label')} that your mail names"
    left = f"{counted(len(request.leftovers), 'thing')} in your mail"
    return replace(
        request,
        subject="",
        contexts=(*known, others) if unnamed else known,
        arguments=dict.fromkeys(request.arguments, "…"),
        leftovers=(left,) if request.leftovers else (),
        reason="",
    )


def server(table: MailSettings) -> smtp.Server:
    """The mail server that a table names. Raises ``SinkUnavailable``."""
    try:
        host, port = addresses.server(table.server, smtp.PORT)
    except ConfigError as error:
        raise SinkUnavailable(str(error)) from error
    password = secret.read(table.password_file, "password_file") if table.user else ""
    return smtp.Server(
        host=host,
        port=port,
        us=requester.read(table.sender).address.partition("@")[2],
        timeout=table.timeout,
        # In the clear a password goes to this machine only.
        starttls=table.starttls or bool(table.user and not addresses.is_loopback(host)),
        user=table.user,
        password=password,
    )


def compose(
    request: Request,
    table: MailSettings,
    requests: RequestsSettings,
    name: str,
    recipients: Sequence[str],
) -> bytes:
    """The answer as it is sent. ``name``: of the sink, by which several have Message-IDs of their
    own. The same request gives the same bytes: its Date is when the request was recorded."""
    us = requester.read(table.sender).address
    shown = _line(table.sender.partition("<")[0]) if "<" in table.sender else ""
    fields = {
        "From": formataddr((shown.strip('"'), us)),
        "To": ",\n ".join(recipients),
        "Subject": _encoded(_subject(request.subject)),
        "Date": formatdate(request.recorded),
        "Message-ID": f"<{request.id}.{name}@{us.partition('@')[2]}>",
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
        # On a list, Patchwork would file it as a comment.
        "X-Patchwork-Hint": "ignore",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "quoted-printable",
    }
    if _ID.fullmatch(request.message_id):
        fields["In-Reply-To"] = fields["References"] = f"<{request.message_id}>"
    head = "".join(f"{field}: {value}\n" for field, value in fields.items())
    body = "\n".join(text(request, table, requests)) + "\n"
    return head.encode("ascii") + b"\n" + quopri.encodestring(body.encode("utf-8", "replace"))


def text(request: Request, table: MailSettings, requests: RequestsSettings) -> Iterator[str]:
    """The lines of the answer. What comes out of the mail is indented: so no line of it can be
    read as a request in its turn."""
    project = f" in {_line(request.project)}" if request.project else ""
    yield "Your Recheck-request was read."
    yield from _part(
        f"For series {request.series} ({request.submission}{project}) this will run",
        _items(request.contexts, _MOST_CONTEXTS),
    )
    arguments = [f"{name}={value}" for name, value in request.arguments.items()]
    alone = f"For series {request.series} it names no labels, and these arguments"
    yield from _part(
        "with these arguments" if request.contexts else alone, _items(arguments, _MOST_CONTEXTS)
    )
    leftovers = [line for each in request.leftovers[:_MOST_LEFTOVERS] for line in _items([each], 1)]
    for group, meant in request.groups.items():
        yield from _part(f"Here “{_line(group)}” stands for", _items(meant, _MOST_CONTEXTS))
    yield from _part("Your reason", _items(filter(None, [request.reason]), 1, _LONGEST_REASON))
    yield from _part(
        "Not understood, or not run here",
        [*leftovers, *_more(len(request.leftovers) - _MOST_LEFTOVERS)],
    )
    known = table.labels or labels.patterns(requests)
    yield from _part("Labels that there are", _items(known, len(known)))
    if labels.are_asked_for(requests) and not known:
        yield ""
        yield "Labels that there are: the contexts of the patch's checks on Patchwork."
    yield ""
    yield "This answer was written by a program. If you want no such answers, reply and"
    yield "say so: its operators put your address on a list."


def _part(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines below a title; nothing if there are none."""
    shown = list(lines)
    if shown:
        yield from ("", f"{title}:", "", *shown)


def _items(items: Iterable[str], most: int, longest: int = _LONGEST_ITEM) -> Iterator[str]:
    """Items with commas between, wrapped and indented."""
    shown = [_line(each)[:longest] for each in items]
    yield from wrap(
        ", ".join(shown[:most]),
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from _more(len(shown) - most)


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"{_INDENT}… and {count} more"


def _subject(subject: str) -> str:
    """The subject of an answer: one "Re:", whatever there was before."""
    rest = _line(subject)
    while reply := _REPLY.match(rest):
        rest = rest[reply.end() :]
    return f"Re: {rest[:_LONGEST_SUBJECT].strip() or 'your Recheck-request'}"


def _encoded(subject: str) -> str:
    """A text for a header field (RFC 2047). One in which a reader would find an encoded word is
    encoded itself."""
    plain = subject.isascii() and "=?" not in subject
    return subject if plain else Header(subject, "utf-8", header_name="Subject").encode()


def _line(value: str) -> str:
    return printable(value.encode("utf-8", "replace").decode())
