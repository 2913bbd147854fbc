# SPDX-License-Identifier: BSD-3-Clause
"""The program as a command in a process of its own, and a mail for it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# The second of a document, see ``Command.document``.
SECOND = "NNNN-NN-NNTNN:NN:NN.000000"


class Command:
    """``recheck-ingest`` with its files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.retests = folder / "out.json"
        self.state = folder / "state"

    def __call__(
        self,
        *arguments: str,
        mail: bytes = b"",
        url: str = "http://127.0.0.1:9",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        flags = ["--patchwork", url, "--retests", str(self.retests), "--state", str(self.state)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
        return subprocess.run(
            [sys.executable, "-m", "ingest", *arguments, *flags],
            input=mail,
            capture_output=True,
            check=False,
            timeout=60,
            env={**clean, **(environment or {})},
        )

    def document(self) -> object:
        """The retest JSON; its second goes by the clock, and its digits are made N."""
        document = json.loads(self.retests.read_text())
        second = document["last_comment_timestamp"]
        return {**document, "last_comment_timestamp": re.sub("[0-9](?=.*[.])", "N", second)}

    def status(self) -> dict[str, dict[str, int]]:
        result: dict[str, dict[str, int]] = json.loads(self("status", "--json").stdout)
        return result


def reply(message_id: str = "plain@example.org", text: str = "Recheck-request: iol-a\n") -> bytes:
    return (
        "From: reviewer@example.org\n"
        "Subject: Re: [PATCH 1/1] tools: add get_reruns script\n"
        "Date: Wed, 6 Sep 2023 10:00:00 +0000\n"
        f"Message-ID: <{message_id}>\n"
        "In-Reply-To: <20230905222317.25821-4-jspewock@iol.unh.edu>\n"
        "List-Id: DPDK CI discussions <ci.dpdk.org>\n"
        "\n"
        f"{text}"
    ).encode()


def imports(*command: str | Path, mail: bytes = b"") -> set[bytes]:
    """The modules that a command imports."""
    done = subprocess.run(
        command,
        input=mail,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )
    return {line.rpartition(b"|")[2].strip() for line in done.stderr.splitlines()}
