# SPDX-License-Identifier: BSD-3-Clause
"""This machine's name in a ledger that several share: an id in the state folder. A hostname may
change, and whoever came back under another name would begin anew."""

import os
from contextlib import suppress
from pathlib import Path

from ingest import files

_FILE = "host"


def known(folder: str) -> str:
    """The id, "" if there is none yet. Raises ``OSError``."""
    with suppress(FileNotFoundError):
        return Path(folder, _FILE).read_text("ascii", "replace").strip()
    return ""


def kept(folder: str) -> str:
    """The id, made if there is none yet. Raises ``OSError``."""
    if not known(folder):
        import secrets

        Path(folder).mkdir(parents=True, exist_ok=True)
        new = Path(folder, f".{_FILE}.{secrets.token_hex(8)}")
        new.write_text(f"{secrets.token_hex(4)}\n")
        new.chmod(0o644)
        files.sync(new)
        with suppress(FileExistsError):  # another process was faster
            os.link(new, Path(folder, _FILE))
        new.unlink()
        files.sync(Path(folder))
    return known(folder)
