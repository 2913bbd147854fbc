# SPDX-License-Identifier: BSD-3-Clause
"""ARC (RFC 8617): what servers that the operator trusts have found of a mail's author before they
changed the mail, as a list does that adds a footer.
"""

import re
from collections.abc import Sequence

from ingest.mail.headers import Head
from ingest.trust import authserv
from ingest.trust.signature import LEAST_KEY, Keys, covers, tags

# The fields of one set, each of which begins with the set's number.
_RESULTS, _MESSAGE, _SEAL = (
    "arc-authentication-results",
    "arc-message-signature",
    "arc-seal",
)
_NUMBER = re.compile(r"i ?= ?(\d{1,2}) ?;")
# Sets of a mail, each of which costs two signatures: a mail passes few servers that seal.
_MOST = 10


def proves(raw: bytes, head: Head, domain: str, sealers: Sequence[str], keys: Keys) -> bool:
    """Whether one of these sealers has found that a mail is of this domain, and the mail is as the
    last of them has sealed it. ``sealers``: domains; whoever changed the mail since, or seals
    without being named, makes it prove nothing. Raises ``CannotVerify``."""
    import dkim

    sets = _sets(head)
    trusted = _trusted(sets, {each.lower() for each in sealers})
    if not trusted or not covers(head, tags(sets[-1][_MESSAGE])):
        return False
    found = [_without_number(each[_RESULTS]) for each in trusted]
    if not any(authserv.says(each, domain) for each in found):
        return False
    try:
        verdict, _, _ = dkim.ARC(raw[head.start :], minkey=LEAST_KEY).verify(keys)
        if verdict == dkim.CV_Pass:
            return True
    except Exception:  # noqa: BLE001  garbage raises of all kinds; it proves nothing
        return False
    if keys.trouble:
        raise keys.trouble
    return False


def _sets(head: Head) -> list[dict[str, str]]:
    """The sets in their order, the last one newest; none if they are not complete, each field
    once."""
    found: dict[int, dict[str, str]] = {}
    for name, value in head.fields:
        if name not in (_RESULTS, _MESSAGE, _SEAL):
            continue
        number = _NUMBER.match(value)
        if not number or name in found.setdefault(int(number[1]), {}):
            return []
        found[int(number[1])][name] = value
    is_complete = sorted(found) == list(range(1, len(found) + 1))
    if not is_complete or len(found) > _MOST or any(len(each) != 3 for each in found.values()):
        return []
    return [found[number] for number in sorted(found)]


def _trusted(sets: Sequence[dict[str, str]], sealers: set[str]) -> Sequence[dict[str, str]]:
    """The newest sets, as far back as all of them are of these sealers."""
    for place in range(len(sets), 0, -1):
        by = {tags(sets[place - 1][name]).get("d", "").lower() for name in (_MESSAGE, _SEAL)}
        if not by <= sealers:
            return sets[place:]
    return sets


def _without_number(results: str) -> str:
    return _NUMBER.sub("", results, count=1).strip()
