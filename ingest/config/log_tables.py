# SPDX-License-Identifier: BSD-3-Clause
"""The table of what is logged."""

from ingest.config import values
from ingest.config.layout import setting
from ingest.value import Value


class LogSettings(Value):
    """What is logged to standard error, and the command log."""

    format: str = setting(
        values.choice("text", "json"), "text", 'how a record is written: "text" or "json"'
    )
    level: str = setting(
        values.choice("error", "warning", "info", "debug"),
        "warning",
        "what is logged at least: error, warning, info or debug; -v logs info, -vv debug",
    )
    poll: float = setting(values.positive, 0.5, "seconds between two looks of log -f")
