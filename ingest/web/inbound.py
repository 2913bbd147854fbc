# SPDX-License-Identifier: BSD-3-Clause
"""Mail by HTTP: /mail takes it raw, /mail/NAME from an e-mail service. 200 is answered after the
ledger's commit, or when the mail can hold no request.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ingest.config.tables import Settings
from ingest.errors import Temporary
from ingest.intake import Receipt
from ingest.ledger import Envelope, Ledger
from ingest.web import forms
from ingest.web.bodies import Incoming, Room, TooLarge, TooSlow
from ingest.web.forms import Malformed
from ingest.web.head import Head
from ingest.web.hooks import HANG_UP, Delivery, Hook, Keys, NoMail, Presented, Refused, source
from ingest.web.ledger_thread import LedgerThread
from ingest.web.tokens import CHALLENGE, Tokens

log = logging.getLogger(__name__)

Accept = Callable[[bytes, str, Envelope], Awaitable[Receipt]]

# Bytes. What is larger is searched and taken apart in a thread, so that others go on meanwhile.
_LOOKED_AT_HERE = 1 << 18
# Seconds between two lines of the log about what is refused at one place.
_TOLD_EVERY = 60.0
# What a web server may be told about a mail at most. Longer addresses are not addresses.
_LONGEST_ADDRESS = 320

_KEPT = {
    Receipt.QUEUED: "queued",
    Receipt.DUPLICATE: "known already",
    Receipt.DROPPED: "it holds no request",
    Receipt.NOTICED: "kept for the operator",
    Receipt.REJECTED: "kept, but too large to be worked on",
}
# Responses hold nothing of a request, so that one does for all.
_TAKEN = {receipt: PlainTextResponse(f"{text}\n") for receipt, text in _KEPT.items()}
_NO_ENVELOPE = Envelope()
_REFUSED = "refused\n"
_TRY_AGAIN = {"Retry-After": "60"}


class HangUp(Response):
    """No answer: the connection is ended, as if it were broken."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["hang_up"]()
        await asyncio.sleep(0)  # until the server has seen it


@dataclass(frozen=True, slots=True)
class Place:
    """What came with a request: its head, and its body to be read."""

    head: Head
    incoming: Incoming


class Threads:
    """Where requests are taken apart that would hold up the loop."""

    def __init__(self) -> None:
        # Few, so that large bodies are taken apart one after the other.
        self.apart = ThreadPoolExecutor(2, "hooks")
        # Of their own: who is asked may take long.
        self.asking = ThreadPoolExecutor(2, "hooks that ask")

    def close(self) -> None:
        """End them when they have ended what they are at."""
        for each in (self.apart, self.asking):
            each.shutdown(wait=False)


