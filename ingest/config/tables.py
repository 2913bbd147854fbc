# SPDX-License-Identifier: BSD-3-Clause
"""What can be set: one class for each table, and ``Settings``, which holds them all.

Adding a table means adding its class and its field in ``Settings``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from functools import cache

from ingest.config import values
from ingest.config.layout import free, named, setting
from ingest.config.log_tables import LogSettings
from ingest.config.patchwork_tables import PatchworkSettings as PatchworkSettings
from ingest.config.patchwork_tables import ServerSettings as ServerSettings
from ingest.config.policy_tables import ListSettings, PolicySettings
from ingest.config.sink_tables import (
    REVISIONS_HELP,
    SERVER_HELP,
    CheckSettings,
    CommandSettings,
    DigestSettings,
    JsonFileSettings,
    MailSettings,
    NewRevisionSettings,
    NoticesSettings,
    PendingResultSettings,
    SinkSettings,
    WebhookSettings,
)
from ingest.config.source_tables import InboxSettings
from ingest.config.values import DAY, HOUR, MINUTE
from ingest.config.web_tables import HookSettings, HttpSettings, TokenSettings
from ingest.value import Value

# In the place of patterns of contexts: those of the checks that the patch has.
BY_PATCHWORK = "patchwork"


class RequestsSettings(Value):
    """Which requests count."""

    contexts: tuple[str, ...] = setting(
        values.texts,
        (),
        'fnmatch patterns of wanted contexts; empty: all; "patchwork": those of the checks that '
        "the patch has",
    )
    arguments: tuple[str, ...] = setting(
        values.texts, ("rebase",), "known arguments; they count by themselves"
    )
    grammar: str = setting(
        values.choice("get_reruns", "pw-ci"),
        "get_reruns",
        'how a line is read: "get_reruns", or "pw-ci": any number of blanks behind the colon, '
        "labels separated by blanks or commas",
    )
    archive: str = setting(
        values.archive,
        "",
        "where a mail is in the list's archive, such as "
        "https://inbox.dpdk.org/{list}/{message_id}/; {list} is what stands before the first dot "
        "of {list_id}; empty: no links",
    )


class StateSettings(Value):
    """Where mails, outcomes and requests are kept."""

    dir: str = setting(values.text, "", "the folder; its default stands above")
    ledger: str = setting(values.text, "", "URL of the ledger; default ledger.sqlite in the folder")
    keep_days: float = setting(values.number, 30.0, "days that raw mail is kept after its outcome")
    keep_raw: int = setting(
        values.whole, 16 << 20, "bytes of raw mail, packed, kept of mails that ended; the oldest go"
    )
    keep_ignored_days: float = setting(
        values.number,
        90.0,
        "days that ignored, rejected mails and notices are kept; 0: for ever",
    )
    keep_requests_days: float = setting(
        values.number, 0.0, "days that other mails and their requests are kept; 0: for ever"
    )
    busy_timeout: float = setting(
        values.positive, 20.0, "seconds to wait for another process's write"
    )
    mode: int = setting(values.octal, 0o660, "permissions of a new ledger, octal")
    timeout: float = setting(
        values.positive, 10.0, "PostgreSQL: seconds to wait for an answer of the server"
    )
    replicas: int = setting(
        values.count,
        0,
        "PostgreSQL: synchronous standbys that must stream; with fewer, nothing is written",
    )
    host: str = setting(
        values.machine,
        "",
        "this machine's name in a ledger that several share; default: an id in the folder",
    )
    spool: str = setting(
        values.text,
        "",
        "where a pipe leaves mail for a ledger on another machine; default spool.sqlite in the "
        "folder",
    )

    @property
    def is_shared(self) -> bool:
        """Whether several machines share the ledger."""
        return self.ledger.startswith("postgresql:")


class IntakeSettings(Value):
    """What is taken in."""

    max_size: int = setting(
        values.whole, 40 << 20, "bytes of a mail; of a larger one the beginning is kept"
    )
    processes: int = setting(
        values.whole, 8, "processes that search a large archive, at most one for each core"
    )


class PipeSettings(Value):
    """The alias pipe."""

    budget: float = setting(
        values.number, 5.0, "seconds to work off due mails after storing; 0: never"
    )


class WorkerSettings(Value):
    """When a mail is tried again."""

    at_once: int = setting(
        values.whole,
        1,
        "mails worked on at once by serve, on all machines that share the ledger; also how many "
        "ask a Patchwork at once",
    )
    retry: tuple[float, ...] = setting(
        values.numbers,
        (MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR),
        "seconds before each further attempt; the last one repeats",
    )
    jitter: float = setting(values.number, 0.1, "share by which a wait is varied at random")
    give_up_missing: float = setting(
        values.number,
        DAY,
        "seconds until an unknown patch makes a mail unresolved, if it was tried as often as retry "
        "has steps",
    )
    give_up_down: float = setting(
        values.number,
        7 * DAY,
        "seconds until a Patchwork that is down or gives no usable answer makes it failed",
    )


class ServeSettings(Value):
    """The long-running process."""

    stop_timeout: float = setting(
        values.number, 4.0, "seconds that work in progress is given to end at SIGTERM"
    )
    stream: float = setting(
        values.number, 600.0, "mails a second by SMTP, LMTP or HTTP to which other work gives way"
    )
    gives_way: float = setting(
        values.number,
        0.1,
        "seconds for which it gives way at most, to a stream of mail or to mail that is being "
        "written, before the next mail is worked on; 0: it does not",
    )


class SmtpSettings(Value):
    """The SMTP listener."""

    listen: tuple[str, ...] = setting(
        values.texts, (), "addresses: host:port, [host]:port, *:port or unix:PATH"
    )
    recipients: tuple[str, ...] = setting(
        values.texts,
        (),
        "fnmatch patterns of addresses that mail is taken for; empty: any, and then only loopback "
        "and Unix sockets can be listened on",
    )
    peers: tuple[str, ...] = setting(
        values.networks, (), "networks that may connect by TCP; empty: all"
    )
    hostname: str = setting(values.text, "", "our name in the dialogue; default the machine's")
    sessions: int = setting(
        values.whole, 2000, "sessions at once; then the one idle for longest goes"
    )
    sessions_per_peer: int = setting(
        values.whole, 50, "sessions at once of one client; more get 421"
    )
    max_recipients: int = setting(values.whole, 100, "recipients of a mail; more get 452")
    memory: int = setting(
        values.whole, 256 << 20, "bytes of all mails that are being received; beyond, 452"
    )
    command_timeout: float = setting(values.positive, 300.0, "seconds to wait for a command")
    data_timeout: float = setting(values.positive, 600.0, "seconds that sending a mail may take")
    idle_timeout: float = setting(
        values.positive,
        900.0,
        "seconds without a mail that end a session, whatever else it says",
    )
    socket_mode: int = setting(values.octal, 0o660, "permissions of a Unix socket, octal")
    socket_group: str = setting(
        values.text, "", "group of a Unix socket, such as the mail server's; default: the process's"
    )
    tls_certificate: str = setting(
        values.text, "", "PEM file of a certificate and its chain, to offer STARTTLS"
    )
    tls_key: str = setting(values.text, "", "PEM file of its key; default the same file")
    starttls: str = setting(
        values.choice("offered", "required"),
        "offered",
        '"required": no mail by TCP without it; "offered" with a certificate',
    )
    proxies: tuple[str, ...] = setting(
        values.networks, (), "networks whose connections begin with the PROXY protocol"
    )


class LmtpSettings(SmtpSettings):
    """The LMTP listener."""


class MaildirSettings(Value):
    """The Maildir that serve watches."""

    path: str = setting(values.text, "", "the Maildir that the mail server delivers into; none")
    scan_interval: float = setting(
        values.positive, 30.0, "seconds between looks for mail that inotify did not tell of"
    )


class RetestsSettings(Value):
    """The retest JSON."""

    file: str = setting(values.text, "", "the file; default retests.json in the state folder")
    mode: int = setting(values.octal, 0o644, "permissions of a new file, octal")
    patchwork: str = setting(values.text, "", SERVER_HELP)
    revisions: bool = setting(values.truth, False, REVISIONS_HELP)


class TakeSettings(Value):
    """Handing requests over to consumers that ask."""

    hold: float = setting(
        values.positive,
        900.0,
        "seconds until a batch that is held and not acknowledged is given again",
    )
    poll: float = setting(values.positive, 0.5, "seconds between two looks while waiting")


class SignsSettings(Value):
    """The signs of life of sources, which status shows."""

    silence: float = setting(
        values.number,
        6 * HOUR,
        "seconds without mail of a list that are never warned of; a longer silence is, if it is "
        "the longest ever",
    )
    test_timeout: float = setting(
        values.positive, MINUTE, "seconds that check --send-test waits for its mail"
    )


class CatchUpSettings(Value):
    """Asking Patchwork for what the mail feed missed."""

    interval: float = setting(
        values.number, 0.0, "seconds between two times that serve catches up; 0: never"
    )
    overlap: float = setting(
        values.number,
        HOUR,
        "seconds before the last time, or the last mail, that are looked at again",
    )
    walk: int = setting(
        values.whole,
        200,
        "questions of a run at a server without comment events, where the comments on recent "
        "patches are read",
    )
    walk_age: float = setting(
        values.positive, 30 * DAY, "seconds since a patch was sent for which it is recent there"
    )


class ResultsSettings(Value):
    """What became of requests."""

    interval: float = setting(
        values.number,
        15 * MINUTE,
        "seconds between two times that serve asks Patchwork for new checks, while a result is to "
        "come; 0: never",
    )
    follow: float = setting(
        values.number, 14 * DAY, "seconds that a request is followed after it was recorded"
    )
    patches: int = setting(
        values.count,
        100,
        "patches, or revisions of series, whose checks are asked for at one time where checks make "
        "no events, those of the oldest requests first; the others have their turn the next times; "
        "0: all",
    )
    overdue: float = setting(
        values.number,
        2 * DAY,
        "seconds after which a label that was never seen to run is overdue; 0: never",
    )
    overdue_labels: tuple[str, ...] = setting(
        values.seconds_by_pattern,
        (),
        'the same for labels by fnmatch pattern, like "iol-*-Performance=604800"; the first that '
        "fits counts",
    )


class Settings(Value):
    """Everything that can be set. ``origin`` names the file read, "" if none was."""

    patchwork: PatchworkSettings = field(default_factory=PatchworkSettings)
    servers: Mapping[str, ServerSettings] = named(ServerSettings, at="patchwork")
    requests: RequestsSettings = field(default_factory=RequestsSettings)
    groups: Mapping[str, tuple[str, ...]] = free(
        values.group,
        "labels that the label NAME stands for: patterns of those that the patch has checks of, as "
        '["iol-*-Performance"], and names; "patchwork:fail,warning": those whose newest check says '
        'so; "patchwork:*": all that have a check',
    )
    policy: PolicySettings = field(default_factory=PolicySettings)
    list: Mapping[str, ListSettings] = named(ListSettings)
    state: StateSettings = field(default_factory=StateSettings)
    intake: IntakeSettings = field(default_factory=IntakeSettings)
    pipe: PipeSettings = field(default_factory=PipeSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    retests: RetestsSettings = field(default_factory=RetestsSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    smtp: SmtpSettings = field(default_factory=SmtpSettings)
    lmtp: LmtpSettings = field(default_factory=LmtpSettings)
    maildir: MaildirSettings = field(default_factory=MaildirSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    token: Mapping[str, TokenSettings] = named(TokenSettings)
    hook: Mapping[str, HookSettings] = named(HookSettings)
    log: LogSettings = field(default_factory=LogSettings)
    take: TakeSettings = field(default_factory=TakeSettings)
    signs: SignsSettings = field(default_factory=SignsSettings)
    results: ResultsSettings = field(default_factory=ResultsSettings)
    notices: NoticesSettings = field(default_factory=NoticesSettings)
    digest: DigestSettings = field(default_factory=DigestSettings)
    catch_up: CatchUpSettings = field(default_factory=CatchUpSettings)
    inbox: Mapping[str, InboxSettings] = named(InboxSettings)
    json_file: Mapping[str, JsonFileSettings] = named(JsonFileSettings)
    command: Mapping[str, CommandSettings] = named(CommandSettings)
    webhook: Mapping[str, WebhookSettings] = named(WebhookSettings)
    check: Mapping[str, CheckSettings] = named(CheckSettings)
    test_result: Mapping[str, PendingResultSettings] = named(PendingResultSettings)
    newrevision: Mapping[str, NewRevisionSettings] = named(NewRevisionSettings)
    mail: Mapping[str, MailSettings] = named(MailSettings)
    origin: str = ""

    @property
    def server_names(self) -> tuple[str, ...]:
        """The names of the Patchwork servers' tables, "" for [patchwork] first."""
        return ("", *self.servers)

    def server(self, name: str) -> PatchworkSettings | None:
        """The settings of a Patchwork server by the name of its table, "" for [patchwork]; None
        if there is no such table, any more."""
        return self.servers.get(name) if name else self.patchwork


@cache
def sink_kinds() -> tuple[str, ...]:
    """The kinds of sinks: the tables of ``Settings`` such as [webhook.NAME]."""
    return tuple(
        each.name
        for each in fields(Settings)
        if issubclass(each.metadata.get("named", object), SinkSettings)
    )


def sinks(settings: Settings) -> Iterator[SinkSettings]:
    """The table of each configured sink, but for the retest JSON."""
    for kind in sink_kinds():
        yield from getattr(settings, kind).values()
