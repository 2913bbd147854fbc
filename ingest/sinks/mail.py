# SPDX-License-Identifier: BSD-3-Clause
"""The sink [mail.NAME]: answers the requester by mail, with what will run, what was not understood,
and which labels there are.
"""

import re
from collections.abc import Callable, Sequence

from ingest import addresses, links
from ingest.config import secret
from ingest.config.sink_tables import MailSettings
from ingest.config.tables import PatchworkSettings, RequestsSettings, Settings
from ingest.errors import ConfigError, NotTaken, SinkUnavailable
from ingest.ledger import Request
from ingest.mail import requester
from ingest.patchwork import labels
from ingest.policy.manners import Manners
from ingest.sinks import Stop, answer, elsewhere, smtp

# Whose mail nobody reads (RFC 3834, section 2; RFC 5230, section 4.6), and where nobody is
# (RFC 2606, section 2; some lists append .invalid to addresses, for DMARC's sake).
_NOBODY = re.compile(
    r"mailer-daemon|postmaster|(?:.*[-_.+])?(?:no|do-?not|never)[-_.]?(?:reply|respond|answer).*"
    r"|(?:.*-)?bounces?(?:[-+=].*)?|owner-.*|(?:.*-)?(?:owner|request|unsubscribe|subscribe)"
    r"|listserv|majordomo|mailman|daemon|nobody|root"
    r"|.*@(?:.*\.)?(?:invalid|test|localhost)",
    re.IGNORECASE,
)


def receiver(name: str, settings: Settings) -> "Answer":
    """The configured sink of this name."""
    return Answer(
        name,
        settings.mail[name],
        settings.requests,
        settings.policy.no_answer,
        lambda server: settings.server(server),
        lambda number: links.page(number, settings),
    )


class Answer:
    """A ``Receiver`` that is whoever asked."""

    once_per_mail = True

    @property
    def manners(self) -> Manners:
        """See ``Configured``."""
        return Manners(self._table.per_day, self._table.series_interval)

    def __init__(
        self,
        name: str,
        table: MailSettings,
        requests: RequestsSettings,
        no_answer: Sequence[str] = (),
        server_of: Callable[[str], PatchworkSettings | None] = lambda name: None,
        page_of: Callable[[int], str | None] = lambda number: None,
    ) -> None:
        """``no_answer``: addresses that are sent no answer; ``server_of``: the Patchwork of a
        request by its name, None if it is not to be asked; ``page_of``: the page of the request
        of a number, if there are pages."""
        self.name = f"mail:{name}"
        self._name = name
        self._table = table
        self._requests = requests
        self._no_answer = frozenset(map(str.lower, no_answer))
        self._server_of = server_of
        self._page_of = page_of

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
        """See ``Receiver``. An answer that is given again has the same Message-ID, by which mail
        servers and readers know a copy, and the same text, unless Patchwork has new checks."""
        mail_server = server(self._table)
        recipients = self.recipients(request)
        believed = self.believes(request)
        shown = answer.unquoted(request, self._requests)
        if believed:
            # Where Patchwork decides on labels, what it does not know is told as such already.
            decides = labels.are_asked_for(self._requests)
            shown = elsewhere.told(request, None if decides else self._server_of(request.server))
        reply = answer.ready_reply(request, self._table, self._requests, believed=believed)
        mail = answer.compose(
            shown,
            self._table,
            self._requests,
            self._name,
            recipients,
            reply,
            believed=believed,
            page=self._page_of(request.number),
        )
        us = requester.read(self._table.sender).address
        said = smtp.send(mail_server, us, recipients, mail, stop)
        return f"sent to {', '.join(recipients)}: {said}"

    def believes(self, request: Request) -> bool:
        """Whether what the sender of a request wrote may be repeated to its address."""
        return self._table.verified_senders or bool(request.trust.author)

    def recipients(self, request: Request) -> list[str]:
        """The requester, and the lists that are to have the answer. Raises ``NotTaken``, and
        ``SinkUnavailable`` if the settings have no sender or name a list wrongly."""
        us = requester.read(self._table.sender).address
        if not us:
            raise SinkUnavailable(f"sender {self._table.sender!r} is not an address")
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
        if _without_extension(to) == _without_extension(us):
            raise NotTaken(f"no answer: {to} is our own address")
        if to.lower() in self._no_answer:
            raise NotTaken(f"policy no_answer: {to} is not answered")
        if is_nobody(to):
            raise NotTaken(f"no answer: nobody reads the mail of {to}")
        return [to, *(each for key, each in lists.items() if key != to.lower())]


def _without_extension(address: str) -> str:
    """An address without what follows a plus, in lower case: mail for recheck+iol-a comes to us as
    well (RFC 5233)."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def is_nobody(address: str) -> bool:
    """Whether an address is a program's, or one that is not meant to be written to."""
    return bool(_NOBODY.fullmatch(address.partition("@")[0]) or _NOBODY.fullmatch(address))


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
