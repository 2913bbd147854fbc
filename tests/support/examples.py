# SPDX-License-Identifier: BSD-3-Clause
"""How many examples a property test tries."""

import os

from hypothesis import settings

# Per cent of what each test is worth. A run of the quick tests tries a tenth.
SHARE = "RECHECK_TEST_EXAMPLES"
# Of those that say no number, as Hypothesis has it.
_USUAL = 100
# The simplest values are among the first.
_FEWEST = 10


def number(most: int = _USUAL) -> int:
    """``most`` in a run of all tests, the share of them that this run tries else."""
    return min(most, max(_FEWEST, most * int(os.environ.get(SHARE, "100")) // 100))


def examples(most: int) -> settings:
    """Has a test try so many examples in a run of all tests."""
    return settings(max_examples=number(most))
