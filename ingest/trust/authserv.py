# SPDX-License-Identifier: BSD-3-Clause
"""What our own mail server says of a mail's author in Authentication-Results (RFC 8601). Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from ingest.mail.headers import Head

_LONGEST = 8192


def proves(head: Head, ids: Sequence[str], domain: str) -> bool:
    """Whether one of these servers has found a domain to be the author's. ``ids``: their
    authserv-ids, to be read only in what our own server handed over.

    Section 5 of the RFC: only what the last hop wrote counts, and a server removes what others
    have written in its name. Where it did not, there are two, and none of them counts.
    """
    ours = [each for each in _results(head) if each is None or each.authserv_id in ids]
    if len(ours) != 1 or ours[0] is None:
        return False
    return any(_is_proof(each, domain) for each in ours[0].results)


def says(results: str, domain: str) -> bool:
    """Whether the value of an Authentication-Results field says that a domain is the author's,
    whoever wrote it."""
    parsed = _parsed(results)
    return parsed is not None and any(_is_proof(each, domain) for each in parsed.results)


def is_aligned(signer: str, domain: str) -> bool:
    """Whether a signing domain is the author's, or one above it."""
    signer, domain = signer.lower().rstrip("."), domain.lower()
    return signer == domain or ("." in signer and domain.endswith(f".{signer}"))


def _results(head: Head) -> Iterator[Any]:
    """What the last hop has found, None for what cannot be read: the fields above the second
    Received. The server's own may stand above or below its Received."""
    hops = 0
    for name, value in head.fields:
        if name == "received":
            hops += 1
            if hops == 2:
                return
        elif name == "authentication-results":
            yield _parsed(value)


def _parsed(value: str) -> Any:
    """A field's value taken apart, None if it makes no sense."""
    import authres

    field = f"Authentication-Results: {value}"
    try:
        parsed = authres.AuthenticationResultsHeader.parse(field[:_LONGEST])
    except (authres.AuthResError, RecursionError):  # of comments in comments
        return None
    # It may not say of a mail that nothing was found, and something else (section 2.2).
    return parsed if all(hasattr(each, "result") for each in parsed.results) else None


def _is_proof(result: Any, domain: str) -> bool:
    """Whether one result says that the domain has signed, or was found to be the author's."""
    if result.result != "pass":
        return False
    if result.method == "dmarc":
        return _said(result, "from").rpartition("@")[2].lower() == domain.lower()
    if result.method != "dkim":
        return False
    signer = _said(result, "d") or _said(result, "i")
    return is_aligned(signer.rpartition("@")[2], domain)


def _said(result: Any, name: str) -> str:
    """What a result says of the header (section 2.3, propspec), "" if it says nothing."""
    said = (each for each in result.properties if (each.type, each.name) == ("header", name))
    return next((str(each.value or "") for each in said), "")
