# SPDX-License-Identifier: BSD-3-Clause
"""The row "trust": what verifying the author of a request adds to reading its mail, with a name
server on loopback.
"""

import time
from collections.abc import Callable, Iterator

from measure import Plan, Row, Target, compared

_OURS = "mx.lab.example"
_TARGETS = {"authserv": 2.5, "dkim": 14.0, "arc": 25.0}
_RESULTS = f"Authentication-Results: {_OURS}; dkim=pass header.d=example.org\n".encode()


def measure(plan: Plan) -> Iterator[Row]:
    """Every round is so many mails, each verified by itself, the key looked up anew."""
    from ingest.config.policy_tables import PolicySettings
    from ingest.ledger import Envelope
    from ingest.mail import message
    from ingest.trust import verify
    from tests.support.mailman import LIST_ID, footed, listed
    from tests.support.mails import reply
    from tests.support.signing import keys, name_server, sealed, signed

    mails = plan.size(500, 5)
    raw = reply("patch@example.org", list_id=LIST_ID)
    sent = signed(raw)
    kinds = {
        "authserv": (_RESULTS + raw, {"authserv": (_OURS,)}),
        "dkim": (sent, {"dkim": True}),
        "arc": (sealed(footed(listed(sent))), {"arc_sealers": ("lists.example",)}),
    }
    asked: list[str] = []
    zone = keys("example.org", "lists.example")

    def counted(name: str) -> bytes | None:
        asked.append(name)
        return zone(name)

    with name_server(counted) as server:
        for kind, (arrived, table) in kinds.items():
            policy = PolicySettings(dns=(server,), **table)
            mail = message.parse(arrived)
            asked.clear()

            def verified(
                arrived: bytes = arrived, policy: PolicySettings = policy, mail: message.Mail = mail
            ) -> None:
                if not verify.author(arrived, mail, "pipe", Envelope(), policy):
                    raise RuntimeError("it is not proved")

            verified()  # what is imported once is no matter of one mail
            looks, pairs = len(asked), []
            for _ in range(plan.several(5)):
                reading = _each(lambda arrived=arrived: message.parse(arrived), mails)
                pairs.append((_each(verified, mails), reading))
            path = f"verifying the author by {kind}, a mail"
            note = f"looks at DNS: {looks}"
            target = Target(_TARGETS[kind])
            yield compared(f"trust {kind}", path, "reading the mail", "s", pairs, target, note=note)


def _each(work: Callable[[], object], times: int) -> float:
    """Seconds that each of so many takes."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times
