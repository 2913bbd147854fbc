# SPDX-License-Identifier: BSD-3-Clause
"""Where things are in the tree."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
# What real Patchwork servers answered, and mboxes of the mails behind it.
RECORDED = DATA / "patchwork-recorded"
