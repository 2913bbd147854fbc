# SPDX-License-Identifier: BSD-3-Clause
"""What can be set of sinks: one table for each kind of sink."""

from ingest.config import values
from ingest.config.layout import setting
from ingest.config.values import DAY, HOUR, MINUTE
from ingest.value import Value

SERVER_HELP = "the requests of which server: NAME of [patchwork.NAME]; empty: of [patchwork]"
REVISIONS_HELP = (
    "whether the key of an entry is SERIES/REVISION, where the server has revisions of a series"
)


class SinkSettings(Value):
    """What every sink has."""

    contexts: tuple[str, ...] = setting(
        values.texts, (), "fnmatch patterns of the contexts that the sink is for; empty: all"
    )
    projects: tuple[str, ...] = setting(
        values.texts, (), "link names of the projects that the sink is for; empty: all"
    )
    delegates: tuple[str, ...] = setting(
        values.texts,
        (),
        "addresses of delegates, whose patches the sink is for; empty: whoever has them",
    )


class JsonFileSettings(SinkSettings):
    """A further retest JSON, for the contexts of one lab."""

    file: str = setting(values.text, "", "the file", needed=True)
    mode: int = setting(values.octal, 0o644, "permissions of a new file, octal")
    patchwork: str = setting(values.text, "", SERVER_HELP)
    revisions: bool = setting(values.truth, False, REVISIONS_HELP)


class ReceiverSettings(SinkSettings):
    """What every sink has that hands over requests one by one."""

    retry: tuple[float, ...] = setting(
        values.numbers,
        (10.0, MINUTE, 5 * MINUTE, 15 * MINUTE),
        "seconds before each further attempt; the last one repeats",
    )
    give_up: float = setting(
        values.number,
        7 * DAY,
        "seconds after which a request that cannot be handed over is skipped",
    )


class CommandSettings(ReceiverSettings):
    """A program that is run for each request."""

    program: tuple[str, ...] = setting(
        values.texts, (), "the program and its arguments; no shell", needed=True
    )
    timeout: float = setting(values.positive, 60.0, "seconds that it may run")
    results: bool = setting(
        values.truth, False, "whether its standard output holds results, a JSON object a line"
    )


class WebhookSettings(ReceiverSettings):
    """A URL that each request is sent to."""

    url: str = setting(values.url, "", "where it is sent by POST", needed=True)
    timeout: float = setting(values.positive, 10.0, "seconds for each attempt")
    secret_file: str = setting(values.text, "", "file of the secret that signs it; none: unsigned")
    token_file: str = setting(
        values.text, "", "file of a token sent as Authorization: Bearer; none"
    )
    event_type: str = setting(
        values.text,
        "",
        "name of GitHub's repository_dispatch event, and its form; none: plain form",
    )


class CheckSettings(ReceiverSettings):
    """A pending check on Patchwork, by which the requester sees that the lab has heard."""

    token_file: str = setting(values.text, "", "file of the API token of a maintainer", needed=True)
    cover: str = setting(
        values.choice("all", "last"),
        "all",
        'for a cover letter: "all" patches of the series, or the "last"',
    )
    patchwork: str = setting(values.text, "", SERVER_HELP)
    target_url: str = setting(
        values.text, "", "link of the check; default the request's page, with [http] public_url"
    )


class PendingResultSettings(ReceiverSettings):
    """A pending test result on a server of freedesktop's kind, where no result stands."""

    login_file: str = setting(
        values.text, "", "file of the login of a project maintainer: NAME:PASSWORD", needed=True
    )
    patchwork: str = setting(values.text, "", SERVER_HELP)
    target_url: str = setting(
        values.text, "", "link of the result; default the request's page, with [http] public_url"
    )


class NewRevisionSettings(ReceiverSettings):
    """A copy of the revision, by which a server of freedesktop's kind is asked for a retest by all
    its labs."""

    login_file: str = setting(
        values.text, "", "file of the login of a project maintainer: NAME:PASSWORD", needed=True
    )
    patchwork: str = setting(values.text, "", SERVER_HELP)


class MailSettings(ReceiverSettings):
    """An answer to the requester."""

    sender: str = setting(values.text, "", "our address", needed=True)
    server: str = setting(values.text, "localhost:25", "the mail server, host:port")
    timeout: float = setting(values.positive, 30.0, "seconds for an attempt as a whole")
    starttls: bool = setting(
        values.truth,
        False,
        "send by STARTTLS only, to a server whose certificate is valid; a password goes no other "
        "way, but to this machine",
    )
    user: str = setting(values.text, "", "name to log in with; none")
    password_file: str = setting(values.text, "", "file of its password")
    labels: tuple[str, ...] = setting(
        values.texts, (), "labels that the answer names; default: the wanted contexts"
    )
    lists: tuple[str, ...] = setting(
        values.texts, (), "addresses of lists that get the answer, too; default: none"
    )
    verified_senders: bool = setting(
        values.truth,
        False,
        "whether the mail server lets only senders through whose address was verified (DMARC): "
        "only then is what the sender wrote repeated in the answer",
    )
    results: bool = setting(
        values.truth,
        False,
        "whether the requester gets a second mail, with the results, when all are known or overdue",
    )
    per_day: int = setting(values.whole, 20, "answers to one address within a day; then no more")
    refusals: bool = setting(
        values.truth,
        True,
        "whether a sender who was proved is told by mail why the policy refused a request",
    )
    series_interval: float = setting(
        values.number,
        HOUR,
        "seconds in which one series is answered once to one address; 0: each request",
    )


class DigestSettings(Value):
    """A mail a day to the operator, with what needs a person."""

    to: str = setting(
        values.address, "", "address that gets it, on days on which something does; empty: none"
    )
    at: str = setting(values.time_of_day, "07:00", "local time from which on it is sent")
    mail: str = setting(
        values.text,
        "",
        "NAME of the [mail.NAME] whose sender, server and login are used; default: the machine's "
        "own mail server, by its sendmail program",
    )
    timeout: float = setting(values.positive, 30.0, "seconds that sending it may take")
    retry: float = setting(
        values.positive, 300.0, "seconds before it is tried again when it could not be sent"
    )


class NoticesSettings(Value):
    """Mail for the operator: a list's confirmation, other administrivia and bounces."""

    forward_to: str = setting(
        values.address,
        "",
        "address that notices are forwarded to, never a list's or our own; default: kept only",
    )
    per_day: int = setting(
        values.whole, 10, "notices forwarded within a day; the others are kept only"
    )
    mail: str = setting(
        values.text,
        "",
        "NAME of the [mail.NAME] whose sender, server and login are used; default: the machine's "
        "own mail server, by its sendmail program",
    )
    timeout: float = setting(values.positive, 30.0, "seconds that sending one may take")
    retry: float = setting(
        values.positive, 300.0, "seconds before it is tried again when it could not be sent"
    )
