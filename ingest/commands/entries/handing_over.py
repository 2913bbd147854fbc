# SPDX-License-Identifier: BSD-3-Clause
"""Commands of labs: they take requests, and say what became of them."""

import argparse
import signal
import sys
import time
from contextlib import closing

from ingest.commands import flag_values
from ingest.commands.options import Commands, complain
from ingest.commands.settings import settings_of
from ingest.config.values import DAY
from ingest.errors import EX_OK, NothingFound, UsageError
from ingest.ledger import Opening, open_configured

# What ``result`` takes: see ``results.word``, which is too heavy for the command line.
RESULTS = ("pending", "success", "warning", "fail", "cancelled")


def add(to: Commands) -> None:
    """Add them to the command line."""
    take = to.command(_take, "take", "hand over what a consumer has not had yet, once", to.common)
    _take_flags(take)
    ack = to.command(_ack, "ack", "confirm a batch that take --hold gave", to.common)
    ack.add_argument("batch", metavar="ID", help="the id that take --hold printed")
    reruns = to.command(
        _reruns, "reruns", "write what get_reruns.py would, from the ledger", to.base
    )
    _reruns_flags(reruns)
    result = to.command(_result, "result", "say what became of one label of a request", to.common)
    result.add_argument("request", metavar="REQUEST", help="its number or its id")
    result.add_argument(
        "label", metavar="LABEL", help="one that it asks for; '' if it has arguments alone"
    )
    result.add_argument("result", metavar="STATE", choices=RESULTS, help=", ".join(RESULTS))
    result.add_argument("--url", metavar="URL", default="", help="where there is more to read")
    result.add_argument("--summary", metavar="TEXT", default="", help="one line for people")
    result.add_argument("--by", metavar="NAME", default="lab", help="who says so; default: lab")


def _take_flags(take: argparse.ArgumentParser) -> None:
    """The flags of ``take``."""
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
        help="if there is nothing yet, wait up to this long",
    )
    take.add_argument(
        "--requests", action="store_true", help="print requests one by one, not merged by series"
    )
    take.add_argument(
        "--format",
        choices=("retests", "requests", "pw-ci"),
        help="the retest JSON (default), requests one by one as with --requests, or as pw-ci's "
        "recheck_tool lists them",
    )
    take.add_argument(
        "--server",
        metavar="NAME",
        help="requests for series of [patchwork.NAME] only; default: of the server that [retests] "
        "names, with --requests of all servers",
    )
    take.add_argument(
        "--hold", action="store_true", help="give a batch, and give it again until it is confirmed"
    )
    take.add_argument(
        "-o", "--out-file", metavar="FILE", default="-", help="the file to write; default: print"
    )
    take.add_argument(
        "--peek", action="store_true", help="print what would be handed over, and change nothing"
    )


def _reruns_flags(reruns: argparse.ArgumentParser) -> None:
    """The flags of ``reruns``, which are those of get_reruns.py."""
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


def _take(arguments: argparse.Namespace) -> int:
    from ingest.handover import peek, take

    # It may end at any moment: what was not handed over is given the next time.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    settings = settings_of(arguments)
    order = take.Order(
        arguments.consumer,
        tuple(arguments.contexts or ()),
        single=arguments.requests or arguments.format in ("requests", "pw-ci"),
        hold=arguments.hold,
        pw_ci=arguments.format == "pw-ci",
        server=arguments.server,
    )
    output = take.output_to(arguments.out_file, settings)
    if arguments.peek:
        if arguments.wait:
            raise UsageError("--peek does not wait")
        with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
            output(peek.peek(ledger, settings, order))
        return EX_OK
    with closing(open_configured(settings.state)) as ledger:
        take.take(ledger, settings, order, output, wait=arguments.wait)
    return EX_OK


def _ack(arguments: argparse.Namespace) -> int:
    from ingest.handover import take

    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger:
        first = take.acknowledge(ledger, settings, arguments.batch)
    if not first:
        complain(f"{arguments.batch} was confirmed before")
    return EX_OK


def _reruns(arguments: argparse.Namespace) -> int:
    from ingest import files
    from ingest.handover import reruns
    from ingest.retests import document as retests

    settings, now = settings_of(arguments), time.time()
    # A ledger that it makes itself would answer for ever that there is nothing.
    with closing(open_configured(settings.state, Opening.USE)) as ledger:
        since = now - DAY if arguments.time_since is None else arguments.time_since
        document = reruns.document(ledger, since, arguments.names, settings, now=now)
    files.write_out(arguments.out_file, retests.dump(document))
    return EX_OK


def _result(arguments: argparse.Namespace) -> int:
    from ingest.ledger import State
    from ingest.results import word

    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger:
        request = ledger.results.request(arguments.request)
        if request is None:
            raise NothingFound(f"there is no request {arguments.request} in the ledger")
        result = word.result(
            request,
            arguments.label,
            State(arguments.result),
            author=arguments.by,
            now=time.time(),
            url=arguments.url,
            summary=arguments.summary,
        )
        if not ledger.results.tell(result):
            complain("the same was said before")
    return EX_OK
