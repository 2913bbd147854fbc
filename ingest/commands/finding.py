# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` finds, one thing at a time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``level``: "ok", "warning" or "problem"; ``is_down``: whether
    all that is wrong is that Patchwork gives no usable answer."""

    level: str
    what: str
    text: str
    is_down: bool = False
