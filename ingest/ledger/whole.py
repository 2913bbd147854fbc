# SPDX-License-Identifier: BSD-3-Clause
"""A transaction of several parts, which are kept together or not at all."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from ingest.errors import StateUnavailable


class Whole:
    """The batch of a connection; see ``Ledger.batch``. ``is_open``: whether what is written now is
    a part of it."""

    def __init__(self, name: str) -> None:
        """``name``: the ledger's, for errors."""
        self._name = name
        self.is_open = self._is_broken = False

    @contextmanager
    def opened(self, transaction: AbstractContextManager[None]) -> Iterator[None]:
        """All that is written inside is a part. Raises ``StateUnavailable`` if one has failed."""
        if self.is_open:
            raise RuntimeError("a batch within a batch")
        with transaction:
            self.is_open, self._is_broken = True, False
            try:
                yield
            finally:
                self.is_open = False
            if self._is_broken:
                raise StateUnavailable(f"nothing was written to the ledger {self._name}")

    @contextmanager
    def part(self) -> Iterator[None]:
        """One part. Raises ``StateUnavailable`` if one before has failed: the database may have
        rolled back everything for an error that somebody caught, and what comes after that would
        be committed without what came before."""
        if self._is_broken:
            raise StateUnavailable(f"nothing is written to the ledger {self._name} any more")
        try:
            yield
        except BaseException:
            self._is_broken = True
            raise
