# SPDX-License-Identifier: BSD-3-Clause
"""The command ``policy``: what the configured policy would have done with what was asked lately."""

import argparse
import time
from collections import Counter
from contextlib import closing

from ingest.commands import report
from ingest.commands.settings import settings_of
from ingest.config.tables import Settings
from ingest.errors import EX_OK, NothingFound
from ingest.ledger import Ledger, Opening, Request, open_configured, requests_after
from ingest.policy import trial
from ingest.policy.trial import Judged
from ingest.words import asked_for, counted, listed, moment, named, utc


def run(arguments: argparse.Namespace) -> int:
    """Print it. Raises ``NothingFound`` if nothing was asked in that time."""
    settings = settings_of(arguments)
    since = time.time() - arguments.replay
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        judged = replayed(ledger, settings, since)
    if not judged:
        raise NothingFound(f"nothing was asked since {moment(since)}")
    if arguments.json:
        report.print_json([_for_programs(each) for each in judged])
    else:
        _print(judged, since, settings)
    return EX_OK


def replayed(ledger: Ledger, settings: Settings, since: float) -> list[Judged]:
    """The requests recorded since a Unix time, as the policy would have judged them: those that
    mails asked for."""

    def list_of(request: Request) -> str:
        mails = ledger.find(request.message_id)
        return next((each.list_id for each in mails if each.id == request.mail_id), "")

    late = (each for each in requests_after(ledger, 0) if each.recorded >= since)
    asked = [each for each in late if not each.is_by_hand]
    return list(trial.tried(asked, settings.policy, list_of))


def _print(judged: list[Judged], since: float, settings: Settings) -> None:
    out = report.Printer()
    counts: Counter[str] = Counter()
    for each in judged:
        what = outcome(each)
        counts[what] += 1
        if each.reason or each.depends:
            request = each.request
            name = named(request.message_id, request.mail_id)
            asks = asked_for(request.contexts, request.arguments)
            left = f" (without {listed(each.left)})" if each.left else ""
            out.line(f"{what:8} {name} for series {request.series}: {asks}{left}")
            if each.reason:
                out.line(f"         {each.reason}")
    told = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    out.line(f"{counted(len(judged), 'request')} since {moment(since)}: {told}")
    if counts["depends"]:
        out.line("depends: on who submitted the patch or maintains its project")
    if settings.policy.states:
        out.line("states were not looked at: nobody knows any more how the patches stood")


def outcome(judged: Judged) -> str:
    """One word for what would have become of a request."""
    if judged.depends:
        return "depends"
    if judged.left:
        return "narrowed"
    return "rejected" if judged.reason else "accepted"


def _for_programs(judged: Judged) -> dict[str, object]:
    request = judged.request
    return {
        "number": request.number,
        "id": request.id,
        "message_id": request.message_id,
        "series": request.series,
        "recorded": utc(request.recorded),
        "outcome": outcome(judged),
        "reason": judged.reason or None,
        "left_out": judged.left,
    }
