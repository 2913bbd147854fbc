# SPDX-License-Identifier: BSD-3-Clause
"""The command line: subcommands, their flags, and the settings that flags stand for."""

import argparse
import os
from typing import Any, NoReturn

from ingest import __version__
from ingest.commands import flag_values
from ingest.config import load as config
from ingest.config.tables import Settings
from ingest.errors import UsageError
from ingest.ledger.values import Outcome
from ingest.words import meant

PROGRAM = "recheck-ingest"
_AS_USER = "try the paths as this user; default: the user that Postfix runs a pipe as"
_SEND_TEST = "send a mail through the local mail server and wait for it; default: to our alias"

# What ``result`` takes: see ``results.word``, which is too heavy for the pipe.
RESULTS = ("pending", "success", "warning", "fail", "cancelled")


_EPILOG = """\
examples:
  recheck-ingest demo                        the whole program at work, without a network
  recheck-ingest quickstart                  the commands that set up this machine
  recheck-ingest replay --dry-run list.mbox  what an archive asks for; nothing is written
  recheck-ingest show MESSAGE-ID             why a request did or did not run
  recheck-ingest take -o batch.json          what a lab has not had yet

exit codes: 0; 1 nothing found; 64 usage; 65 bad data in a file that you named;
69 Patchwork unavailable; 75 try again (always, for pipe); 78 configuration.
reruns ends as get_reruns.py does.
"""


