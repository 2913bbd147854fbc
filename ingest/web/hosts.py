# SPDX-License-Identifier: BSD-3-Clause
"""Under which names this service may be asked by HTTP: a page elsewhere can point a name of its own
at this machine (DNS rebinding), and what it then reads would count as its own."""

import socket
from urllib.parse import urlsplit

from ingest import addresses
from ingest.config.tables import Settings
from ingest.web.head import Head

# What is answered to another name (RFC 9110, section 15.5.20: Misdirected Request).
MISDIRECTED = 421
EXPLAINED = (
    "This service does not go by that name. Its operator can set [http] public_url to the URL "
    "that others have for it.\n"
)


def public_path(settings: Settings) -> str:
    """What is before the paths of this service in [http] public_url, "" if nothing is."""
    return urlsplit(settings.http.public_url).path


class Hosts:
    """The names that count: that of [http] public_url, this machine's own, and addresses, which
    nobody can point elsewhere."""

    def __init__(self, settings: Settings) -> None:
        public = urlsplit(settings.http.public_url).hostname or ""
        self._names = {public, socket.gethostname().lower(), "localhost"} - {""}

    def knows(self, head: Head) -> bool:
        """Whether a request was meant for this service. Programs that name no host are not
        browsers."""
        return all(self._is_ours(value) for value in head.all(b"host"))

    def _is_ours(self, value: bytes) -> bool:
        try:
            name = urlsplit(f"//{value.decode('latin-1')}").hostname or ""
        except ValueError:
            return False
        return name in self._names or addresses.is_host(name)
