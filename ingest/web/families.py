# SPDX-License-Identifier: BSD-3-Clause
"""Families of metrics, each read from the status. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ingest.story.status import Status

# The values of a family's labels, and the number that belongs to them.
Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric. ``name``: without its prefix; ``help``: one sentence; ``read``: its samples."""

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[Status], Iterable[Sample]]

    @property
    def is_counter(self) -> bool:
        """Whether it only grows."""
        return self.name.endswith("_total")


def one(value: float) -> list[Sample]:
    """The sample of a family without labels."""
    return [((), value)]


def by_name(values: Mapping[str, float]) -> Iterator[Sample]:
    """The samples of a family with one label."""
    return (((name,), value) for name, value in values.items())
