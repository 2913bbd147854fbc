# SPDX-License-Identifier: BSD-3-Clause
"""One mail to this machine's own mail server: by its program ``sendmail``, or by SMTP where that is
not there or may not do its work.
"""

import contextlib
import os
import shutil
import smtplib
import subprocess

from ingest.errors import SinkUnavailable
from ingest.words import printable

# Where sendmail is, as a user's $PATH may not lead there.
_PATH = "/usr/sbin:/usr/lib:/usr/bin:/sbin"
_HOST = "localhost"


def send(recipient: str, mail: bytes, timeout: float) -> str:
    """Hand over one mail, of ASCII with LF at its line ends, with an empty envelope sender, so that
    it never bounces to anybody; how that was done. ``timeout``: seconds. Raises
    ``SinkUnavailable``."""
    if recipient.startswith("-"):
        raise SinkUnavailable(f"{recipient!r} cannot be written to: it begins with a hyphen")
    program = shutil.which("sendmail") or shutil.which("sendmail", path=_PATH)
    try:
        if program and _may_gain_privileges():
            command = [program, "-i", "-f", "<>", "--", recipient]
            done = subprocess.run(
                command, input=mail, capture_output=True, check=False, timeout=timeout
            )
            if done.returncode:
                said = printable(done.stderr.decode("utf-8", "replace"))
                raise SinkUnavailable(said or f"{program} ended with {done.returncode}")
            return program
        with smtplib.SMTP(_HOST, timeout=timeout) as client:
            client.sendmail("", [recipient], mail)
        return _HOST
    except (OSError, subprocess.TimeoutExpired, smtplib.SMTPException) as error:
        raise SinkUnavailable(
            f"this machine's mail server cannot be used: {printable(error)}"
        ) from error


def _may_gain_privileges() -> bool:
    """Whether a program that we start may have those of its owner: sendmail needs them for its
    queue, and a service may be kept from it (NoNewPrivileges= of systemd)."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        return "NoNewPrivs:\t1" not in status.read()
    return os.name == "posix"
