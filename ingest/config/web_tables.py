# SPDX-License-Identifier: BSD-3-Clause
"""The tables of what speaks HTTP to us: the listener, its tokens, and the e-mail services."""

from ingest.config import values
from ingest.config.layout import setting
from ingest.config.values import HOUR
from ingest.value import Value

# The e-mail services that a hook can be for.
SERVICES = (
    "mailgun",
    "sendgrid",
    "postmark",
    "cloudmailin",
    "mandrill",
    "forwardemail",
    "postal",
    "ses",
)
# What a token can allow.
DEEDS = ("mail", "read", "raw", "take", "result", "ask", "note")


class HttpSettings(Value):
    """The HTTP listener."""

    listen: tuple[str, ...] = setting(
        values.texts, (), "addresses: host:port, [host]:port, *:port or unix:PATH"
    )
    read: str = setting(
        values.choice("local", "open", "token"),
        "local",
        'who may read: "open": everybody, "token": who has a token that may "read", "local": '
        "these, and programs on this machine without one",
    )
    public_url: str = setting(
        values.optional_url,
        "",
        "where people reach the pages, like https://recheck.example.org; empty: no links to them",
    )
    socket_mode: int = setting(values.octal, 0o660, "permissions of a Unix socket, octal")
    socket_group: str = setting(
        values.text, "", "group of a Unix socket, such as the web server's; default: the process's"
    )
    connections: int = setting(
        values.whole, 2000, "connections at once of one address that is listened on"
    )
    listeners: int = setting(
        values.whole, 1000, "connections at once that listen to /api/events; they count among these"
    )
    events_interval: float = setting(
        values.positive, 0.5, "seconds between looks for what /api/events and /api/retests tell"
    )
    max_body: int = setting(
        values.whole,
        64 << 20,
        "bytes of a request's body; a larger one is refused. Forms and JSON make a mail longer",
    )
    bodies: int = setting(
        values.whole,
        8,
        "bodies above 64 KiB that are read at once of senders that have proved themselves, and "
        "as many of others; more wait",
    )
    head_timeout: float = setting(
        values.positive, 20.0, "seconds that the head of a request may take"
    )
    stall_timeout: float = setting(
        values.positive, 20.0, "seconds without a byte of a body that end its connection"
    )
    body_timeout: float = setting(values.positive, 120.0, "seconds that a body may take")
    idle_timeout: float = setting(
        values.positive, 30.0, "seconds that a connection may wait for its next request"
    )
    max_recipients: int = setting(
        values.whole, 100, "recipients of a mail that are kept; the others are left out"
    )


class TokenSettings(Value):
    """A token for HTTP, under a name that stands with what was done with it."""

    file: str = setting(
        values.text, "", "file of the token; several, one a line, all count", needed=True
    )
    may: tuple[str, ...] = setting(
        values.some_of(*DEEDS),
        (),
        "what it allows: " + ", ".join(f'"{each}"' for each in DEEDS),
    )


class HookSettings(Value):
    """An e-mail service that posts mail to /mail/NAME."""

    service: str = setting(
        values.choice(*SERVICES), "", "the service: " + ", ".join(SERVICES), needed=True
    )
    secret_file: str = setting(
        values.text,
        "",
        "file of the service's signing key, or of its public key; several, one a line, all count",
    )
    basic_file: str = setting(
        values.text, "", "file of user:password, as they stand in the URL that the service has"
    )
    url: str = setting(values.text, "", "the URL exactly as the service has it (mandrill)")
    topics: tuple[str, ...] = setting(values.texts, (), "the TopicArns to take mail of (ses)")
    window: float = setting(
        values.positive, 9 * HOUR, "seconds that a signature counts that covers no mail (mailgun)"
    )
