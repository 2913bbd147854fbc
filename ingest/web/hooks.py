# SPDX-License-Identifier: BSD-3-Clause
"""A hook: what a table [hook.NAME] and the service that it names make together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from ingest.config import secret
from ingest.config.web_tables import HookSettings
from ingest.errors import Permanent, SinkUnavailable
from ingest.ledger import Envelope
from ingest.web import forms, proofs, sns
from ingest.web.bodies import Body
from ingest.web.forms import Form, Object
from ingest.web.head import Head

# In the place of a status: the connection is ended without an answer.
HANG_UP = 0


class Refused(Permanent):
    """The request has not proved that it is the service's. ``challenge``: credentials may come
    if they are asked for."""

    def __init__(self, why: str, *, challenge: bool = False) -> None:
        super().__init__(why)
        self.challenge = challenge


class NoMail(Permanent):
    """The request is the service's, but holds no mail in the form that is needed."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A mail and what the service told of it. ``from_text``: it came as text, so that bytes that
    are not UTF-8 may be lost."""

    raw: bytes
    envelope: Envelope
    from_text: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """What a hook's files hold now."""

    secrets: tuple[bytes, ...]
    public: "tuple[proofs.Key, ...]"
    basic: tuple[bytes, ...]


class Presented:
    """A request as a service presents it; its body is read as a form or as JSON when asked for."""

    def __init__(self, head: Head, body: Body) -> None:
        self.head = head
        self.body = body

    @cached_property
    def form(self) -> Form:
        """The body as a form."""
        return forms.form(self.head.one(b"content-type") or b"", self.body)

    @cached_property
    def json(self) -> Object:
        """The body as an object of JSON."""
        return Object(forms.read_json(self.body.content()))


class Hook:
    """One table [hook.NAME]. What it remembers, it remembers over requests."""

    def __init__(self, name: str, table: HookSettings, service: "Service") -> None:
        self.name = name
        self.table = table
        self.service = service
        self.sns = sns.Sns(table.topics)

    def keys(self) -> Keys:
        """What its files hold. Raises ``SinkUnavailable`` if one cannot be read."""
        path = self.table.secret_file
        text = secret.read(path, "secret_file") if path else ""
        public: tuple[proofs.Key, ...] = ()
        try:
            if text and self.service.public:
                public = tuple(proofs.public_keys(text))
        except proofs.BadKey as error:
            raise SinkUnavailable(f"secret_file {path}: {error}") from error
        basic = self.table.basic_file
        return Keys(
            secrets=tuple(each.strip().encode() for each in text.splitlines() if each.strip()),
            public=public,
            basic=_credentials(basic) if basic else (),
        )

    def look(self, keys: Keys, head: Head) -> None:
        """What the head alone can tell. Raises ``Refused``."""
        if self.table.basic_file:
            scheme, given = head.credentials()
            if not scheme:
                raise Refused("it has no user and password", challenge=True)
            if scheme != "basic" or not proofs.any_equal(given, keys.basic):
                raise Refused("its user and password are wrong")
        if self.service.kinds and head.kind not in self.service.kinds:
            raise Refused(f"Content-Type is {head.kind[:80]!r}")
        if head.all(b"content-encoding"):
            raise Refused("its body is compressed")
        if self.table.secret_file and self.service.signature:
            for each in self.service.signature:
                if not head.one(each):
                    raise Refused(f"it has no header field {each.decode()}, or two")
        topic = (head.one(b"x-amz-sns-topic-arn") or b"").decode("latin-1")
        if self.table.topics and not self.sns.is_wanted(topic):
            raise Refused("it is not for one of the topics")

    @property
    def is_known_by_head(self) -> bool:
        """Whether the head proves all that there is to prove."""
        return bool(self.table.basic_file) and not self.service.signs(self.table)


@dataclass(frozen=True, slots=True)
class Service:
    """One e-mail service. ``needs``: the settings without which a hook cannot be, alternatives of
    them; ``kinds``: the media types of its requests; ``signature``: the header fields that the
    proof is in; ``public``: secret_file holds public keys.

    ``prove`` raises ``Refused``; ``mails`` gives what a proven request holds, nothing if it is a
    trial. ``once``: what makes a proof that covers no mail count for one mail alone.

    ``again`` is the status that makes the service try again, ``refused`` the one for a request
    without proof, which a wrong secret of ours would cause as well; ``give_up`` the one for what
    is too large. 0: no answer. ``hint``: what to set there, for who does not get the mail.
    """

    name: str
    needs: tuple[tuple[str, ...], ...]
    kinds: tuple[bytes, ...]
    again: int
    refused: int
    give_up: int
    hint: str
    prove: Callable[[Hook, Keys, Presented], None]
    mails: Callable[[Hook, Presented], list[Delivery]]
    signature: tuple[bytes, ...] = ()
    public: bool = False
    challenges: bool = False  # it sends user and password after a 401 only
    heads: bool = False  # it asks by HEAD whether the hook is there
    most: int | None = None  # bytes of a body
    asks: bool = False  # proving may take a question to somebody else
    once: Callable[[Presented], str] | None = None

    def signs(self, table: HookSettings) -> bool:
        """Whether a hook of this table asks for more than user and password."""
        return bool(table.secret_file) or self.asks

    @property
    def used(self) -> set[str]:
        """The settings that mean something for this service."""
        return {"service", "basic_file", *(each for several in self.needs for each in several)} | (
            {"window"} if self.once else set()
        )


def source(hook: Hook, delivery: Delivery) -> str:
    """Where a mail came from, for the operator."""
    how = ", text from JSON" if delivery.from_text else ""
    return f"hook {hook.name} ({hook.service.name}{how})"


def _credentials(path: str) -> tuple[bytes, ...]:
    lines = [each.strip() for each in secret.read(path, "basic_file").splitlines()]
    if not all(":" in each for each in lines if each):
        raise SinkUnavailable(f"basic_file {path} must hold user:password")
    return tuple(each.encode() for each in lines if each)
