# SPDX-License-Identifier: BSD-3-Clause
"""One mail on standard input, from a Postfix alias, procmail, maildrop or getmail.

Exit 0 says that the mail is durable, or is of no use to us; exit 75 says that the mail server
must keep it and try again. There is no other code, and no output but one line on standard error.
Imports nothing heavy for a mail that is of no use, which only leaves a sign of life.
"""

import os

from ingest.mail import notice, peek
from ingest.mail.prefilter import may_hold_request

TYPE_CHECKING = False  # importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ingest.config.tables import Settings
    from ingest.ledger import Ledger
    from ingest.ledger.parts import Keeper
    from ingest.ledger.spool import Spool

EX_TEMPFAIL = 75

# Read before the configuration is: a larger limit there is read up to later.
_FIRST_READ = 40 << 20
_PIECE = 1 << 16
_DEFAULT_FILE = "/etc/recheck-ingest.toml"
_WAITS = b"recheck-ingest: reads one mail from this terminal, up to Ctrl-D at the start of a line\n"
# The line on standard error goes into the mail server's log, and into a bounce if it makes one.
_LONGEST_LINE = 400


def main(arguments: list[str]) -> int:
    """Take in one mail. The exit code: 0, or 75 whatever went wrong."""
    try:
        if os.isatty(0):
            os.write(2, _WAITS)
        raw = _read(b"", _FIRST_READ + 1)
        is_small = len(raw) <= _FIRST_READ
        if is_small and not may_hold_request(raw) and not notice.kind(peek.header(raw)):
            _count(raw, arguments)
            return 0
        return _keep(raw, arguments)
    except BaseException as error:  # noqa: BLE001  a bug of ours must not bounce anybody's mail
        _tell(error)
        return EX_TEMPFAIL


