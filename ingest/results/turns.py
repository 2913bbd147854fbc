# SPDX-License-Identifier: BSD-3-Clause
"""Whose turn it is where not all can be asked for at one time. Pure."""

from collections.abc import Collection

# Where a result may be: the number of the oldest request that looks for one there, and the place.
Turn = tuple[int, int, int]
# How far a round has come, and with what it ends: what is new since has its turn in the next one.
Round = tuple[Turn, Turn]


def turn(places: Collection[Turn], most: int, now: Round | None) -> tuple[list[Turn], Round | None]:
    """The next of these, the oldest first, and the round behind them. ``most``: how many there may
    be, 0 for all."""
    ordered = sorted(places)
    if not most or len(ordered) <= most:
        return ordered, None
    left = [each for each in ordered if now and now[0] < each <= now[1]]
    if now and len(left) >= most:
        return left[:most], (left[most - 1], now[1])
    others = [each for each in ordered if each not in left]
    mine = left + others[: most - len(left)]
    return mine, (mine[-1], ordered[-1])
