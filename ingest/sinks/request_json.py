# SPDX-License-Identifier: BSD-3-Clause
"""A request as JSON: what ``command`` and ``webhook`` hand over and ``take --requests`` prints.

Pure: a value in, a dict out. Names and forms are a contract with other people's programs.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ingest import links
from ingest.config.tables import Settings
from ingest.ledger import Request

_EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
_LATEST = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


def shape(request: Request, settings: Settings) -> dict[str, Any]:
    """A request for JSON: texts are Unicode throughout, times as ``moment`` writes them, links
    null where they are not known."""
    return {
        "number": request.number,
        "id": request.id,
        "message_id": _unicode(request.message_id),
        "series": request.series,
        "revision": request.revision or None,
        "server": request.server or None,
        "submission": _unicode(str(request.submission)),
        "project": _unicode(request.project),
        "contexts": [_unicode(each) for each in request.contexts],
        "arguments": {_unicode(k): _unicode(v) for k, v in request.arguments.items()},
        "leftovers": [_unicode(each) for each in request.leftovers],
        "reason": _unicode(request.reason),
        "groups": {
            _unicode(name): [_unicode(each) for each in labels]
            for name, labels in request.groups.items()
        },
        "requester": _unicode(str(request.requester)),
        "passage": request.trust.passage,
        "proof": request.trust.author,
        "subject": _unicode(request.subject),
        "date": moment(request.date),
        "recorded": moment(request.recorded),
        "links": {
            name: url and _unicode(url)
            for name, url in asdict(links.of_request(request, settings)).items()
        },
    }


def moment(at: float) -> str:
    """A Unix time in UTC, in whole seconds, in the form that every reader of ISO 8601 knows:
    ``2023-09-06T09:01:00Z``. A mail's own date may be beyond the years 1 and 9999."""
    within = datetime.fromtimestamp(min(max(at, _EARLIEST), _LATEST), UTC)
    return within.isoformat(timespec="seconds").replace("+00:00", "Z")


def _unicode(text: str) -> str:
    """A text whose lone surrogates, which JSON's readers refuse, are replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
