# SPDX-License-Identifier: BSD-3-Clause
"""How long questions to Patchwork take is noted in the ledger, by the status of the answer."""

from pathlib import Path

import pytest

from ingest.config.tables import PatchworkSettings
from ingest.errors import Unavailable
from ingest.ledger import open_ledger
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox
from tests.support.http_service import NOWHERE
from tests.support.places import RECORDED


def test_questions_are_counted_by_the_status_of_their_answer(quick_path: Path) -> None:
    ledger = open_ledger(f"sqlite:{quick_path}/ledger.sqlite")
    with Sandbox(str(RECORDED / "series.mbox")) as sandbox:
        patchwork = Patchwork(PatchworkSettings(sandbox.url), ledger)
        assert patchwork.patches_of(1 << 40) is None
        patchwork.projects()
        patchwork.close()
        asked = len(sandbox.requests)
    down = Patchwork(PatchworkSettings(NOWHERE), ledger)
    with pytest.raises(Unavailable):
        down.probe()
    down.close()
    timings = ledger.timings.all()
    ledger.close()
    assert {*timings} == {"patchwork 200", "patchwork 404", "patchwork none"}
    told = {what: sum(timing.numbers) for what, timing in timings.items()}
    assert told["patchwork 200"] + told["patchwork 404"] == asked
    assert told["patchwork none"] >= 1
    assert all(timing.seconds > 0 for timing in timings.values())
