# SPDX-License-Identifier: BSD-3-Clause
"""What this process does to have files on the disk, in order: its fsyncs and renames."""

import os
from pathlib import Path
from typing import Any

import pytest


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows: the name of each file or folder synced, with ``+`` if it is a file with
    content, and ``OLD > NEW`` for each rename."""
    done: list[str] = []

    def watch(name: str) -> None:
        really = getattr(os, name)

        def note(*arguments: Any) -> None:
            really(*arguments)
            if name == "fsync":
                path = os.readlink(f"/proc/self/fd/{arguments[0]}")
                content = "+" if os.path.isfile(path) and os.path.getsize(path) else ""
                done.append(os.path.basename(path) + content)
            else:
                done.append(" > ".join(Path(each).name for each in arguments))

        monkeypatch.setattr(os, name, note)

    for name in ("fsync", "rename", "replace"):
        watch(name)
    return done
