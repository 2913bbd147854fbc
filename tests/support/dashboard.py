# SPDX-License-Identifier: BSD-3-Clause
"""The dashboard of contrib/grafana, and what it asks."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.places import ROOT


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    read: dict[str, Any] = json.loads((ROOT / "contrib/grafana/recheck-ingest.json").read_text())
    return read


def queries() -> Iterator[tuple[str, str, str]]:
    """Of each query the title of its panel, itself and the names of its lines."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]
