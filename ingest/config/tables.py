# SPDX-License-Identifier: BSD-3-Clause
"""What can be set, one frozen dataclass a table. Values only; reading them is ``config``'s work.

Each field's metadata carries its kind (see ``kinds``) and its help, from which the README's
table is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# In the place of patterns of contexts: those of the checks that the patch has.
BY_PATCHWORK = "patchwork"

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def _setting(kind: str, default: Any, help: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help})


@dataclass(frozen=True, slots=True)
class Patchwork:
    """The Patchwork server that knows the patches."""

    url: str = _setting(
        "a URL",
        "https://patches.dpdk.org",
        "the server; /api is added unless an API path is given",
    )
    timeout: float = _setting(
        "a number above 0", 10.0, "seconds a request may take, from first to last byte"
    )
    max_answer: int = _setting("a whole number", 8 << 20, "bytes of an answer read at most")
    remember_found: float = _setting(
        "a number", DAY, "seconds that a found patch or project list is cached"
    )
    remember_missing: float = _setting("a number", 30.0, "seconds that “not found” is cached")


@dataclass(frozen=True, slots=True)
class Requests:
    """Which requests count."""

    contexts: tuple[str, ...] = _setting(
        "a list of texts",
        (),
        'fnmatch patterns of wanted contexts; empty: all; "patchwork": those of the checks that '
        "the patch has",
    )
    arguments: tuple[str, ...] = _setting(
        "a list of texts", ("rebase",), "known arguments; they count by themselves"
    )


@dataclass(frozen=True, slots=True)
class State:
    """Where mails, outcomes and requests are kept."""

    dir: str = _setting("a text", "", "the folder; its default is told above")
    ledger: str = _setting("a text", "", "URL of the ledger; default ledger.sqlite in the folder")
    keep_days: float = _setting("a number", 30.0, "days that raw mail is kept after its outcome")
    busy_timeout: float = _setting(
        "a number above 0", 20.0, "seconds to wait for another process's write"
    )
    mode: int = _setting("an octal number", 0o660, "permissions of a new ledger, octal")


@dataclass(frozen=True, slots=True)
class Intake:
    """What is taken in."""

    max_size: int = _setting(
        "a whole number", 40 << 20, "bytes of a mail; of a larger one the beginning is kept"
    )


@dataclass(frozen=True, slots=True)
class Pipe:
    """The alias pipe."""

    budget: float = _setting(
        "a number", 5.0, "seconds to work off due mails after storing; 0: never"
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """When a mail is tried again."""

    retry: tuple[float, ...] = _setting(
        "a list of numbers",
        (MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR),
        "seconds before each further attempt; the last one repeats",
    )
    jitter: float = _setting("a number", 0.1, "share by which a wait is varied at random")
    give_up_missing: float = _setting(
        "a number", DAY, "seconds until an unknown patch makes a mail unresolved"
    )
    give_up_down: float = _setting(
        "a number", 7 * DAY, "seconds until a Patchwork that is down makes it failed"
    )


@dataclass(frozen=True, slots=True)
class Serve:
    """The long-running process."""

    stop_timeout: float = _setting(
        "a number", 4.0, "seconds that work in progress is given to end at SIGTERM"
    )


@dataclass(frozen=True, slots=True)
class Smtp:
    """The SMTP listener."""

    listen: tuple[str, ...] = _setting(
        "a list of texts", (), "addresses: host:port, [host]:port, *:port or unix:PATH"
    )
    recipients: tuple[str, ...] = _setting(
        "a list of texts",
        (),
        "fnmatch patterns of addresses that mail is taken for; empty: any, and then only loopback "
        "and Unix sockets can be listened on",
    )
    peers: tuple[str, ...] = _setting(
        "a list of networks", (), "networks that may connect by TCP; empty: all"
    )
    hostname: str = _setting("a text", "", "our name in the dialogue; default the machine's")
    sessions: int = _setting("a whole number", 2000, "sessions at once; more get 421")
    sessions_per_peer: int = _setting("a whole number", 1000, "sessions at once of one client")
    max_recipients: int = _setting("a whole number", 100, "recipients of a mail; more get 452")
    memory: int = _setting(
        "a whole number", 256 << 20, "bytes of all mails that are being received; beyond, 452"
    )
    command_timeout: float = _setting("a number above 0", 300.0, "seconds to wait for a command")
    data_timeout: float = _setting(
        "a number above 0", 600.0, "seconds that sending a mail may take"
    )
    idle_timeout: float = _setting(
        "a number above 0",
        900.0,
        "seconds without a mail that end a session, whatever else it says",
    )
    socket_mode: int = _setting("an octal number", 0o660, "permissions of a Unix socket, octal")
    tls_certificate: str = _setting(
        "a text", "", "PEM file of a certificate and its chain, to offer STARTTLS"
    )
    tls_key: str = _setting("a text", "", "PEM file of its key; default the same file")
    starttls: str = _setting(
        "a text", "offered", '"required": no mail by TCP without it; "offered" with a certificate'
    )
    proxies: tuple[str, ...] = _setting(
        "a list of networks", (), "networks whose connections begin with the PROXY protocol"
    )


@dataclass(frozen=True, slots=True)
class Lmtp(Smtp):
    """The LMTP listener."""


@dataclass(frozen=True, slots=True)
class Maildir:
    """The Maildir that serve watches."""

    path: str = _setting("a text", "", "the Maildir that the mail server delivers into; none")
    scan_interval: float = _setting(
        "a number above 0", 30.0, "seconds between looks for mail that inotify did not tell of"
    )


@dataclass(frozen=True, slots=True)
class Retests:
    """The retest JSON."""

    file: str = _setting("a text", "", "the file; default retests.json in the state folder")
    mode: int = _setting("an octal number", 0o644, "permissions of a new file, octal")


@dataclass(frozen=True, slots=True)
class Take:
    """Handing requests over to consumers that ask."""

    hold: float = _setting(
        "a number above 0",
        900.0,
        "seconds until a batch that is held and not acknowledged is given again",
    )
    poll: float = _setting("a number above 0", 0.5, "seconds between two looks while waiting")


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Asking Patchwork for what the mail feed missed."""

    interval: float = _setting(
        "a number", 0.0, "seconds between two times that serve catches up; 0: never"
    )
    overlap: float = _setting(
        "a number", HOUR, "seconds before the last time, or the last mail, that are looked at again"
    )


