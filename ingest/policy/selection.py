# SPDX-License-Identifier: BSD-3-Clause
"""Which mails cannot be requests, and which requests are wanted here.

Pure. A reason is a clause that a person reads after the word "ignored:".
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ingest.ledger import Request
from ingest.mail.recheck import Recheck, capped
from ingest.words import Series, asked_for, listed, of_series

if TYPE_CHECKING:
    from ingest.mail.message import Mail


def no_request(mail: "Mail", null_sender: bool = False) -> str:
    """Why a mail cannot be a request whatever its text says, "" if it can.

    ``null_sender``: the envelope sender was empty, as a bounce's is (RFC 5321, section 4.5.5).
    """
    # A 0/N mail that replies to something may be a comment for Patchwork, which is asked.
    if mail.submission and not (mail.submission == "cover letter" and mail.candidates):
        return f"it is a {mail.submission} itself"
    if mail.hint == "ignore":
        return "it says X-Patchwork-Hint: ignore"
    if mail.auto_submitted not in ("", "no"):
        return f"it is automatic mail (Auto-Submitted: {mail.auto_submitted})"
    if mail.report or mail.null_sender or null_sender:
        return "it is a bounce or a delivery report"
    if not mail.has_text:
        return "it has no text/plain part"
    if not mail.candidates:
        return "it replies to nothing (no In-Reply-To, no References)"
    return ""


def summary(wanted: Recheck, target: Series | None) -> str:
    """A request in one line: "series 29430: iol-a, rebase=main (not read: iol-b)"."""
    for_whom = of_series(target) if target else "series unknown"
    return f"{for_whom}: {asked_for(wanted.contexts, wanted.arguments)}{_left(wanted)}"


def narrowed(
    request: Request,
    contexts: Sequence[str],
    arguments: Sequence[str],
    server: str | None = None,
) -> Request | None:
    """A recorded request as a sink or consumer that is for ``contexts`` has it: what is not for
    it becomes leftovers. None if nothing is for it, see ``select``, or if it was cancelled.
    ``server``: only requests for series of this server, see ``Request``; None for all servers."""
    if request.cancelled or (server is not None and request.server != server):
        return None
    if not contexts:
        return request
    wanted, _ = select(request, contexts, arguments)
    if wanted is None:
        return None
    return replace(request, contexts=wanted.contexts, leftovers=wanted.leftovers)


def select(
    recheck: Recheck | Request, contexts: Sequence[str], arguments: Sequence[str]
) -> tuple[Recheck | None, str]:
    """The wanted part of a request, or None and the reason.

    ``contexts``: fnmatch patterns, none for every label; ``arguments``: the known ones. A
    request counts if a wanted label remains, or if it has arguments and all of them are known.
    """

    def is_wanted(label: str) -> bool:
        return not contexts or any(fnmatchcase(label, pattern) for pattern in contexts)

    return choose(recheck, is_wanted, arguments)


def choose(
    recheck: Recheck | Request,
    is_wanted: Callable[[str], bool],
    arguments: Sequence[str],
    describe: Callable[[Sequence[str]], Sequence[str]] = tuple,
) -> tuple[Recheck | None, str]:
    """As ``select``, by a question about each label. ``describe``: the labels that are not
    wanted as they are kept and named to a person, in the same order."""
    wanted = tuple(label for label in recheck.contexts if is_wanted(label))
    kept = frozenset(wanted)
    unwanted = tuple(describe([label for label in recheck.contexts if label not in kept]))
    unknown = [name for name in recheck.arguments if name not in arguments]
    if wanted or (recheck.arguments and not unknown):
        return Recheck(wanted, recheck.arguments, capped([*unwanted, *recheck.leftovers])), ""
    reasons = []
    if unwanted:
        reasons.append(f"no wanted context among {listed(unwanted)}")
    if unknown:
        reasons.append(f"unknown argument {listed(unknown)}")
    return None, " and ".join(reasons) + _left(recheck)


def _left(recheck: Recheck | Request) -> str:
    return f" (not read: {listed(recheck.leftovers)})" if recheck.leftovers else ""
