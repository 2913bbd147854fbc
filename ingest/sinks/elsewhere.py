# SPDX-License-Identifier: BSD-3-Clause
"""Labels that are not run here: whether another lab may run them, as Patchwork's checks tell."""

from contextlib import closing
from dataclasses import replace

from ingest.config.tables import PatchworkSettings
from ingest.errors import Unanswered, Unavailable
from ingest.ledger import Request
from ingest.patchwork import checks, labels
from ingest.patchwork.api import Api
from ingest.patchwork.dialect import Check

_KNOWN = "no test of ours; a check of this name is on Patchwork, perhaps another lab's"
_UNKNOWN = "no test of ours, and no check on Patchwork has this name"


def told(request: Request, server: PatchworkSettings | None) -> Request:
    """A request whose left-over labels say whether a check of its patch has their name. As it is
    if none is left over, or if Patchwork does not tell now. ``server``: None asks nobody."""
    left = [each for each in request.leftovers if labels.is_label(each)]
    if not left or server is None:
        return request
    try:
        with closing(Api(server)) as api:
            known = labels.names({check.context for check in _checks(api, request)})
    except (Unavailable, Unanswered):
        return request
    said = {each: _KNOWN if each in known else _UNKNOWN for each in left}
    leftovers = (f"{each} ({said[each]})" if each in said else each for each in request.leftovers)
    return replace(request, leftovers=tuple(leftovers))


def _checks(api: Api, request: Request) -> list[Check]:
    """The checks of the patch, or of the last one of a series, where labs tell of the whole."""
    if request.submission.kind == "patch":
        return checks.of_patch(api, request.submission.id)
    patches = checks.patches_of(api, request.series) or []
    return checks.of_patch(api, patches[-1]) if patches else []
