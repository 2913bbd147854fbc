# SPDX-License-Identifier: BSD-3-Clause
"""What can be set of sources of which there may be several, each under a name."""

from ingest.config import values
from ingest.config.layout import setting
from ingest.config.values import MINUTE
from ingest.value import Value


class InboxSettings(Value):
    """A public-inbox that serve reads with git."""

    url: str = setting(
        values.inbox,
        "",
        "https URL of the public-inbox, such as https://inbox.dpdk.org/dev, or its folder",
        needed=True,
    )
    interval: float = setting(values.positive, MINUTE, "seconds between two looks for new mail")
    since: str = setting(
        values.day,
        "",
        "day (UTC) from which on mail is taken in at the first look; default: only what comes "
        "after it",
    )
    list_id: str = setting(
        values.text, "", "list that mails without List-Id belong to, such as dev.dpdk.org; none"
    )
    timeout: float = setting(values.positive, 10 * MINUTE, "seconds that git may take for a step")
    max_disk: int = setting(
        values.whole, 4 << 30, "bytes that the copy of an inbox at a URL may take on the disk"
    )
