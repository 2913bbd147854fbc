# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks run; what they measure is not asserted."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "contrib" / "bench"


def test_the_smtp_benchmark_measures_every_kind_of_run() -> None:
    ran = subprocess.run(
        [
            *(sys.executable, str(BENCH / "smtp.py"), "--json"),
            *("--mails", "200", "--connections", "5", "--rounds", "1"),
        ],
        capture_output=True,
        check=True,
        cwd=BENCH.parent.parent,
    )
    result = json.loads(ran.stdout)
    assert list(result) == ["bare aiosmtpd", "ours, 1 % requests", "ours, all requests"]
    for row in result.values():
        assert row["mails_per_second"] > 0
        assert row["data_to_250_ms"]["p99"] >= row["data_to_250_ms"]["p50"] > 0
    assert result["ours, 1 % requests"]["data_to_json_ms"]["p50"] > 0
