# SPDX-License-Identifier: BSD-3-Clause
"""Who may read what the routes show: anybody, programs on this machine, or holders of a token."""

from ingest.config.tables import Settings
from ingest.web.head import Head
from ingest.web.tokens import Tokens


class Reading:
    """``[http] read``, and the tokens that may "read"."""

    def __init__(self, settings: Settings) -> None:
        self._whose = settings.http.read
        self._is_published = bool(settings.http.public_url)
        self._tokens = Tokens(settings.token)

    def allows(self, head: Head) -> bool:
        """Whether whoever sent a request may read. Raises ``SinkUnavailable`` if the file of a
        token cannot be read."""
        if self._whose == "open" or (self._whose == "local" and head.is_direct):
            return True
        return self._tokens.holder(head, "read") is not None

    def allows_page(self, head: Head) -> bool:
        """The same of whoever looks at pages, with a browser perhaps. Raises as ``allows``."""
        return self._is_local_person(head) or self.allows(head)

    def sees_all(self, head: Head) -> bool:
        """Whether whoever may read may also read what is not for everybody. Raises as
        ``allows``."""
        is_local = self._whose == "local" and head.is_direct
        is_known = is_local or self._is_local_person(head)
        return is_known or self._tokens.holder(head, "read") is not None

    def _is_local_person(self, head: Head) -> bool:
        """A web server in front may make a browser elsewhere look like one on this machine: where
        pages are published, nobody counts as that."""
        return self._whose == "local" and not self._is_published and head.is_looking
