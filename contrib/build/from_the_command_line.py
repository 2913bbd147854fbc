# SPDX-License-Identifier: BSD-3-Clause
"""Puts into a wheel, when it is built, what is made of the command line's own help: a manual page,
and completion for bash and zsh."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FromTheCommandLine(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the files and add them to what is shared. An editable installation has none."""
        if version == "editable":
            return
        # The same sources give the same files, whatever the size of the terminal.
        os.environ["COLUMNS"] = "80"
        # It goes with this hook, when the wheel is made or could not be.
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        for number, (place, text) in enumerate(self._made().items()):
            file = folder / str(number)
            file.write_text(text)
            build_data["shared_data"][str(file)] = place

    def _made(self) -> dict[str, str]:
        """The files, by the place that each has below the installation's prefix."""
        sys.path.insert(0, self.root)
        try:
            import shtab
            from argparse_manpage.manpage import Manpage

            from ingest.commands.command_line import parser
        finally:
            sys.path.remove(self.root)
        command = parser()
        return {
            "share/man/man1/recheck-ingest.1": str(Manpage(command)),
            "share/bash-completion/completions/recheck-ingest": shtab.complete(command, "bash"),
            "share/zsh/site-functions/_recheck-ingest": shtab.complete(command, "zsh"),
        }
