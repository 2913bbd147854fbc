# SPDX-License-Identifier: BSD-3-Clause
"""Hosts that vanish while they hold leases: nothing comes from them any more, no connection is
closed, and others go on in their place."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from ingest.ledger import open_ledger
from ingest.sandbox import Sandbox
from tests.support import ledger_processes
from tests.support.network import Host, Network, network
from tests.support.places import RECORDED
from tests.support.postgres import Cluster
from tests.support.service import Service, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture
def cluster(net: Network) -> Iterator[Cluster]:
    """A server that is reached by the network, and by its socket."""
    made = Cluster(within=net.server.within, listen_addresses="'*'")
    made.admit("10.19.0.0/16")
    yield made
    made.remove()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[Service]]:
    made = [Service(tmp_path / name) for name in ("here", "vanishing")]
    yield made
    for each in made:
        each.end()


def held_from(url: str, host: Host) -> int:
    """How many leases a host holds."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND client_addr = %s",
            (f"10.19.{host.number}.2",),
        ).fetchone()
    assert found is not None
    return int(found[0])


def test_what_a_host_held_that_vanished_is_taken_over(
    net: Network, cluster: Cluster, services: list[Service], tmp_path: Path
) -> None:
    """One whose service has all answers, and one whose answer is on its way: as long as the server
    sends that again and again, it sends no keepalives."""
    url = cluster.database_for(tmp_path)
    idle, idle_s_server = net.host()
    asking, asking_s_server = net.host()
    here, vanishing = services
    vanishing.wrapper = idle.within
    remote = url.replace(str(cluster.folder), idle_s_server)
    vanishing.start("serve", url="http://127.0.0.1:9", **shared(vanishing, remote))
    eventually(lambda: held_from(url, idle) > 0)
    remote = url.replace(str(cluster.folder), asking_s_server)
    with (
        Sandbox(str(RECORDED / "patch.mbox")) as patchwork,
        ledger_processes.other("keep-lease", remote, "asking", within=asking.within) as other,
        closing(open_ledger(url)) as ledger,
    ):
        assert ledger_processes.line(other) == "True"
        here.start("serve", url=patchwork.url, **shared(here, url))
        eventually(here.retests.parent.joinpath("spool.sqlite-forwarder.lock").exists)
        net.lose_answers(asking)
        eventually(lambda: net.unanswered(asking))
        net.cut(asking)
        net.cut(idle)
        began = time.monotonic()
        here.pipe(b"after", patchwork.url, **shared(here, url))
        with ledger.lease("asking", patience=60.0) as held:
            assert held
            took = [time.monotonic() - began]
        eventually(lambda: here.contexts() == ["iol-after"])
        eventually(lambda: not held_from(url, idle))
        took.append(time.monotonic() - began)
        print(f"free after {took[0]:.1f} s, and all of the other one's after {took[1]:.1f} s")


def shared(service: Service, url: str) -> dict[str, str]:
    """The environment of a process of a host."""
    return {
        "RECHECK_INGEST_STATE_LEDGER": url,
        "RECHECK_INGEST_RETESTS_FILE": str(service.retests),
        "RECHECK_INGEST_SMTP_LISTEN": "127.0.0.1:0",
    }