def _read(begun: bytes, size: int) -> bytes:
    """Standard input up to ``size`` bytes in all."""
    pieces = [begun]
    left = size - len(begun)
    while left > 0 and (piece := os.read(0, min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _count(raw: bytes, arguments: list[str]) -> None:
    """Leave a sign of life. Whatever hinders that, this mail was taken."""
    import time

    from ingest import signs

    try:
        list_id = _flags(arguments).get("--list-id", "").strip("<>")
        if list_id and not peek.list_name(peek.header(raw)):
            raw = b"List-Id: <%s>\n%s" % (list_id.encode(), raw)
        if folder := _state_folder(arguments):
            signs.note(folder, [(raw, "pipe")], time.time())
    except (OSError, ValueError, AttributeError):  # a configuration that ``check`` complains of
        return


def _state_folder(arguments: list[str]) -> str:
    """What ``config.load`` says of [state] dir, found without it; "" if there is no such."""
    flags = _flags(arguments)
    environment = os.environ
    named = flags.get("--state") or environment.get("RECHECK_INGEST_STATE_DIR")
    if named:
        return named
    file = flags.get("--config") or environment.get("RECHECK_INGEST_CONFIG") or _DEFAULT_FILE
    if os.path.exists(file):
        import tomllib

        with open(file, "rb") as stream:
            named = tomllib.load(stream).get("state", {}).get("dir")
    named = named or environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if named or not (environment.get("XDG_STATE_HOME") or environment.get("HOME")):
        return str(named or "")
    base = environment.get("XDG_STATE_HOME") or f"{environment['HOME']}/.local/state"
    return f"{base}/recheck-ingest"


def _flags(arguments: list[str]) -> dict[str, str]:
    """The values of flags, without argparse."""
    flags = {arguments[at - 1]: arguments[at] for at in range(1, len(arguments))}
    return flags | dict(
        each.split("=", 1) for each in arguments if each.startswith("--") and "=" in each
    )


def _keep(raw: bytes, arguments: list[str]) -> int:
    import gc

    # What is imported stays: looking for garbage in it took a twelfth of a pipe's time.
    gc.disable()
    import logging
    import time
    from contextlib import suppress

    from ingest import intake
    from ingest.commands.settings import trace
    from ingest.errors import StateUnavailable
    from ingest.ledger import Envelope
    from ingest.mail import headers

    # The worker's log would go into the mail server's; show has the same.
    logging.getLogger("ingest").addHandler(logging.NullHandler())
    flags = _parsed(arguments)
    settings, _ = trace(flags)
    size = settings.intake.max_size
    if len(raw) > _FIRST_READ:
        raw = _read(raw, size + 1)
    while os.read(0, _PIECE):  # a writer that is cut off calls that an error
        pass
    listed = headers.with_list(raw, flags.get("list_id", ""))
    size += len(listed) - len(raw)
    raw = listed
    keeper, go_on = _keeper(settings)
    until = time.time() + settings.pipe.budget
    recipient = os.environ.get("ORIGINAL_RECIPIENT") or os.environ.get("RECIPIENT")
    envelope = Envelope(os.environ.get("SENDER"), (recipient,) if recipient else ())
    came = ""
    if settings.list:
        from ingest.trust import passage

        came = passage.of(raw, "pipe", envelope, settings)
    try:
        intake.accept(
            raw,
            "pipe",
            ledger=keeper,
            now=time.time(),
            max_size=size,
            envelope=envelope,
            passage=came,
            counted_in=settings.state.dir,
        )
    except StateUnavailable:
        # What there is no room for may fit when the mails before it have ended: where no other
        # worker runs, nobody else makes that room.
        with suppress(Exception):
            go_on(until)
        raise
    try:
        go_on(until)
    except BaseException as error:  # noqa: BLE001  the mail is safe: the next run goes on
        _tell(error)
    return 0


def _parsed(arguments: list[str]) -> "Mapping[str, Any]":
    """The flags by their names. argparse, which takes a tenth of the time of a pipe beside a
    service, is asked only if anything is not plain."""
    from ingest.commands.arguments import plain

    if (flags := plain(arguments)) is None:
        from ingest.commands import options

        return vars(options.pipe_parser().parse_args(arguments))
    return flags


def _keeper(settings: "Settings") -> "tuple[Keeper, Callable[[float], None]]":
    """What keeps the mail, the ledger or the spool before a ledger on another machine, and what
    goes on with the mail until a Unix time."""
    from functools import partial

    from ingest.ledger import Opening, open_configured

    if settings.state.is_shared:
        from ingest.sources import forwarding

        spool = forwarding.spool_of(settings.state, Opening.PIPE)
        return spool, partial(_forward, spool, settings)
    ledger = open_configured(settings.state, Opening.PIPE)
    return ledger, partial(_work_off, ledger, settings)


def _forward(spool: "Spool", settings: "Settings", until: float) -> None:
    """Give the ledger what is in the spool, and work on it, if no service does."""
    import time
    from contextlib import closing

    from ingest.ledger import open_configured
    from ingest.sources import forwarding

    while time.time() < until and spool.depth().mails:
        with spool.lease() as held:
            if not held:
                return
            with closing(open_configured(settings.state)) as ledger:
                forwarding.forward(spool, ledger, stop=lambda: time.time() > until)
                _work_off(ledger, settings, until)


def _work_off(ledger: "Ledger", settings: "Settings", until: float) -> None:
    """Work for a few seconds if no worker is alive: on this mail, on one that another pipe left
    to us while the lease was ours, or on what a pipe that was killed has left."""
    import gc
    import time

    from ingest.ledger import WORKER_LEASE

    while (now := time.time()) < until:
        due = ledger.next_due()
        if due is None or due > now:
            from ingest.sinks import delivery

            if not delivery.lag(ledger, settings, now):
                return
        with ledger.lease(WORKER_LEASE) as held:
            if not held:
                return
            from ingest.worker import Worker, connect  # the larger part of the time a pipe takes

            gc.freeze()
            gc.enable()
            patchwork = connect(settings, ledger, budget=until - now)
            Worker(ledger, patchwork, settings).work_off(until)


def _tell(error: BaseException) -> None:
    from contextlib import suppress

    from ingest.words import harmless

    text = str(error) or type(error).__name__
    line = harmless(" ".join(f"recheck-ingest: {text}".split()))
    with suppress(OSError):  # there is nobody to tell
        os.write(2, line.encode("utf-8", "replace")[:_LONGEST_LINE] + b"\n")
