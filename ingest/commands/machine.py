# SPDX-License-Identifier: BSD-3-Clause
"""What a machine has that matters for setting the program up: a mail server, systemd, users.

It only looks. Everything is looked for below a root folder, which is "/" but for trials.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "recheck-ingest"
_POSTFIX_ALIASES = "hash:/etc/aliases"


@dataclass(frozen=True, slots=True)
class Machine:
    """``root``: the folder that everything is below; ``program``: the path of our command;
    ``mail_server``: "postfix", "exim" or ""; ``procmail``, ``systemd``: whether it is there;
    ``users``: user and group id by name; ``alias_maps``: Postfix's setting."""

    root: Path
    program: str
    mail_server: str
    procmail: bool
    systemd: bool
    users: dict[str, tuple[int, int]]
    alias_maps: str

    def at(self, path: str) -> Path:
        """Where an absolute path of the machine is for us."""
        return self.root / path.lstrip("/")

    def has(self, path: str) -> bool:
        """Whether there is such a file, whoever may read it."""
        return self.at(path).exists()


def look(root: Path) -> Machine:
    """The machine whose root folder this is. Raises nothing: what cannot be read is not there."""

    def there(*paths: str) -> bool:
        return any((root / path.lstrip("/")).exists() for path in paths)

    postfix = there("/etc/postfix/main.cf")
    exim = there("/etc/exim4", "/etc/exim", "/usr/sbin/exim4", "/usr/sbin/exim")
    return Machine(
        root=root,
        program=shutil.which(PROGRAM) or str(Path(sys.argv[0]).absolute()),
        mail_server="postfix" if postfix else "exim" if exim else "",
        procmail=there("/usr/bin/procmail"),
        systemd=there("/run/systemd/system"),
        users=_users(root),
        alias_maps=_alias_maps(root) if postfix else "",
    )


def postconf(root: Path, *arguments: str) -> list[str]:
    """The command line that reads or changes Postfix's settings below a root folder."""
    return ["postconf", "-c", str(root / "etc" / "postfix"), *arguments]


def _alias_maps(root: Path) -> str:
    try:
        asked = subprocess.run(
            postconf(root, "-h", "alias_maps"), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return _POSTFIX_ALIASES
    return asked.stdout.strip()


def _users(root: Path) -> dict[str, tuple[int, int]]:
    try:
        lines = (root / "etc" / "passwd").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    rows = [line.split(":") for line in lines]
    return {
        row[0]: (int(row[2]), int(row[3]))
        for row in rows
        if len(row) > 3 and row[2].isdigit() and row[3].isdigit()
    }
