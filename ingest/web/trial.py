# SPDX-License-Identifier: BSD-3-Clause
"""Whether HTTP is set up as it must be: every hook is given a signed sample, by itself and, if
``serve`` is running, over HTTP. Nothing is kept of them.
"""

import http.client
import socket
from collections.abc import Iterator, Mapping

from ingest import addresses
from ingest.config import secret
from ingest.config.tables import Settings
from ingest.errors import ConfigError, Error, SinkUnavailable
from ingest.web import services
from ingest.web.bodies import Body
from ingest.web.head import Head
from ingest.web.hooks import Hook, Presented
from ingest.web.samples import MAIL, Sample, credentials, sample

# A finding: "ok", "warning" or "problem"; what it is about; and a text.
Told = tuple[str, str, str]

# Seconds that the service may take over an answer.
_TIMEOUT = 10.0


def findings(settings: Settings) -> Iterator[Told]:
    """Everything that can be told of [http], [token.NAME] and [hook.NAME]."""
    listens = settings.http.listen[0] if settings.http.listen else ""
    if listens or settings.hook:
        yield from _listener(settings, listens)
    for name, token in settings.token.items():
        yield from _token(f"token {name}", token.file, token.may)
    try:
        hooks = services.configured(settings.hook, {})
    except ConfigError as error:
        yield "problem", "hooks", str(error)
        return
    for hook in hooks.values():
        yield from _hook(hook, listens)


def _listener(settings: Settings, listens: str) -> Iterator[Told]:
    if not listens:
        yield (
            "warning",
            "http",
            "[http] listen names no address, so that hooks work only with a socket of systemd's",
        )
        return
    try:
        status, text = _ask(listens, "GET", "/readyz", {}, b"")
    except OSError:
        yield "ok", "http", f"nothing listens on {listens} now; serve will"
        return
    level = "ok" if status == 200 else "problem"
    yield level, "http", f"{listens} answers {status}: {text}"


def _token(what: str, path: str, may: tuple[str, ...]) -> Iterator[Told]:
    problems = secret.problems({"file": path})
    for each in problems:
        yield "problem", what, each
    if not may:
        yield "warning", what, "it may do nothing: set may"
    elif not problems:
        yield "ok", what, f"may {', '.join(may)}"


def _hook(hook: Hook, listens: str) -> Iterator[Told]:
    what = f"hook {hook.name}"
    table = hook.table
    # A public key may be read by everyone.
    key = "" if hook.service.public else table.secret_file
    for each in secret.problems({"secret_file": key, "basic_file": table.basic_file}):
        yield "problem", what, each
    try:
        keys = hook.keys()
        made = sample(hook, keys)
        if made:
            _take(hook, made)
    except (SinkUnavailable, Error) as error:
        yield "problem", what, str(error)
        return
    if not made:
        told = f"only {hook.service.name} can sign a sample, so that its signature was not tried"
        yield "ok", what, told
    if listens:
        # Without a proof it must be refused; with user and password, so that only that is wrong.
        unproven = Sample(credentials(keys), b"")
        yield from _over_http(hook, listens, made or unproven, is_proven=made is not None)
    elif made:
        yield "ok", what, f"takes a sample of {hook.service.name}"


def _take(hook: Hook, made: Sample) -> None:
    """Have the hook look at a sample, as it does at what is posted. Raises ``Error``."""
    fields = [(name.lower().encode(), value.encode()) for name, value in made.headers.items()]
    head = Head({"method": "POST", "headers": fields, "query_string": b"", "client": None})
    body = Body()
    try:
        body.add(made.body)
        keys = hook.keys()
        hook.look(keys, head)
        request = Presented(head, body)
        hook.service.prove(hook, keys, request)
        (mail,) = hook.service.mails(hook, request)
        assert mail.raw == MAIL
    finally:
        body.close()


def _over_http(hook: Hook, listens: str, made: Sample, *, is_proven: bool) -> Iterator[Told]:
    what, service = f"hook {hook.name}", hook.service
    try:
        status, _ = _ask(listens, "POST", f"/mail/{hook.name}", made.headers, made.body)
    except OSError:
        if is_proven:
            yield "ok", what, f"takes a sample of {service.name}; serve is not running"
        return
    right = 200 if is_proven else service.refused
    if status == right:
        does = "takes a sample" if is_proven else "refuses what is not signed"
        yield "ok", what, f"{does} at {listens}"
    elif status == 404:
        yield "problem", what, "the running serve does not know this hook: reload it (SIGHUP)"
    elif is_proven and status in (service.refused, 401):
        told = f"the running serve refuses a sample of {service.name}: it has other settings or "
        yield "problem", what, f"{told}another secret: reload it (SIGHUP)"
    else:
        yield "problem", what, f"the running serve answers {status or 'nothing'}: see its log"


def _ask(
    listens: str, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, str]:
    """The status of an answer, 0 if the connection ends without one, and its text. Raises
    ``OSError`` if nothing listens."""
    address = addresses.parse(listens)
    connection = http.client.HTTPConnection(
        address.host or "localhost", address.port, timeout=_TIMEOUT
    )
    if address.path:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(_TIMEOUT)
        connection.sock.connect(address.path)
    else:
        connection.connect()
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
