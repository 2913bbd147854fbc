# SPDX-License-Identifier: BSD-3-Clause
"""Whether the servers that requests are posted to can be reached, for ``check``: each is connected
to, its certificate is verified, and nothing is sent.
"""

import os
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies

from ingest.commands import certificates
from ingest.config.tables import Settings

# Level, what it is about, and the text, as in ``Finding``.
Found = tuple[str, str, str]

_PORTS = {"http": 80, "https": 443}


def webhooks(settings: Settings) -> Iterator[Found]:
    """Whether each [webhook.NAME] has a server that takes connections."""
    for name, table in settings.webhook.items():
        yield _found(f"webhook:{name}", table.url, table.timeout)


def _found(what: str, url: str, seconds: float) -> Found:
    scheme, host, port = _place(url)
    said, secure = f"{host}:{port}", scheme == "https"
    if proxy := get_environ_proxies(url).get(scheme):
        try:
            _, host, port = _place(proxy if "://" in proxy else f"http://{proxy}")
        except ValueError:  # which may have a password in it
            return "problem", what, f"the proxy in {scheme}_proxy is not a valid URL"
        said, secure = f"the proxy {host}:{port}", False
    try:
        with socket.create_connection((host, port), seconds) as connection:
            if not secure:
                return "ok", what, f"{said} takes connections"
            with _context().wrap_socket(connection, server_hostname=host) as encrypted:
                certificate = encrypted.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return "problem", what, f"the certificate of {said} is not valid: {error.verify_message}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "") or str(error) or type(error).__name__
        return "problem", what, f"{said} cannot be reached: {reason}"
    end = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    text = f"{said} takes connections; its certificate"
    return certificates.dated(what, text, end, time.time())


def _place(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL. Raises ``ValueError``."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _context() -> ssl.SSLContext:
    """What requests verifies certificates with."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if bundle and os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle or DEFAULT_CA_BUNDLE_PATH)
