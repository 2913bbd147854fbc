# SPDX-License-Identifier: BSD-3-Clause
"""Labels that Patchwork decides on: ``contexts = "patchwork"`` wants those of which the patch has
a check.
"""

import re
from collections.abc import Collection, Sequence

from ingest.config.tables import BY_PATCHWORK, RequestsSettings
from ingest.mail.recheck import Recheck
from ingest.patchwork.dialect import Lookup, Target
from ingest.patchwork.lookup import Patchwork
from ingest.policy import selection
from ingest.words import listed

# What a line can ask for (DESIGN.md, The grammar), and what a slug has no room for.
_LABEL = re.compile(r"(?!-)[\w-]+")
_NO_WORD, _NO_WORDS = re.compile(r"[^\w-]"), re.compile(r"[^\w-]+")
# Looking for what was meant takes time by labels and contexts, and a mail may hold 100,000.
_MOST_SUGGESTED, _MOST_COMPARED, _LONGEST_COMPARED = 20, 500, 100


def are_asked_for(requests: RequestsSettings) -> bool:
    """Whether Patchwork decides which labels are wanted."""
    return requests.contexts == (BY_PATCHWORK,)


def patterns(requests: RequestsSettings) -> Sequence[str]:
    """The patterns of contexts that count before Patchwork was asked."""
    return () if are_asked_for(requests) else requests.contexts


def known(
    wanted: Recheck,
    target: Target,
    patchwork: Patchwork,
    requests: RequestsSettings,
    trail: list[Lookup],
) -> tuple[Recheck | None, str]:
    """What remains of a request whose labels Patchwork decides on, or None and the reason; other
    requests remain as they are. A label that is not known becomes a leftover, with the nearest
    known one. ``trail`` is given the question; raises as ``Patchwork.resolve``."""
    if not are_asked_for(requests) or not wanted.contexts:
        return wanted, ""
    asked_for = frozenset(wanted.contexts)
    contexts = patchwork.contexts(target, lambda found: asked_for <= names(found))
    trail.append(
        Lookup(
            f"contexts of the checks of {target.kind} {target.id}",
            listed(sorted(contexts)) or "none",
        )
    )

    known = names(contexts)

    def describe(labels: Sequence[str]) -> list[str]:
        return with_suggestions(labels, known)

    return selection.choose(wanted, known.__contains__, requests.arguments, describe)


def is_label(text: str) -> bool:
    """Whether a text is one that a line can ask for."""
    return _LABEL.fullmatch(text) is not None


def names(contexts: Collection[str]) -> frozenset[str]:
    """The labels that mean a check of one of these contexts: its name, or where no line can ask
    for that, as ``github-robot: build`` is, the part before ``: `` and the slugs of the whole."""
    return frozenset(
        label for context in contexts for label in _names(context) if _LABEL.fullmatch(label)
    )


def of_context(context: str) -> str:
    """The label by which a check of a context is asked for, "" if there is none."""
    return next((each for each in _names(context) if _LABEL.fullmatch(each)), "")


def _names(context: str) -> tuple[str, ...]:
    if _LABEL.fullmatch(context):
        return (context,)
    # As DPDK's scripts write it for the REST API, which takes slugs only; and the usual slug.
    slugs = _NO_WORD.sub("-", context.replace(" ", "_")), _NO_WORDS.sub("-", context).strip("-")
    return (context.partition(": ")[0], *slugs)


def with_suggestions(labels: Sequence[str], contexts: Collection[str]) -> list[str]:
    """Each label, with the context that was perhaps meant, in any case of its letters."""
    from difflib import get_close_matches

    compared = {context.lower(): context for context in sorted(contexts)[:_MOST_COMPARED]}
    found = list(labels)
    for place, label in enumerate(labels[:_MOST_SUGGESTED]):
        if len(label) <= _LONGEST_COMPARED:
            near = get_close_matches(label.lower(), compared, n=1)
            found[place] = f"{label} (did you mean {compared[near[0]]}?)" if near else label
    return found