class _Parser(argparse.ArgumentParser):
    """Usage errors as sysexits.h has them, and as errors of ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == "command" and value not in (action.choices or ()):
            near = meant(value, action.choices or ())
            self.error(f"there is no command {value!r}{near}")
        super()._check_value(action, value)


def _base(*, has_state: bool = True) -> _Parser:
    """The flags of every command that has settings; ``list`` has a ``--state`` of its own."""
    base = _Parser(add_help=False)
    group = base.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", help="read settings from this TOML file")
    if has_state:
        group.add_argument("--state", metavar="DIR", help="the ledger's folder")
    group.add_argument(
        "-v", dest="verbose", action="count", default=0, help="log what is done; -vv: in detail"
    )
    return base


def _common(*, has_state: bool = True) -> _Parser:
    """Those, and the flags of every command that works on requests."""
    common = _Parser(add_help=False, parents=[_base(has_state=has_state)])
    group = common.add_argument_group("what it works on")
    group.add_argument("--patchwork", metavar="URL", help="the Patchwork server")
    group.add_argument(
        "--contexts", metavar="PATTERN", nargs="+", help="the wanted labels; default: every label"
    )
    group.add_argument("--retests", metavar="FILE", help="the retest JSON")
    return common


def pipe_parser() -> argparse.ArgumentParser:
    """What follows the word ``pipe``: a pipe has not the time to set up the whole command line."""
    return _Parser(prog=f"{PROGRAM} pipe", parents=[_common()])


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    base, common = _base(), _common()
    as_json = _Parser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON for programs")

    top = _Parser(
        prog=PROGRAM,
        description="List mail in, the retest JSON out: Recheck-request lines for CI labs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )

    def command(name: str, help: str, *parents: _Parser) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=help, description=f"{help[0].upper()}{help[1:]}.", parents=list(parents)
        )

    command("pipe", "take one mail on standard input (alias, procmail, getmail)", common)
    replay = command("replay", "take in the mails of archives", common, as_json)
    replay.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="mbox, .gz or .xz of one, Maildir, .eml, a folder of these, or - for standard input",
    )
    replay.add_argument(
        "--dry-run", action="store_true", help="print what would be recorded, and write nothing"
    )
    replay.add_argument(
        "--offline", action="store_true", help="with --dry-run: do not ask Patchwork either"
    )
    work = command("work", "work off queued mail and hand requests to the sinks", common)
    work.add_argument("--once", action="store_true", help="work off what is due now, then end")
    serve = command("serve", "receive mail and work it off until SIGTERM, as a service", common)
    for protocol in ("smtp", "lmtp", "http"):
        serve.add_argument(
            f"--{protocol}",
            metavar="ADDRESS",
            action="append",
            help=f"listen for {protocol.upper()}: host:port or unix:PATH; may be repeated",
        )
    serve.add_argument("--maildir", metavar="PATH", help="watch this Maildir for mail")
    command(
        "status",
        "show the queue, the outcomes, and how far sinks and consumers have come",
        common,
        as_json,
    )
    _filters(
        command(
            "list", "list requests or mails, the newest first; each filter may be repeated",
            _common(has_state=False),
        )
    )  # fmt: skip
    show = command("show", "print the story of a mail", common, as_json)
    show.add_argument(
        "names",
        metavar="MAIL",
        nargs="+",
        help="its Message-ID, mail-N, or the number or id of its request",
    )
    show.add_argument("--raw", action="store_true", help="write one mail out as it came")
    retry = command(
        "retry", "queue unresolved and failed mails again, and try waiting ones now", common
    )
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every such mail")
    which.add_argument(
        "--sink",
        metavar="KIND:NAME",
        help="hand over what this sink has set aside or skipped, such as webhook:lab",
    )
    which.add_argument(
        "message_ids",
        metavar="MESSAGE-ID",
        nargs="*",
        default=[],
        help="or mail-N, where there is none",
    )
    check = command(
        "check", "see whether everything is as it must be, and say what to do", common, as_json
    )
    check.add_argument(
        "--as", dest="users", metavar="USER", action="append", default=[], help=_AS_USER
    )
    check.add_argument(
        "--send-test", dest="test_address", metavar="ADDRESS", nargs="?", const="", help=_SEND_TEST
    )
    catch_up = command(
        "catch-up", "fetch from Patchwork's events what the mail feed missed", common, as_json
    )
    catch_up.add_argument(
        "--since",
        type=flag_values.showable_moment,
        metavar="TIME",
        help="fetch what was filed at this time or later (UTC, unless it names an offset); "
        "default: since the last run, or the last mail, less [catch_up] overlap",
    )
    reruns = command("reruns", "write what get_reruns.py would, from the ledger", base)
    reruns.add_argument(
        "-ts",
        "--time-since",
        type=flag_values.kept_moment,
        metavar="TIME",
        required=True,
        help="print what was recorded at this time or later (UTC, unless it names an offset); if "
        "it is empty, in the last day",
    )
    contexts = reruns.add_argument(
        "--contexts",
        *("--c", "--co", "--con"),  # get_reruns.py, which has no --config, takes these for it
        dest="names",
        metavar="CONTEXT",
        nargs="*",
        required=True,
        help="the wanted labels; with none, requests that have only known arguments",
    )
    contexts.option_strings = ["--contexts"]  # what help and errors call it
    reruns.add_argument(
        "-o",
        "--out-file",
        metavar="FILE",
        default="rerun_requests.json",
        help="the file to write, - for standard output; default: rerun_requests.json",
    )
    reruns.add_argument(
        "-m", "--multipage", action="store_true", help="has no effect; get_reruns.py has it"
    )
    reruns.add_argument(
        "-u", "--patchwork-url", metavar="URL", help="has no effect; older get_reruns.py have it"
    )
    take = command("take", "hand over what a consumer has not had yet, once", common)
    take.add_argument(
        "--consumer",
        metavar="NAME",
        default="default",
        help="who takes the requests, needed for --contexts; default: the consumer of the retest "
        "JSON, which is emptied",
    )
    take.add_argument(
        "--wait",
        metavar="SECONDS",
        type=flag_values.seconds,
        default=0.0,
        help="if there is nothing yet, wait for so long",
    )
    take.add_argument(
        "--requests", action="store_true", help="print requests one by one, not merged by series"
    )
    take.add_argument(
        "--hold", action="store_true", help="give a batch, and give it again until it is confirmed"
    )
    take.add_argument(
        "-o", "--out-file", metavar="FILE", default="-", help="the file to write; default: print"
    )
    ack = command("ack", "confirm a batch that take --hold gave", common)
    ack.add_argument("batch", metavar="ID", help="the id that take --hold printed")
    consumers = command("consumers", "list who takes requests, or forget one", common, as_json)
    consumers.add_argument(
        "--remove", metavar="NAME", help="forget this one, so that no request is kept for it"
    )
    result = command("result", "say what became of one label of a request", common)
    result.add_argument("request", metavar="REQUEST", help="its number or its id")
    result.add_argument(
        "label", metavar="LABEL", help="one that it asks for; '' if it has arguments alone"
    )
    result.add_argument("result", metavar="STATE", choices=RESULTS, help=", ".join(RESULTS))
    result.add_argument("--url", metavar="URL", default="", help="where there is more to read")
    result.add_argument("--summary", metavar="TEXT", default="", help="one line for people")
    result.add_argument("--by", metavar="NAME", default="lab", help="who says so; default: lab")
    policy = command("policy", "tell what the policy would have done", common, as_json)
    policy.add_argument(
        "--replay",
        metavar="PERIOD",
        type=flag_values.period,
        required=True,
        help="with the requests recorded in so long a time, such as 30d or 12h",
    )
    ledger = command("ledger", "save the state")
    what = ledger.add_subparsers(dest="what", metavar="WHAT", required=True)
    backup = what.add_parser(
        "backup", help="copy the ledger into a file, whoever writes meanwhile", parents=[base]
    )
    backup.add_argument("file", metavar="FILE", help="the file to write; an old one is replaced")
    demo = command("demo", "show the whole program at work on this machine, without a network")
    demo.add_argument("-v", "--verbose", action="store_true", help="tell every mail's story")
    demo.add_argument(
        "--keep", action="store_true", help="leave Patchwork and state to play with until Ctrl-C"
    )
    quickstart = command("quickstart", "print the commands that set up this machine, or run them")
    quickstart.add_argument(
        "--apply", action="store_true", help="take the steps, asking before each"
    )
    quickstart.add_argument("--yes", action="store_true", help="with --apply: do not ask")
    quickstart.add_argument(
        "--way", choices=("alias", "events"), help="how mail comes in; default: what fits"
    )
    quickstart.add_argument(
        "--address",
        default="recheck",
        metavar="NAME",
        help="the local part that is subscribed to the lists; default: recheck",
    )
    quickstart.add_argument(
        "--root", default="/", metavar="DIR", help="set up what is below this folder; for trials"
    )
    help_ = command("help", "print a guide, or where the ready files are")
    help_.add_argument(
        "topic", metavar="TOPIC", nargs="?", help="default: list the topics; files: the ready files"
    )
    return top


class _StateOrFolder(argparse.Action):
    """``--state`` of ``list``: the state of a mail, or the ledger's folder, as everywhere."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if values in list(Outcome):
            namespace.states = [*namespace.states, Outcome(values)]
        elif "/" in values or os.path.isdir(values):
            namespace.state = values
        else:
            parser.error(
                f"--state {values}: that is not a state of a mail ({', '.join(Outcome)}), and "
                "there is no such folder"
            )


