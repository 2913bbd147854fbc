# SPDX-License-Identifier: BSD-3-Clause
"""The document of get_reruns.py, answered from the request log instead of by asking Patchwork.

Whoever keeps ``last_comment_timestamp`` for the next question gets each request once, whether it
cuts it to seconds or not: see ``Ledger.reruns``.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from ingest.config.tables import Settings
from ingest.ledger import Ledger, Request
from ingest.ledger.masking import masked
from ingest.policy import selection
from ingest.retests import document as retests

log = logging.getLogger(__name__)


def document(
    ledger: Ledger, since: float, contexts: Collection[str], settings: Settings, *, now: float
) -> retests.Document:
    """What was recorded since a time, and the time to ask for next, None if nothing was.

    ``since`` and ``now`` are Unix times; ``contexts``: the names of the wanted ones, of which
    there may be none. Only requests of the server that [retests] names are in it. What the
    document promises is on the disk. Raises ``StateUnavailable``.
    """
    requests, promise = ledger.reruns(since, now)
    log.info("%d requests since then", len(requests))
    found = merged(requests, promise, contexts, settings)
    if not (requests or ledger.last_request() or ledger.totals().last_received):
        log.warning(
            "no mail has come to the ledger %s yet; is it the one that the mail goes to?",
            masked(settings.state.ledger),
        )
    return found


def merged(
    requests: Sequence[Request],
    promise: float,
    contexts: Collection[str] | None,
    settings: Settings,
) -> retests.Document:
    """The document of these requests. ``contexts``: the names of the wanted ones, None for all;
    ``promise``: the second that was promised with them."""
    table = settings.retests
    ours = [each for each in requests if each.server == table.patchwork]
    wanted = list(_wanted(ours, contexts, settings.requests.arguments))
    second = promise if requests else 0.0
    return retests.merge(retests.empty(), wanted, second, revisions=table.revisions)


def _wanted(
    requests: Sequence[Request], contexts: Collection[str] | None, arguments: Sequence[str]
) -> Iterator[Request]:
    for request in requests:
        names = tuple(each for each in request.contexts if contexts is None or each in contexts)
        mine = replace(request, contexts=names)
        # No pattern takes all that is left: here none is wanted where no name is given.
        if not request.cancelled and selection.select(mine, (), arguments)[0]:
            yield mine
