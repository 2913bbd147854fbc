# SPDX-License-Identifier: BSD-3-Clause
"""The certificates that listeners offer, for ``check``: usable, readable by whom the service runs
as, kept from others, and when they end.
"""

import base64
import os
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ingest.commands import as_user
from ingest.config import secret
from ingest.config.tables import Settings, SmtpSettings
from ingest.words import ago

# Level, what it is about, and the text, as in ``Finding``.
Found = tuple[str, str, str]

# Seconds before its end from which on a certificate is warned of.
SOON = 14 * 86400.0

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
# Tags of DER.
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


def findings(settings: Settings, users: list[str]) -> Iterator[Found]:
    """What there is to say of each listener's certificate. ``users``: who must be able to read
    it."""
    for name, table in (("smtp", settings.smtp), ("lmtp", settings.lmtp)):
        if table.listen and table.tls_certificate:
            yield from _findings(name, table, users)


def _findings(name: str, table: SmtpSettings, users: list[str]) -> Iterator[Found]:
    files = dict.fromkeys([table.tls_certificate, table.tls_key or table.tls_certificate])
    problems = [f"{file} cannot be read by {user}: {why}"
                for user in users for file in files if (why := _hindrance(file, user))]  # fmt: skip
    if danger := secret.loose(Path(list(files)[-1])):
        problems.append(f"the key {danger}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(table.tls_certificate, table.tls_key or None)
        end = ends(Path(table.tls_certificate).read_text(encoding="ascii", errors="replace"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        problems.append(f"{table.tls_certificate} cannot be used: {error}")
    else:
        yield _until(name, table.tls_certificate, end, time.time())
    for problem in dict.fromkeys(problems):
        yield "problem", name, problem


def _until(name: str, file: str, end: float, now: float) -> Found:
    return dated(name, f"certificate {file}", end, now)


def dated(what: str, said: str, end: float, now: float) -> Found:
    """What there is to say of a certificate that ends at a Unix time."""
    day = datetime.fromtimestamp(end, UTC).date().isoformat()
    if end <= now:
        return "problem", what, f"{said} ended on {day}: renew it"
    if end <= now + SOON:
        return "warning", what, f"{said} ends in {ago(end - now)}, on {day}: renew it"
    return "ok", what, f"{said} is valid until {day}"


def _hindrance(file: str, user: str) -> str:
    """Why a user cannot read a file, "" if nothing hinders that."""

    def look() -> list[str]:
        try:
            with open(file, "rb"):
                return []
        except OSError as error:
            return [error.strerror or str(error)]

    try:
        return "".join(as_user.look(user, look))
    except (KeyError, PermissionError):
        return ""  # told of the paths already


def ends(pem: str) -> float:
    """When the first certificate of a PEM file ends, a Unix time (RFC 5280, section 4.1). Raises
    ``ValueError``. By hand because nothing in Python's own library gives that of a file."""
    text = pem.partition(_BEGIN)[2].partition(_END)[0]
    certificate = base64.b64decode("".join(text.split()), validate=True)
    signed = _within(_within(certificate, _SEQUENCE)[0], _SEQUENCE)[0]
    if signed[:1] == bytes([_VERSION]):
        signed = _within(signed, _VERSION)[1]
    for _ in ("serial number", "signature's algorithm", "issuer"):
        signed = _within(signed)[1]
    validity = _within(signed, _SEQUENCE)[0]
    _, rest = _within(validity)
    kind, (written, _) = rest[:1], _within(rest)
    year = "%y" if kind == bytes([_UTC_TIME]) else "%Y"
    found = datetime.strptime(written.decode("ascii"), f"{year}%m%d%H%M%SZ")
    return found.replace(tzinfo=UTC).timestamp()


def _within(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """The content of the first value in DER, which must have this tag, if one is given, and what
    is behind it."""
    if len(data) < 2 or tag not in (None, data[0]):
        raise ValueError("it is not a certificate")
    length, at = data[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(data[2:at])
    if at + length > len(data):
        raise ValueError("it is cut off")
    return data[at : at + length], data[at + length :]


def service_users(settings: Settings, named: list[str]) -> list[str]:
    """Whom the service runs as, as far as that can be told: those that are named, else, for root,
    the owner of the state folder, else ourselves."""
    if named or os.geteuid() != 0:
        return named or [as_user.my_name()]
    try:
        return [Path(settings.state.dir).owner()]
    except (OSError, KeyError):
        return [as_user.my_name()]
