# SPDX-License-Identifier: BSD-3-Clause
"""The API answers to whatever is made up from its description as the description says, and never
with an error of its own."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingest.sandbox import Sandbox
from ingest.web.api_table import OPERATIONS
from ingest.web.api_values import Nothing
from ingest.web.operations import Operation
from tests.support.api_site import ApiSite
from tests.web import test_api_reading

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MADE_UP = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    folder = tmp_path_factory.mktemp("schema")
    with (
        Sandbox() as patchwork,
        ApiSite(folder, test_api_reading.fill, patchwork=patchwork.url) as site,
    ):
        yield site


@pytest.fixture(scope="module")
def described(site: ApiSite) -> Any:
    return schemathesis.openapi.from_dict(site.see("/api/openapi.json"))


# What has no parameters but a path cannot be called wrongly.
CASES = [(each, "positive") for each in OPERATIONS] + [
    (each, "negative") for each in OPERATIONS if each.body or each.query is not Nothing
]


@pytest.mark.parametrize(
    ("operation", "mode"), CASES, ids=[f"{each.name}-{mode}" for each, mode in CASES]
)
@MADE_UP
@given(data=st.data())
def test_every_answer_is_as_described(
    site: ApiSite, described: Any, operation: Operation, mode: str, data: st.DataObject
) -> None:
    modes = schemathesis.GenerationMode
    kind = modes.POSITIVE if mode == "positive" else modes.NEGATIVE
    strategy = described[operation.path][operation.method].as_strategy(generation_mode=kind)
    case = data.draw(strategy)
    case.call_and_validate(
        # A type says less than is needed of a time, or of labels that are wanted here.
        excluded_checks=[schemathesis.checks.CHECKS.get_one("positive_data_acceptance")],
        base_url=f"http://127.0.0.1:{site.port}",
        headers={"Authorization": "Bearer all"},
    )