@dataclass(frozen=True, slots=True)
class Sink:
    """What every sink has."""

    contexts: tuple[str, ...] = _setting(
        "a list of texts", (), "fnmatch patterns of the contexts that it is for; empty: all"
    )
    retry: tuple[float, ...] = _setting(
        "a list of numbers",
        (10.0, MINUTE, 5 * MINUTE, 15 * MINUTE),
        "seconds before each further attempt; the last one repeats",
    )
    give_up: float = _setting(
        "a number",
        7 * DAY,
        "seconds after which a request that cannot be handed over is skipped",
    )


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A further retest JSON, for the contexts of one lab."""

    file: str = _setting("a text", "", "the file; needed")
    contexts: tuple[str, ...] = _setting(
        "a list of texts", (), "fnmatch patterns of the contexts that it is for; empty: all"
    )
    mode: int = _setting("an octal number", 0o644, "permissions of a new file, octal")


@dataclass(frozen=True, slots=True)
class Command(Sink):
    """A program that is run for each request."""

    program: tuple[str, ...] = _setting(
        "a list of texts", (), "the program and its arguments; no shell; needed"
    )
    timeout: float = _setting("a number above 0", 60.0, "seconds that it may run")


@dataclass(frozen=True, slots=True)
class Webhook(Sink):
    """A URL that each request is sent to."""

    url: str = _setting("a URL", "", "where it is sent by POST; needed")
    timeout: float = _setting("a number above 0", 10.0, "seconds for each attempt")
    secret_file: str = _setting("a text", "", "file of the secret that signs it; none: unsigned")
    token_file: str = _setting("a text", "", "file of a token sent as Authorization: Bearer; none")
    event_type: str = _setting(
        "a text", "", "name of GitHub's repository_dispatch event, and its form; none: plain form"
    )


@dataclass(frozen=True, slots=True)
class Check(Sink):
    """A pending check on Patchwork, by which the requester sees that the lab has heard."""

    token_file: str = _setting("a text", "", "file of the API token of a maintainer; needed")
    cover: str = _setting(
        "a text", "all", 'for a cover letter: "all" patches of the series, or the "last"'
    )
    target_url: str = _setting("a text", "", "link of the check; none")


@dataclass(frozen=True, slots=True)
class Mail(Sink):
    """An answer to the requester."""

    sender: str = _setting("a text", "", "our address; needed")
    server: str = _setting("a text", "localhost:25", "the mail server, host:port")
    timeout: float = _setting("a number above 0", 30.0, "seconds for an attempt as a whole")
    starttls: bool = _setting(
        "true or false",
        False,
        "send by STARTTLS only, to a server whose certificate is valid; a password goes no other "
        "way, but to this machine",
    )
    user: str = _setting("a text", "", "name to log in with; none")
    password_file: str = _setting("a text", "", "file of its password")
    labels: tuple[str, ...] = _setting(
        "a list of texts", (), "labels that the answer names; default: the wanted contexts"
    )
    lists: tuple[str, ...] = _setting(
        "a list of texts", (), "addresses of lists that get the answer, too; default: none"
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. ``origin`` names the file read, "" if none was."""

    patchwork: Patchwork = field(default_factory=Patchwork)
    requests: Requests = field(default_factory=Requests)
    state: State = field(default_factory=State)
    intake: Intake = field(default_factory=Intake)
    pipe: Pipe = field(default_factory=Pipe)
    worker: Worker = field(default_factory=Worker)
    retests: Retests = field(default_factory=Retests)
    serve: Serve = field(default_factory=Serve)
    smtp: Smtp = field(default_factory=Smtp)
    lmtp: Lmtp = field(default_factory=Lmtp)
    maildir: Maildir = field(default_factory=Maildir)
    take: Take = field(default_factory=Take)
    catch_up: CatchUp = field(default_factory=CatchUp)
    json_file: Mapping[str, JsonFile] = field(default_factory=dict)
    command: Mapping[str, Command] = field(default_factory=dict)
    webhook: Mapping[str, Webhook] = field(default_factory=dict)
    check: Mapping[str, Check] = field(default_factory=dict)
    mail: Mapping[str, Mail] = field(default_factory=dict)
    origin: str = ""


# The tables of which there may be several, each under a name, as in [webhook.jenkins], and the
# setting that each cannot do without.
SINKS: Mapping[str, tuple[type, str]] = {
    "json_file": (JsonFile, "file"),
    "command": (Command, "program"),
    "webhook": (Webhook, "url"),
    "check": (Check, "token_file"),
    "mail": (Mail, "sender"),
}
