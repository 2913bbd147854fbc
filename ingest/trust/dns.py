# SPDX-License-Identifier: BSD-3-Clause
"""Keys out of DNS, within a time that is set."""

import time
from collections.abc import Callable, Sequence

from ingest.addresses import server
from ingest.trust.signature import CannotVerify
from ingest.words import printable

_PORT = 53


def resolver(servers: Sequence[str], seconds: float) -> Callable[[str], bytes]:
    """A look at TXT records. ``servers``: host or host:port each, by default the system's;
    ``seconds``: for all that it is asked in all."""
    import dns.exception
    import dns.resolver

    until = time.monotonic() + seconds
    asked = dns.resolver.Resolver(configure=not servers)
    if servers:
        places = [server(each, _PORT) for each in servers]
        asked.nameservers = [dns.nameserver.Do53Nameserver(*place) for place in places]

    def look(name: str) -> bytes:
        left = until - time.monotonic()
        try:
            if left <= 0:
                raise CannotVerify(f"DNS did not answer within {seconds:g} seconds")
            answer = asked.resolve(name, "TXT", lifetime=left)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return b""
        except dns.resolver.LifetimeTimeout as error:
            raise CannotVerify(f"DNS did not answer within {seconds:g} seconds") from error
        except dns.resolver.NoNameservers as error:
            raise CannotVerify(f"DNS cannot be asked for {printable(name)}") from error
        except (dns.exception.DNSException, OSError, UnicodeError, ValueError):
            return b""  # a name that cannot be
        # Of several keys none can be said to be the one (RFC 6376, section 3.6.2.2).
        records = [b"".join(each.strings) for each in answer]
        return records[0] if len(records) == 1 else b""

    return look