def _filters(command: argparse.ArgumentParser) -> None:
    """The flags of ``list``."""
    command.set_defaults(states=[])
    command.add_argument(
        "--state",
        metavar="STATE|DIR",
        action=_StateOrFolder,
        help=f"mails of this state ({', '.join(Outcome)}), with --mail understood; anything else "
        "is the ledger's folder",
    )
    for flag, metavar, help in (
        ("series", "NUMBER", "Patchwork's number of the series"),
        ("label", "LABEL", "a label that is asked for"),
        ("requester", "TEXT", "part of the name or address of who asks"),
        ("list", "LIST-ID", "the list, such as dev.dpdk.org"),
        ("project", "NAME", "the project's link name in Patchwork"),
        ("search", "TEXT", "part of the subject, Message-ID, requester or reason"),
    ):
        command.add_argument(
            f"--{flag}",
            dest=f"{flag}_filter",
            metavar=metavar,
            action="append",
            default=[],
            type=flag_values.whole if flag == "series" else str,
            help=help,
        )
    for flag, help in (("since", "at this time or later"), ("before", "before this time")):
        command.add_argument(
            f"--{flag}",
            metavar="TIME",
            type=flag_values.showable_moment,
            help=f"recorded, or with --mail received, {help} (UTC, unless it names an offset)",
        )
    command.add_argument("--mail", action="store_true", help="mails instead of requests")
    command.add_argument(
        "--attention",
        action="store_true",
        help="what a person must act on: unresolved and failed mails, and those whose requests a "
        "sink has set aside, skipped or fails to take",
    )
    command.add_argument(
        "--limit",
        metavar="N",
        type=flag_values.whole,
        default=50,
        help="how many at most; default: 50",
    )
    command.add_argument("--json", action="store_true", help="print one JSON array for programs")
    command.add_argument("--json-lines", action="store_true", help="print one JSON object a line")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings with the command line's flags over them. Raises ``ConfigError``."""
    flags: dict[tuple[str, str], Any] = {
        ("patchwork", "url"): getattr(arguments, "patchwork", None),
        ("requests", "contexts"): tuple(getattr(arguments, "contexts", None) or ()) or None,
        ("retests", "file"): getattr(arguments, "retests", None),
        ("state", "dir"): arguments.state,
        ("smtp", "listen"): tuple(getattr(arguments, "smtp", None) or ()) or None,
        ("lmtp", "listen"): tuple(getattr(arguments, "lmtp", None) or ()) or None,
        ("http", "listen"): tuple(getattr(arguments, "http", None) or ()) or None,
        ("maildir", "path"): getattr(arguments, "maildir", None),
    }
    given = {key: value for key, value in flags.items() if value is not None}
    return config.load(given, file=arguments.config)
