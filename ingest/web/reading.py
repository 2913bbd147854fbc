# SPDX-License-Identifier: BSD-3-Clause
"""Who may read what the routes show: anybody, programs on this machine, or holders of a token."""

from ingest.config.tables import Settings
from ingest.web.head import Head
from ingest.web.tokens import Tokens


class Reading:
    """``[http] read``, and the tokens that may "read"."""

    def __init__(self, settings: Settings) -> None:
        self._whose = settings.http.read
        self._tokens = Tokens(settings.token)

    def allows(self, head: Head) -> bool:
        """Whether whoever sent a request may read. Raises ``SinkUnavailable`` if the file of a
        token cannot be read."""
        if self._whose == "open" or (self._whose == "local" and head.is_direct):
            return True
        return self._tokens.holder(head, "read") is not None

    def allows_page(self, head: Head) -> bool:
        """The same of whoever looks at pages, with a browser perhaps."""
        return (self._whose == "local" and head.is_looking) or self.allows(head)
