# SPDX-License-Identifier: BSD-3-Clause
"""What a consumer asks for."""

import re
from dataclasses import dataclass

from ingest.config.tables import BY_PATCHWORK
from ingest.errors import UsageError
from ingest.ledger.progress import DEFAULT_CONSUMER as DEFAULT

# What a consumer may be called.
NAME = r"[A-Za-z0-9._-]{1,100}"


@dataclass(frozen=True, slots=True)
class Order:
    """What a consumer asks for. ``contexts``: the patterns of those that a named one wants, none
    for all; ``single``: requests one by one, not merged into a document; ``hold``: as a batch,
    which it will confirm; ``server``: for series of which server, see ``Request``, by default that
    of the retest JSON for a document, and all for requests one by one; ``key``: the batch that was
    given under it is given again as long as it is held, "" for none; ``pw_ci``: single ones as
    pw-ci lists them. Raises ``UsageError``."""

    consumer: str = DEFAULT
    contexts: tuple[str, ...] = ()
    single: bool = False
    hold: bool = False
    server: str | None = None
    key: str = ""
    pw_ci: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME, self.consumer):
            raise UsageError(
                f"{self.consumer!r} is not the name of a consumer, which has letters, digits, '.',"
                " '_' and '-'"
            )
        if self.consumer == DEFAULT and self.contexts:
            raise UsageError(
                "--contexts needs a consumer of its own: --consumer NAME; the retest JSON is taken"
                " whole, narrow it by [requests] contexts or have another as [json_file.NAME]"
            )
        if self.consumer == DEFAULT and self.server is not None:
            raise UsageError(
                "--server needs a consumer of its own: --consumer NAME; the retest JSON holds "
                "the requests of one server, which [retests] patchwork names"
            )
        if BY_PATCHWORK in self.contexts:
            raise UsageError("--contexts patchwork is for what is recorded; name patterns here")
