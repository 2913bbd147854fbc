# SPDX-License-Identifier: BSD-3-Clause
"""The row "retests": one more request into a large retest JSON, against writing that document
with the standard library alone, durably.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace

from measure import Plan, Row, Target, compared, timed


def measure(plan: Plan) -> Iterator[Row]:
    """The merge into the file alone, and a whole round of the worker."""
    import ledgers

    from ingest.retests import file as retest_file

    series = plan.size(5000, 50)
    merged, published = [], []
    with plan.folder() as folder:
        ledger, publish = ledgers.opened(folder)
        file, plain = folder / "retests.json", folder / "plain.json"

        def append() -> None:
            retest_file.append(
                str(file),
                [another],
                mode=0o644,
                now=time.time(),
                patience=5.0,
                promise=lambda beyond: beyond + 1,
            )

        def write() -> None:
            with plain.open("w") as stream:
                json.dump(document, stream, indent=4)
                stream.flush()
                os.fsync(stream.fileno())

        ledgers.record(ledger, 0, series, series)
        publish()
        for number in range(series, series + plan.several(25)):
            ledgers.record(ledger, number, number + 1, series)
            (latest,) = ledger.requests(after=ledger.last_request() - 1)
            another = replace(latest, contexts=(f"another-{number}",))
            by_worker, by_hand = timed(publish), timed(append)
            document = json.loads(file.read_text())
            written = timed(write)
            merged.append((by_hand, written))
            published.append((by_worker, written))
        ledger.close()
        if plain.read_text() != file.read_text():
            raise RuntimeError("what was compared are different documents")
        size = file.stat().st_size
    against = "json.dump of the document with fsync"
    path = f"appending to a retest JSON of {series} series, {size / 1e6:.1f} MB"
    yield compared("retests append", path, against, "s", merged, Target(1.5))
    yield compared(
        "retests publish",
        f"{path}, by the worker",
        against,
        "s",
        published,
        Target(1.5),
        note="with three commits: of the promised second, and twice of the cursor",
    )
