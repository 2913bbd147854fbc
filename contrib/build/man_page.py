# SPDX-License-Identifier: BSD-3-Clause
"""Puts a manual page into a wheel when it is built, made of the command line's own help."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPage(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's hook: ``recheck-ingest.1`` below ``share/man/man1``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the page and add it to what is shared. An editable installation has none."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        try:
            from argparse_manpage.manpage import Manpage

            from ingest.commands.options import parser
        finally:
            sys.path.remove(self.root)
        # The same sources give the same page, whatever the size of the terminal.
        os.environ["COLUMNS"] = "80"
        page = Path(tempfile.mkdtemp()) / "recheck-ingest.1"
        page.write_text(str(Manpage(parser())))
        build_data["shared_data"][str(page)] = "share/man/man1/recheck-ingest.1"
