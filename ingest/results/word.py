# SPDX-License-Identifier: BSD-3-Clause
"""What a lab itself says of a request: one result, or a program's output with some.

Pure: texts in, results out. The lines of a program are a contract with other people's programs.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ingest.errors import UsageError
from ingest.ledger import Request, Result, State
from ingest.patchwork import labels
from ingest.words import clipped, counted, listed, on_one_line, printable

# What a lab may say.
STATES = (State.PENDING, State.SUCCESS, State.WARNING, State.FAIL, State.CANCELLED)
# Bytes of a program's output that are read.
LONGEST_OUTPUT = 1 << 16

_LONGEST_URL, _LONGEST_SUMMARY, _LONGEST_AUTHOR = 500, 500, 200
# Of many lines that are not results the first are told.
_MOST_TOLD = 3


def result(
    request: Request,
    label: str,
    state: State,
    *,
    author: str,
    now: float,
    url: str = "",
    summary: str = "",
) -> Result:
    """A result as a lab gives it. ``label``: of the request, or a context that means one; "" for a
    request of arguments alone. Raises ``UsageError`` if the request has no such label, or for what
    is not a link."""
    meant = _meant(request, label)
    if meant is None:
        raise UsageError(_unknown(request, label))
    if url and not is_link(url):
        raise UsageError(f"{printable(url)} is not a link: it must begin with https:// or http://")
    return bounded(Result(request.number, meant, state, now, author, url, summary))


def bounded(result: Result) -> Result:
    """A result whose texts are each one line and not too long. What is not a link is left out."""
    return Result(
        request=result.request,
        label=result.label,
        state=result.state,
        at=result.at,
        author=on_one_line(result.author, _LONGEST_AUTHOR),
        url=result.url if is_link(result.url) else "",
        summary=on_one_line(result.summary, _LONGEST_SUMMARY),
    )


def is_link(url: str) -> bool:
    """Whether this is a link that a page can show."""
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


@dataclass(frozen=True, slots=True)
class Output:
    """The results in a program's output, and what is to be told of it, "" for nothing."""

    results: tuple[Result, ...]
    told: str


def read(output: bytes, request: Request, *, author: str, now: float) -> Output:
    """The results that a program wrote, one JSON object a line: ``label`` and ``state``, and if it
    likes ``url`` and ``summary``. Any other line is told and ignored; so is what is beyond the
    64 KB that are read, which ``output`` may exceed by a byte to say so."""
    problems = []
    if len(output) > LONGEST_OUTPUT:
        problems.append(f"it wrote more than {LONGEST_OUTPUT} bytes")
        output = output[:LONGEST_OUTPUT].rpartition(b"\n")[0]
    found: dict[str, Result] = {}
    for line in output.splitlines():
        if not line.strip():
            continue
        try:
            one = _parsed(line, request, author, now)
        except ValueError as error:
            problems.append(str(error))
        else:
            found[one.label] = one
    said = [f"{each.label or 'arguments'} {each.state}" for each in found.values()]
    told = [f"results: {listed(said)}"] if said else []
    if problems:
        more = counted(len(problems) - _MOST_TOLD, "more line")
        rest = [f"and {more}"] if len(problems) > _MOST_TOLD else []
        told.append(f"ignored: {'; '.join([*problems[:_MOST_TOLD], *rest])}")
    return Output(tuple(found.values()), ", ".join(told))


def _parsed(line: bytes, request: Request, author: str, now: float) -> Result:
    """One line. Raises ``ValueError``."""
    try:
        given: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"{_quoted(line)} is not JSON") from None
    if not isinstance(given, dict):
        raise ValueError(f"{_quoted(line)} is not an object")
    texts = {name: given.get(name) or "" for name in ("label", "state", "url", "summary")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{_quoted(line)} holds something that is not a text")
    if texts["state"] not in STATES:
        raise ValueError(f"{printable(texts['state'])!r} is not a state: {', '.join(STATES)}")
    state = State(texts["state"])
    try:
        return result(
            request,
            texts["label"],
            state,
            author=author,
            now=now,
            url=texts["url"],
            summary=texts["summary"],
        )
    except UsageError as error:
        raise ValueError(str(error)) from None


def _meant(request: Request, label: str) -> str | None:
    """The label of a request that this one means: itself, or as ``labels.names`` has it."""
    if label in (request.contexts or ("",)):
        return label
    means = labels.names([label])
    return next((each for each in request.contexts if each in means), None)


def _unknown(request: Request, label: str) -> str:
    asks = f"request {request.number} asks for {listed(request.contexts)}"
    if not request.contexts:
        return f"request {request.number} has no labels: give its result for the label ''"
    [described] = labels.with_suggestions([clipped(label, 255)], request.contexts)
    return f"{asks}, not for {printable(described) or 'its arguments alone'}"


def _quoted(line: bytes) -> str:
    return repr(clipped(printable(line.decode("utf-8", "replace")), 60))
