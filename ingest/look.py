# SPDX-License-Identifier: BSD-3-Clause
"""A look at a ledger, as values of ``story``: the whole at a glance, and what became of mails.

It only reads.
"""

from collections.abc import Iterable

from ingest import background, signs
from ingest.config.tables import Settings
from ingest.errors import StateUnavailable
from ingest.ledger import Attention, Ledger, Outcome, Record, Result
from ingest.mail.reply import Ready
from ingest.patchwork import limits, outage
from ingest.patchwork.outage import of_server
from ingest.sinks import DIGEST, NOTICES, delivery, follow_up_name, refusals_name
from ingest.sources import forwarding
from ingest.story import consumers as consumer_states
from ingest.story import overview as story
from ingest.story import stats as story_stats
from ingest.story import status as statuses
from ingest.story.overview import Story
from ingest.story.results import FEED
from ingest.story.sinks import CATCH_UP
from ingest.story.stats import Stats
from ingest.story.status import Server, Status
from ingest.words import utc


def status(ledger: Ledger, settings: Settings, now: float) -> Status:
    """The ledger at a glance at ``now``, a Unix time."""
    totals, sinks = ledger.totals(), delivery.wanted(settings)
    asking = [of_server(each, name) for name in settings.server_names for each in (CATCH_UP, FEED)]
    answers = [follow_up_name(name) for name, each in settings.mail.items() if each.results]
    answers += [refusals_name(name) for name, each in settings.mail.items() if each.refusals]
    threads = [background.WORKER, NOTICES, DIGEST, *answers, *asking, *sinks]
    return statuses.status(
        totals,
        consumer_states.consumers(totals.consumers, totals.batches),
        sinks,
        settings,
        servers=[_server(ledger, settings, name, now) for name in settings.server_names],
        worked=background.worked(ledger, now),
        asides={name: ledger.asides.of(name) for name in sinks},
        troubles=background.troubles(ledger, threads, now),
        seen=_seen(settings.state.dir),
        depth=forwarding.depth(settings.state),
        database=ledger.server(),
        now=now,
    )


def _server(ledger: Ledger, settings: Settings, name: str, now: float) -> Server:
    """How a Patchwork server is, as far as we know."""
    table, answered = settings.server(name), outage.answered(ledger, now, name)
    since, reason = outage.down(ledger, now, name) or (0.0, "")
    return Server(
        name=name,
        url=table.url if table else "",
        answered=utc(answered) if answered else None,
        down=utc(since) if since else None,
        reason=reason or None,
        cannot=limits.known(ledger, now, name),
    )


def stats(ledger: Ledger, settings: Settings, since: float, now: float) -> Stats:
    """Requests and results in figures, of those recorded at ``since`` or later, a Unix time; 0 for
    all."""
    return story_stats.of(ledger.results.history(since), since, now, settings.results.follow)


def attention(ledger: Ledger, settings: Settings) -> Attention:
    """What a person must act on, besides unresolved and failed mails."""
    sinks = delivery.wanted(settings)
    failing = [each for each in ledger.cursors() if each.name in sinks and each.tries]
    return Attention(tuple(sinks), min((each.position for each in failing), default=None))


def stories(
    ledger: Ledger, records: Iterable[Record], settings: Settings, now: float
) -> list[Story]:
    """The story of each mail, with what became of its requests at ``now``, a Unix time."""
    cursors, sinks, found = ledger.cursors(), delivery.wanted(settings), list(records)
    consumers = consumer_states.consumers(ledger.consumers(), ledger.batches())
    results: dict[int, list[Result]] = {
        request.number: [] for each in found for request in each.requests
    }
    for result in ledger.results.of(results):
        results[result.request].append(result)

    def made(record: Record) -> Story:
        own = [result for each in record.requests for result in results[each.number]]
        return story.story_of(record, cursors, consumers, sinks, settings, now, own)

    return list(map(made, found))


def ready_reply(ledger: Ledger, record: Record, settings: Settings) -> Ready | None:
    """The reply that asks for what a mail meant and could not be read of it; None if nothing was
    meant, or if nobody can tell any more."""
    from ingest.policy import ready  # with the mail parser, which nothing else here needs

    for request in record.requests:
        if made := ready.of_request(request, settings.requests):
            return made
    if record.requests or record.outcome is not Outcome.IGNORED:
        return None
    try:
        raw = ledger.raw(record.id)
    except ValueError:  # its bytes are damaged
        return None
    return ready.of_mail(raw, settings.requests) if raw else None


def _seen(folder: str) -> list[signs.Sign]:
    try:
        return signs.read(folder)
    except OSError as error:
        raise StateUnavailable(f"what sources saw of each list cannot be read: {error}") from error
