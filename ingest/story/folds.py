# SPDX-License-Identifier: BSD-3-Clause
"""A story's steps with what comes again and again told once: a mail that waits for days has the
same question and answer every hour. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.story.overview import Step

# Steps that may be repeated together, such as a question, its answer and the wait for the next.
_LONGEST_BLOCK = 12
# So often a block stands in a story before it is folded.
_OFTEN = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """Steps that a story has ``times`` times, one time after the other; ``last`` ends them."""

    steps: tuple[Step, ...]
    times: int
    last: Step

    @property
    def often(self) -> str:
        """How often they came, for a person; "" if they came once."""
        if self.times == 1:
            return ""
        attempts = sum(each.what == "waits" for each in self.steps) * self.times
        return f"{attempts} attempts" if attempts else f"{self.times} times"


def folded(steps: Sequence[Step]) -> Iterator[Fold]:
    """The steps, those that come again and again only once. Every step is in one fold."""
    said = [(each.what, each.text) for each in steps]
    at = 0
    while at < len(steps):
        length, times = 1, 1
        for size in range(1, _LONGEST_BLOCK + 1):
            again = _repeats(said, at, size)
            if again >= _OFTEN and again * size > length * times:
                length, times = size, again
        yield Fold(tuple(steps[at : at + length]), times, steps[at + length * times - 1])
        at += length * times


def _repeats(said: Sequence[object], at: int, size: int) -> int:
    """How often the next so many stand there, one time after the other."""
    block, times = said[at : at + size], 1
    while len(block) == size and said[at + times * size : at + (times + 1) * size] == block:
        times += 1
    return times
