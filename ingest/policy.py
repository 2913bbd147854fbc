# SPDX-License-Identifier: BSD-3-Clause
"""Which mails are no requests by their nature, and which requests are wanted here.

Pure. Called by the worker and by ``replay --dry-run``. A reason is a clause that a person reads
after the word "ignored:".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ingest.ledger import Request
from ingest.mail.recheck import Recheck
from ingest.words import listed

if TYPE_CHECKING:
    from ingest.mail.message import Mail


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of a request that counts here."""

    contexts: tuple[str, ...]
    arguments: Mapping[str, str]
    leftovers: tuple[str, ...]


def no_request(mail: "Mail", null_sender: bool = False) -> str:
    """Why a mail cannot be a request whatever its text says, "" if it can.

    ``null_sender``: the envelope sender was empty, as a bounce's is (RFC 5321, section 4.5.5).
    """
    if mail.submission:
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


def narrowed(request: Request, contexts: Sequence[str], arguments: Sequence[str]) -> Request | None:
    """A recorded request as a sink or consumer that is for ``contexts`` has it: what is not for
    it becomes leftovers. None if nothing is for it; see ``select``."""
    if not contexts:
        return request
    wanted, _ = select(request, contexts, arguments)
    if wanted is None:
        return None
    return replace(request, contexts=wanted.contexts, leftovers=wanted.leftovers)


def select(
    recheck: Recheck | Request, contexts: Sequence[str], arguments: Sequence[str]
) -> tuple[Wanted | None, str]:
    """The wanted part of a request, or None and the reason.

    ``contexts``: fnmatch patterns, none for every context; ``arguments``: the known ones. A
    mail counts if a wanted context remains, or if it has arguments and knows them all.
    """

    def is_wanted(label: str) -> bool:
        return not contexts or any(fnmatchcase(label, pattern) for pattern in contexts)

    return choose(recheck, is_wanted, arguments)


def choose(
    recheck: Recheck | Request | Wanted,
    is_wanted: Callable[[str], bool],
    arguments: Sequence[str],
    told: Callable[[Sequence[str]], Sequence[str]] = tuple,
) -> tuple[Wanted | None, str]:
    """As ``select``, by a question about each context. ``told``: how those that are not wanted
    are told of, in the same order."""
    wanted = tuple(label for label in recheck.contexts if is_wanted(label))
    kept = frozenset(wanted)
    unwanted = tuple(told([label for label in recheck.contexts if label not in kept]))
    unknown = [name for name in recheck.arguments if name not in arguments]
    if wanted or (recheck.arguments and not unknown):
        return Wanted(wanted, recheck.arguments, unwanted + tuple(recheck.leftovers)), ""
    reasons = []
    if unwanted:
        reasons.append(f"no wanted context among {listed(unwanted)}")
    if unknown:
        reasons.append(f"unknown argument {listed(unknown)}")
    return None, " and ".join(reasons)
