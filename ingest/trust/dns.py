# SPDX-License-Identifier: BSD-3-Clause
"""Keys out of DNS, within a time that is set."""

import time
from collections.abc import Callable, Sequence

from ingest.addresses import name_server
from ingest.trust.signature import CannotVerify
from ingest.words import printable


def resolver(servers: Sequence[str], seconds: float) -> Callable[[str], bytes]:
    """A look at TXT records. ``servers``: address or address:port each, by default the system's;
    ``seconds``: for all that it is asked in all. Raises ``CannotVerify``."""
    import dns.exception
    import dns.name
    import dns.resolver

    until = time.monotonic() + seconds
    late = f"DNS did not answer within {seconds:g} seconds"
    try:
        asked = dns.resolver.Resolver(configure=not servers)
    except dns.exception.DNSException as error:
        raise CannotVerify(
            f"this machine has no name server: set [policy] dns ({error})"
        ) from error
    if servers:
        places = map(name_server, servers)
        asked.nameservers = [dns.nameserver.Do53Nameserver(*place) for place in places]

    def look(name: str) -> bytes:
        try:
            whole = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError, ValueError):
            return b""  # a name that cannot be
        left = until - time.monotonic()
        if left <= 0:
            raise CannotVerify(late)
        try:
            answer = asked.resolve(whole, "TXT", lifetime=left)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
            return b""
        except dns.resolver.LifetimeTimeout as error:
            raise CannotVerify(late) from error
        except (dns.exception.DNSException, OSError) as error:
            raise CannotVerify(f"DNS cannot be asked for {printable(name)}: {error}") from error
        # Of several keys none can be said to be the one (RFC 6376, section 3.6.2.2).
        records = [b"".join(each.strings) for each in answer]
        return records[0] if len(records) == 1 else b""

    return look
