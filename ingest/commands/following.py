# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest log``: what happened last, and with ``-f`` what happens, whichever process of
the program does it: an alias pipe, a worker, an operator's command.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from ingest.commands.report import Part, Printer, coloured, when
from ingest.config.tables import StateSettings
from ingest.errors import NoLedger, StateUnavailable
from ingest.ledger import Ledger, Opening, open_configured
from ingest.story.happenings import Line, line
from ingest.story.overview import jsonable
from ingest.words import as_line, counted

# Events read at once.
_AT_ONCE = 1000

log = logging.getLogger(__name__)


def last(state: StateSettings, number: int) -> list[Line]:
    """The last lines. Raises ``StateUnavailable``."""
    with closing(open_configured(state, Opening.LOOK)) as ledger:
        return list(map(line, ledger.happenings.newest(number)))


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a follower has come: the number of the last event, in a ledger's generation."""

    generation: str
    number: int


def follow(
    state: StateSettings,
    number: int,
    *,
    pause: float,
    nap: Callable[[float], None] = time.sleep,
) -> Iterator[Sequence[Line]]:
    """The last lines, then for ever those that are new, a list each time. The ledger is opened
    anew for each look, ``pause`` seconds after the one before: it may come to be, be put back from
    a backup, or be away for a while."""
    place: _Place | None = None
    told = ""
    while True:
        try:
            with closing(open_configured(state, Opening.LOOK)) as ledger:
                place, found = _look(ledger, place, number)
            told = ""
            yield found
            if len(found) >= _AT_ONCE:
                continue
        except StateUnavailable as error:
            if isinstance(error, NoLedger) and place is None:
                number = _AT_ONCE  # all that there will be
            if str(error) != told:
                log.warning("%s; waiting for it", error)
            told = str(error)
        nap(pause)


def _look(ledger: Ledger, place: _Place | None, number: int) -> tuple[_Place, list[Line]]:
    """What is new since a place, and the place behind that."""
    generation = ledger.generation()
    if place is None or place.generation != generation:
        before = ledger.happenings.settled()
        newest = ledger.happenings.newest(number)
        found = [each for each in newest if each.number <= before]
    else:
        found = ledger.happenings.after(place.number, _AT_ONCE)
        before = place.number
        if found and found[0].number > before + 1:
            _tell_lost(ledger, before)
    reached = found[-1].number if found else before
    return _Place(generation, reached), list(map(line, found))


def _tell_lost(ledger: Ledger, before: int) -> None:
    """The oldest events go, whether or not they were read."""
    oldest = ledger.happenings.after(0, 1)
    if oldest and (missing := oldest[0].number - before - 1) > 0:
        log.warning(
            "%s of steps went before they were read; each mail's story has its own",
            counted(missing, "record"),
        )


def show(lines: Sequence[Line], *, in_json: bool) -> None:
    """Print lines, one each."""
    out = Printer()
    for each in lines:
        if in_json:
            out.line(as_line(jsonable(each)), as_is=True)
            continue
        about: tuple[Part, ...] = (f"{each.mail} ",) if each.mail else ()
        text = f" {each.text}" if each.text else ""
        out.line(f"{when(each.at)}  ", *about, coloured(each.what), text)
