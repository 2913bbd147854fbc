# SPDX-License-Identifier: BSD-3-Clause
"""The sink [check.NAME]: puts a pending check on the patch that a request is for, once for each
context, so that the requester sees on Patchwork that the lab has heard.
"""

import unicodedata
from contextlib import closing
from datetime import UTC, datetime, timedelta

from ingest import links
from ingest.config import secret
from ingest.config.sink_tables import CheckSettings
from ingest.config.tables import Settings
from ingest.errors import NotTaken, SinkUnavailable, TurnedAway, Unanswered, Unavailable
from ingest.ledger import Request
from ingest.mail.requester import Requester
from ingest.patchwork import checks
from ingest.patchwork.api import Api
from ingest.patchwork.checks import Refusal
from ingest.patchwork.dialect import Check as PostedCheck
from ingest.patchwork.feed import ZONES
from ingest.policy.manners import Manners
from ingest.sinks import Configured, Stop
from ingest.words import counted, listed

_PENDING = "pending"
# By how much Patchwork's clock may be behind ours, and its local time, in which checks are dated,
# behind UTC, before a check of ours is not found again.
_CLOCKS_APART = timedelta(hours=1) + ZONES
# One mail must not have us post without end: it may name any number of labels, and a series has
# any number of patches.
_MOST = 500
_LONGEST_NAME, _LONGEST_TOLD = 60, 2000
# The refusals that say nothing of the one context: who asks, and whether there is the patch.
_OF_THE_PATCH = (401, 403, 404)


def receiver(name: str, settings: Settings) -> Configured:
    """The configured sink of this name."""
    return Check(name, settings.check[name], settings)


class Check:
    """A ``Receiver`` that is the checks of a Patchwork."""

    once_per_mail = False
    manners = Manners()

    def __init__(self, name: str, table: CheckSettings, settings: Settings) -> None:
        self.name = f"check:{name}"
        self._table = table
        self._settings = settings
        self._patchwork = settings.server(table.patchwork) or settings.patchwork

    @property
    def purpose(self) -> str:
        """See ``Configured``."""
        return f"posts to {self._patchwork.url}"

    def problems(self) -> list[str]:
        """See ``Configured``."""
        return secret.problems({"token_file": self._table.token_file})

    def dangers(self) -> list[str]:
        """See ``Configured``."""
        return secret.in_clear(self._patchwork.url)

    def give(self, request: Request, *, again: bool, stop: Stop) -> str:
        """See ``Receiver``. What Patchwork refuses for one patch or context keeps it from no
        other; all refusals are reported together. If one of them says something about us, or
        about the server, the request is turned away, else it is not taken."""
        if not request.contexts:
            return "no context was named, so no check was posted"
        token = secret.token(self._table.token_file)
        with closing(Api(self._patchwork)) as api:
            try:
                return self._post_all(api, request, token, again, stop)
            except Unavailable as error:
                raise SinkUnavailable(str(error), error.retry_after) from error
            except Unanswered as error:
                raise SinkUnavailable(str(error)) from error

    def _post_all(self, api: Api, request: Request, token: str, again: bool, stop: Stop) -> str:
        patches = self._patches(api, request)
        contexts = request.contexts[: max(1, _MOST // len(patches))]
        posted: list[int] = []
        refused: dict[Refusal, list[str]] = {}
        there = 0
        for patch in patches:
            ours = self._ours(api, patch, request) if again else frozenset()
            there += len(ours.intersection(contexts))
            for context in contexts:
                if context in ours:
                    continue
                if stop():
                    raise SinkUnavailable("there was no time to post all checks")
                check = PostedCheck(context, _PENDING, description(request))
                refusal = checks.post(api, patch, check, self._target_url(request), token)
                if refusal is None:
                    posted.append(patch)
                    continue
                of_patch = refusal.status in _OF_THE_PATCH
                what = f"patch {patch}" if of_patch else f"{context} of patch {patch}"
                refused.setdefault(refusal, []).append(what)
                if of_patch:
                    break
            if any(refusal.status in (401, 403) for refusal in refused):
                break  # it is the token's fault, and the same for every patch of a project
        parts = [self._refused(each, what, request) for each, what in refused.items()]
        if posted or not refused:
            parts.append(_posted(posted, there))
        if left_out := len(request.contexts) - len(contexts):
            parts.append(f"{left_out} contexts left out: they are too many")
        text = "; ".join(parts)[:_LONGEST_TOLD]
        if any(each.status in _OF_THE_PATCH for each in refused):
            raise TurnedAway(text)
        if refused:
            raise NotTaken(text)
        return text

    def _target_url(self, request: Request) -> str:
        """Where the check leads to, "" for nowhere."""
        page = links.page(request.number, self._settings) or ""
        return self._table.target_url or (page if links.fits_check(page) else "")

    def _patches(self, api: Api, request: Request) -> list[int]:
        if request.submission.kind == "patch":
            return [request.submission.id]
        found = checks.patches_of(api, request.series)
        if found is None:
            raise TurnedAway(f"series {request.series} is not known to Patchwork")
        if not found:
            raise NotTaken(f"series {request.series} has no patch")
        return found[-1:] if self._table.cover == "last" else found[:_MOST]

    def _ours(self, api: Api, patch: int, request: Request) -> frozenset[str]:
        """The contexts for which an earlier attempt has posted the check."""
        since = datetime.fromtimestamp(request.recorded, UTC) - _CLOCKS_APART
        ours = _PENDING, description(request)
        return frozenset(
            check.context
            for check in checks.of_patch(api, patch, since)
            if (check.state, check.description) == ours
        )

    def _refused(self, refusal: Refusal, what: list[str], request: Request) -> str:
        said = f" ({refusal.detail})" if refusal.detail else ""
        if refusal.status in (401, 403):  # the same for every patch of a project
            project = f"project {request.project}" if request.project else "its project"
            token = f"the token of {self._table.token_file}"
            return f"{token} belongs to nobody who maintains {project}{said}"
        return f"Patchwork refuses a check for {listed(what)}: {refusal.status}{said}"


def description(request: Request) -> str:
    """What the check says. The request's number in the log tells it from any other of ours."""
    name = namely(request.requester)
    by = name if request.trust.author else f"a sender claimed to be {name}"
    return f"retest requested by {by} (request {request.number})"


def namely(asks: Requester) -> str:
    """A requester's name, or what stands before the @: addresses are not for web pages. Names are
    shown on such, and read by scripts."""
    name = unicodedata.normalize(
        "NFC", (asks.name or asks.mailbox.partition("@")[0]).replace("'", "’")
    )
    kept = "".join(each if _is_namely(each) else " " for each in name)
    return " ".join(kept.split())[:_LONGEST_NAME].strip() or "somebody"


def _is_namely(letter: str) -> bool:
    """Whether it stands in names. Patchwork's database may have no room beyond U+FFFF."""
    return letter <= "\uffff" and (
        letter in " .,’-" or letter.isalnum() or unicodedata.category(letter).startswith("M")
    )


def _posted(posted: list[int], there: int) -> str:
    checks = counted(len(posted), "pending check")
    patches = list(dict.fromkeys(map(str, posted)))
    to = f" on patch{'' if len(patches) == 1 else 'es'} {listed(patches)}" if patches else ""
    known = f", {there} there already" if there else ""
    return f"{checks} posted{to}{known}"
