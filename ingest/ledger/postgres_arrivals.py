# SPDX-License-Identifier: BSD-3-Clause
"""Mails as they come into the PostgreSQL ledger: each once, and each with its turn."""

from collections.abc import Mapping, Sequence

from ingest.ledger import pg_arriving
from ingest.ledger import rows as made
from ingest.ledger.locking import in_order
from ingest.ledger.pg_values import as_sent
from ingest.ledger.session import Session
from ingest.ledger.values import MOST_NOTICES, Arrival, Outcome


class Arrivals:
    """What a ``Ledger`` does with mails that come."""

    _session: Session

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        return self.accept_all([arrival])[0]

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        if not arrivals:
            return []
        has_notice = any(each.outcome is Outcome.NOTICE for each in arrivals)
        if not has_notice:
            return self._accept(arrivals)
        with self._session.writing():
            return self._accept_all(arrivals)

    def _accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        kept = self._accept(arrivals) if arrivals else []
        if any(each.outcome is Outcome.NOTICE for each in arrivals):
            self._drop_notices()
        return kept

    def _accept(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        given = [_columns(place, each) for place, each in enumerate(arrivals)]
        names = tuple(given[0])
        again = False
        if len(given) == 1:
            alone = given[0].values()
            found, again = self._session.write_again(pg_arriving.of_new(names), *alone)
            if found:
                return [(found[0]["id"], True)]
        statement = pg_arriving.of_any(names)
        values = list(map(as_sent, zip(*map(dict.values, given), strict=True)))
        ids: dict[bytes, tuple[int, bool]] = {}
        wanted = {bytes(each["digest"]) for each in given}  # type: ignore[call-overload]
        # A mail that another connection takes in or drops meanwhile is neither new nor known at
        # first. What the first round took in is known to the second, and was new all the same.
        while wanted - ids.keys():
            found, is_repeated = self._session.write_again(statement, *values)
            again = again or is_repeated
            for row in found:
                ids.setdefault(bytes(row["digest"]), (row["id"], row["new"]))
        if again:
            ids |= self._taken_in(given, [id for id, new in ids.values() if not new])
        kept = []
        for each in given:
            key = bytes(each["digest"])  # type: ignore[call-overload]
            id, new = ids[key]
            ids[key] = id, False  # what stands twice in a list is new once
            kept.append((id, new))
        return kept

    def _taken_in(
        self, given: Sequence[Mapping[str, object]], known: list[int]
    ) -> dict[bytes, tuple[int, bool]]:
        """Which of the known mails these are that were taken in, as new, by a statement whose
        answer was lost."""
        ours = {(each["digest"], each["received"], each["source"]) for each in given}
        found = self._session.rows(
            "SELECT id, digest, received, source FROM mail WHERE id = ANY(?)", known
        )
        return {
            bytes(row["digest"]): (row["id"], True)
            for row in found
            if (bytes(row["digest"]), row["received"], row["source"]) in ours
        }

    def _drop_notices(self) -> None:
        """Drop all but the newest, without a trace."""
        old = (
            "id IN (SELECT id FROM mail WHERE outcome = 'notice'"
            " ORDER BY ended DESC, id DESC OFFSET ?)"
        )
        self._session.write(
            f"WITH old AS ({in_order('mail', old, ' FOR UPDATE SKIP LOCKED')}),"
            " gone AS (DELETE FROM raw WHERE mail IN (SELECT id FROM old)),"
            " told AS (DELETE FROM event WHERE mail IN (SELECT id FROM old)),"
            " found AS (DELETE FROM mail_search WHERE mail IN (SELECT id FROM old))"
            " DELETE FROM mail WHERE id IN (SELECT id FROM old) RETURNING id",
            MOST_NOTICES,
        )


def _columns(place: int, arrival: Arrival) -> dict[str, object]:
    """A mail as it is given to the statement: its place in the list, and what is kept of it."""
    raw = made.packed(arrival.raw)
    return {
        "place": place,
        "digest": made.digest(arrival.identity),
        **made.mail_columns(arrival),
        "bytes": raw,
        "stored": len(raw),
        "told": made.accepted(arrival),
        **{f"search_{name}": text for name, text in made.searched(arrival).items()},
    }