class Inbound:
    """The doors for mail, with the settings that count now."""

    def __init__(
        self,
        settings: Settings,
        hooks: Mapping[str, Hook],
        accept: Accept,
        ledger: LedgerThread,
        threads: "Threads",
    ) -> None:
        """``hooks``: by name, see ``services.configured``; ``accept``: takes in one mail, durable
        when it returns; ``ledger``: remembers which proofs were used."""
        self._limits = settings.http
        self._max_size = settings.intake.max_size
        self._hooks = hooks
        self._tokens = Tokens(settings.token)
        self._accept = accept
        self._ledger = ledger
        self._room = Room(settings.http)
        self._threads = threads
        self._told: dict[str, float] = {}

    async def mail(self, scope: Scope, receive: Receive) -> Response:
        """POST /mail."""
        place = Place(Head(scope), Incoming(receive))
        try:
            answer = await self._take_raw(place)
        except Refused as error:
            self._tell("/mail", error)
            answer = PlainTextResponse(_REFUSED, 401, CHALLENGE)
        except TooLarge:
            answer = PlainTextResponse("The mail is larger than the limit.\n", 413)
        except Malformed as error:
            answer = PlainTextResponse(f"{error}\n", 400)
        except TooSlow:
            return HangUp()
        except Temporary as error:
            log.error("a mail at /mail cannot be taken now: %s", error)
            answer = PlainTextResponse("Try again later.\n", 503, _TRY_AGAIN)
        except Exception:  # a bug of ours must not cost anybody a mail
            log.exception("a mail at /mail could not be taken")
            answer = PlainTextResponse("Try again later.\n", 503, _TRY_AGAIN)
        return await self._ended(place, answer)

    async def hook(self, scope: Scope, receive: Receive) -> Response:
        """POST /mail/NAME, and HEAD of those that ask by it whether we are there."""
        hook = self._hooks.get(scope["path_params"]["name"])
        place = Place(Head(scope), Incoming(receive))
        if hook is None:
            return await self._ended(place, PlainTextResponse("There is no such hook.\n", 404))
        service = hook.service
        if place.head.method == "HEAD":
            return Response(status_code=200 if service.heads else 405)
        where = f"/mail/{hook.name}"
        try:
            answer: Response = await self._take(hook, place)
        except Refused as error:
            self._tell(where, error)
            status = 401 if error.challenge and service.challenges else service.refused
            answer = _answer(status, _REFUSED, CHALLENGE if status == 401 else {})
        except TooLarge:
            self._tell(where, "its body is larger than the limit")
            answer = _answer(service.give_up, _REFUSED)
        except (NoMail, Malformed) as error:
            log.error("%s got no mail from %s: %s; %s", where, service.name, error, service.hint)
            answer = _answer(service.again, "no mail in the form that is needed\n")
        except TooSlow:
            return HangUp()
        except Temporary as error:
            log.error("%s cannot take a mail of %s now: %s", where, service.name, error)
            answer = _answer(service.again, "try again later\n", _TRY_AGAIN)
        except Exception:  # a bug of ours must not cost anybody a mail
            log.exception("%s could not take a mail of %s", where, service.name)
            answer = _answer(service.again, "try again later\n", _TRY_AGAIN)
        return await self._ended(place, answer)

    async def _take_raw(self, place: Place) -> Response:
        head = place.head
        holder = self._tokens.holder(head, "mail") if self._tokens else None
        if holder is None and (self._tokens or not head.is_direct):
            raise Refused(
                "it has no token that may do this"
                if self._tokens
                else "it did not come straight from this machine, and there is no [token.NAME]"
            )
        limits = self._limits
        with await self._room.read(
            place.incoming, head.length, known=True, most=limits.max_body
        ) as body:
            raw = _discourse(head, body.content(self._max_size + 1))
        if b"\n" not in raw:
            raise Malformed("The body is not a mail. With curl, use --data-binary @FILE.")
        envelope = _told(head, limits.max_recipients)
        source = f"http, token {holder}" if holder else "http"
        receipt = await self._kept(Delivery(raw, envelope), source)
        return _TAKEN[receipt]

    async def _take(self, hook: Hook, place: Place) -> Response:
        service, head = hook.service, place.head
        keys = hook.keys()
        hook.look(keys, head)
        most = min(self._limits.max_body, service.most or self._limits.max_body)
        with await self._room.read(
            place.incoming, head.length, known=hook.is_known_by_head, most=most
        ) as body:
            request = Presented(head, body)
            threads = self._threads
            thread = threads.asking if service.asks else threads.apart
            is_quick = body.size <= _LOOKED_AT_HERE and not service.asks
            mails = await _in(None if is_quick else thread, lambda: _opened(hook, keys, request))
            if service.once:
                await self._once(hook, service.once(request), mails)
        receipts = await asyncio.gather(*(self._kept(each, source(hook, each)) for each in mails))
        told = ", ".join(_KEPT[each] for each in receipts[:10])
        return PlainTextResponse(f"{told or 'nothing to do'}\n")

    async def _kept(self, delivery: Delivery, source: str) -> Receipt:
        raw = delivery.raw
        envelope = _bounded(delivery.envelope, self._limits.max_recipients)
        return await self._accept(
            raw if len(raw) <= self._max_size else raw[: self._max_size + 1], source, envelope
        )

    async def _once(self, hook: Hook, proof: str, mails: list[Delivery]) -> None:
        """A proof that covers no mail counts for one mail, which may come again with it."""
        digest = hashlib.sha256(b"".join(each.raw for each in mails)).hexdigest()
        name = hashlib.sha256(f"{hook.service.name} {proof}".encode()).hexdigest()
        now = time.time()

        def use(ledger: Ledger) -> bool:
            known = ledger.recall(f"proof {name}", now)
            if known is None:
                ledger.remember(f"proof {name}", digest, now + 2 * hook.table.window)
            return known in (None, digest)

        if not await self._ledger.ask(use):
            raise Refused("its signature was used for another mail already")

    async def _ended(self, place: Place, answer: Response) -> Response:
        """The answer, to a sender that can hear it."""
        if place.incoming.has_ended:
            return answer
        incoming, head = place.incoming, place.head
        if not isinstance(answer, HangUp):
            if not head.all(b"expect"):
                await self._room.discard(incoming, head.length)
            if not incoming.has_ended:
                answer.headers["Connection"] = "close"
        return answer

    def _tell(self, where: str, why: object) -> None:
        """Log a refusal, not more often than is of use."""
        now = time.monotonic()
        if now - self._told.get(where, float("-inf")) >= _TOLD_EVERY:
            self._told[where] = now
            log.warning("refused a request to %s: %s", where, why)


async def _in(thread: Executor | None, call: Callable[[], list[Delivery]]) -> list[Delivery]:
    """Call in a thread, or here."""
    if thread is None:
        return call()
    return await asyncio.get_running_loop().run_in_executor(thread, call)


def _opened(hook: Hook, keys: Keys, request: Presented) -> list[Delivery]:
    """The mails of a request that proves itself."""
    try:
        hook.service.prove(hook, keys, request)
    except Malformed as error:
        raise Refused(str(error)) from error
    return hook.service.mails(hook, request)


def _answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return HangUp() if status == HANG_UP else PlainTextResponse(text, status, headers)


def _discourse(head: Head, body: bytes) -> bytes:
    """The mail in what Discourse's mail-receiver sends, which is a form. Other programs send the
    mail itself and call it a form, as curl does."""
    if head.kind != forms.URLENCODED or not body.startswith(b"email="):
        return body
    return forms.urlencoded(body).one("email")


def _told(head: Head, most: int) -> Envelope:
    """The envelope in the URL, or else in header fields of ours. Raises ``Malformed``."""
    try:
        query = head.query()
    except ValueError as error:
        raise Malformed("The URL has too many parameters.") from error
    senders = query.get("sender") or _decoded(head.all(b"x-envelope-sender"))
    to = query.get("recipient") or _decoded(head.all(b"x-envelope-recipient"))
    if len(senders) > 1:
        raise Malformed("There are two senders.")
    if not senders and not to:
        return _NO_ENVELOPE
    return Envelope(senders[0] if senders else None, tuple(to[:most]))


def _decoded(values: list[bytes]) -> list[str]:
    return [each.decode("utf-8", "replace") for each in values]


def _bounded(envelope: Envelope, most: int) -> Envelope:
    """An envelope that is not long, whoever wrote it."""
    sender = envelope.sender
    if sender is not None:
        sender = sender.strip().removeprefix("<").removesuffix(">")[:_LONGEST_ADDRESS]
    recipients = tuple(each[:_LONGEST_ADDRESS] for each in envelope.recipients[:most])
    return replace(envelope, sender=sender, recipients=recipients)
