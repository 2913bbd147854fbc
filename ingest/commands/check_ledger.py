# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` finds about the ledger, the server that it is in, and who works on it."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ingest.commands.finding import Finding
from ingest.config.tables import Settings
from ingest.errors import ConfigError, NoLedger, StateUnavailable
from ingest.ledger import WORKER_LEASE, Ledger, Opening, Server, open_ledger
from ingest.ledger.masking import masked, sqlite_path
from ingest.story import health

# What Postfix lets an alias pipe write, unless mailbox_size_limit says otherwise.
_MAILBOX_LIMIT = 51_200_000

# Seconds that are waited for another process, or for an answer.
_PATIENCE = 2.0


def findings(settings: Settings) -> Iterator[Finding]:
    """One for each thing that was looked at."""
    state = settings.state
    try:
        opened = open_ledger(
            state.ledger,
            busy_timeout=_PATIENCE,
            mode=state.mode,
            opening=Opening.LOOK,
            timeout=min(state.timeout, _PATIENCE),
            replicas=state.replicas,
        )
    except NoLedger:
        name = masked(state.ledger)
        yield Finding("ok", "ledger", f"{name} is not there yet; the first mail makes it")
        return
    except (StateUnavailable, ConfigError) as error:
        yield Finding("problem", "ledger", str(error))
        return
    with closing(opened) as ledger:
        try:
            yield from _found(ledger, settings)
        except StateUnavailable as error:
            yield Finding("problem", "ledger", str(error))


def _found(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    totals, damage, server = ledger.totals(), ledger.damage(), ledger.server()
    with ledger.lease(WORKER_LEASE) as free:
        worker = "no worker is running" if free else "a worker is running"
    if damage:
        todo = "put back a backup, see recheck-ingest help backup"
        where = sqlite_path(settings.state.ledger) or masked(settings.state.ledger)
        yield Finding("problem", "ledger", f"{where} is damaged: {damage}; {todo}")
    yield Finding("ok", "ledger", f"{sum(totals.mails.values())} mails, {totals.requests} requests")
    if server:
        yield from of_server(server, settings.state.replicas)
    waits = totals.mails["queued"] and time.time() - totals.due > 300
    yield Finding(
        "problem" if waits and free else "ok",
        "worker",
        f"{worker}, and mail is overdue: run serve, or work --once from cron"
        if waits and free
        else worker,
    )
    file = sqlite_path(settings.state.ledger)
    if file and (size := Path(file).stat().st_size) > _MAILBOX_LIMIT * 3 // 4:
        yield Finding(
            "warning",
            "ledger",
            f"{file} has {size} bytes; Postfix lets an alias pipe write no file past "
            "mailbox_size_limit: raise that, lower [state] keep_days, or use LMTP or a Maildir",
        )


def of_server(server: Server, replicas: int) -> Iterator[Finding]:
    """Clock, settings and standbys of a server."""
    if apart := health.clocks_apart(server.clock_ahead):
        yield Finding("warning", "clock", f"{apart}: have both follow a time server")
    for wish in server.wishes:
        yield Finding("warning", "server", f"set {wish}")
    streams = f"PostgreSQL {server.version}, {server.streaming} synchronous standbys stream"
    if server.streaming < replicas:
        todo = f"[state] replicas is {replicas}: nothing is written until they do"
        yield Finding("problem", "standbys", f"{streams}; {todo}")
    else:
        yield Finding("ok", "standbys", streams)
