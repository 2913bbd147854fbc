# SPDX-License-Identifier: BSD-3-Clause
"""The commands of contrib/postgresql/*.md, typed as they stand on machines of their own: two
servers and a host of the program, each with its network, its /etc and its clusters."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.network import Host, network
from tests.support.parts import eventually, require, require_root
from tests.support.places import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GUIDES = ROOT / "contrib" / "postgresql"
SECRET = "hush"

# What a machine has of its own.
_OWN = """
mount -t tmpfs own /mnt && mkdir /mnt/etc /mnt/work
mount -t overlay etc -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work /etc
for place in /var/lib/postgresql /run/postgresql /var/log/postgresql /var/backups; do
    mount -t tmpfs own $place && chown postgres:postgres $place
done
rm -rf /etc/postgresql && mkdir -p /etc/postgresql /etc/recheck-ingest
printf '127.0.0.1 localhost\\n192.0.2.1 db1\\n192.0.2.2 db2\\n192.0.2.3 lab1\\n' > /etc/hosts
touch /mnt/ready
while sleep 1; do :; done  # and collects who has ended, as an init does
"""


class Machine:
    """A host with files of its own."""

    def __init__(self, name: str, host: Host, stack: ExitStack) -> None:
        self.name = name
        self._own = stack.enter_context(
            subprocess.Popen([*host.within, "unshare", "--mount", "--pid", "--fork",
                              "--kill-child", "--mount-proc", "sh", "-ec", _OWN])
        )  # fmt: skip
        stack.callback(self._own.kill)
        eventually(lambda: self._try("test -e /mnt/ready").returncode == 0, "files of its own")

    def _try(self, command: str) -> "subprocess.CompletedProcess[str]":
        children = Path(f"/proc/{self._own.pid}/task/{self._own.pid}/children").read_text().split()
        inside = children[0] if children else str(self._own.pid)
        bin = Path(sys.executable).parent
        return subprocess.run(
            [
                "nsenter",
                f"--target={inside}",
                "--net",
                "--mount",
                "--pid",
                "bash",
                "-ec",
                f"cd {ROOT}; {command}",
            ],
            capture_output=True,
            text=True,
            check=False,
            input=f"{SECRET}\n{SECRET}\n",  # what psql asks for
            env={"PATH": f"{bin}:{os.environ['PATH']}:/usr/sbin", "HOME": "/root"},
            timeout=60,
        )

    def run(self, command: str) -> str:
        """What a command that must succeed prints."""
        done = self._try(command)
        said = f"{self.name}# {command}\n{done.stdout}{done.stderr}"
        print(said)
        assert done.returncode == 0, said
        return done.stdout

    def write(self, path: str, text: str, *, more: bool = False) -> None:
        """Write a file."""
        self.run(f"cat {'>>' if more else '>'} {path} <<'END'\n{text}END")


@pytest.fixture
def machines() -> Iterator[dict[str, Machine]]:
    require_root("make machines")
    require("pg_createcluster")
    release = postgres.needed().parent.name
    with network() as net, ExitStack() as stack:
        hosts = [net.server, net.host()[0], net.host()[0]]
        net.server.ip("address", "add", "192.0.2.1/32", "dev", "lo")
        for last, host in enumerate(hosts[1:], 2):
            host.ip("address", "add", f"192.0.2.{last}/32", "dev", "lo")
            way = ("via", f"10.19.{host.number}.1", "src", f"192.0.2.{last}")
            host.ip("route", "add", "192.0.2.0/24", *way)
            way = ("via", f"10.19.{host.number}.2", "src", "192.0.2.1")
            net.server.ip("route", "add", f"192.0.2.{last}/32", *way)
        names = ("db1", "db2", "lab1")
        made = {name: Machine(name, host, stack) for name, host in zip(names, hosts, strict=True)}
        made["db1"].run("echo 1 > /proc/sys/net/ipv4/ip_forward")
        for name in ("db1", "db2"):
            made[name].run(f"pg_createcluster {release} main --start")
        yield made
        for name in ("db1", "db2"):
            made[name].run(f"pg_ctlcluster {release} main stop --mode=immediate || true")


def guide_of(name: str) -> str:
    """A guide, with the release of PostgreSQL that is installed here."""
    release = postgres.needed().parent.name
    guide = (GUIDES / name).read_text()
    return guide.replace("/15/", f"/{release}/").replace(" 15 main", f" {release} main")


def typed(guide: str) -> list[tuple[str, str]]:
    """Each command of a guide, behind the name of its machine; a heading is one of nobody's."""
    found = []
    for block in re.finditer(r"^## ([^\n]*)$|^```console\n(.*?)^```$", guide, re.M | re.S):
        if block[1]:
            found.append(("", block[1]))
            continue
        for line in block[2].replace("\\\n", "").splitlines():
            machine, _, command = line.partition("# ")
            found.append((machine, command))
    return found


def file_of(guide: str, name: str) -> tuple[str, str]:
    """The path of a file of this name, and what a guide has one write into it."""
    found = re.search(rf"`(/\S+{re.escape(name)})`[^`]*\n```\n(.*?)^```$", guide, re.M | re.S)
    assert found is not None, name
    return found[1], found[2]


def certify(machines: dict[str, Machine], folder: Path) -> None:
    """Certificates of an authority that all machines know."""
    ca = f"{folder}/ca"
    here = machines["lab1"]
    here.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -keyout {ca}.key -out {ca}.pem"
        " && cp " + f"{ca}.pem /etc/recheck-ingest/ca.pem"
    )
    for name in ("db1", "db2"):
        at = "/etc/postgresql/server"
        machines[name].run(
            f"openssl req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {at}.key -out {at}.csr"
            f" && openssl x509 -req -in {at}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial"
            f" -out {at}.pem && chown postgres {at}.* && chmod 600 {at}.key"
        )


def set_up(machines: dict[str, Machine], guide: str, folder: Path) -> None:
    """What a guide says in words: certificates, files and passwords."""
    certify(machines, folder)
    for each in (machines["db1"], machines["db2"]):
        each.write(*file_of(guide, "conf.d/recheck.conf"))
        each.write(*file_of(guide, "pg_hba.conf"), more=True)
        each.write("/var/lib/postgresql/.pgpass", f"*:5432:replication:replication:{SECRET}\n")
        each.run("cd /var/lib/postgresql; chown postgres .pgpass; chmod 600 .pgpass")
    lab1 = machines["lab1"]
    path, toml = file_of(guide, "recheck-ingest.toml")
    lab1.write(path, f'{toml}dir = "{folder}/state"\n')
    passwords = [f"*:5432:recheck:{role}:{SECRET}\n" for role in ("recheck", "recheck_owner")]
    lab1.write("/etc/recheck-ingest/pgpass", "".join(passwords))
    lab1.run("chmod 600 /etc/recheck-ingest/pgpass")


def follow(machines: dict[str, Machine], guide: str, lost: Callable[[], None]) -> None:
    """Type what a guide says. ``lost``: what happens before the part about the primary's loss."""
    for name, command in typed(guide):
        if name == "lab1" and command.endswith("check"):
            eventually(partial(is_well, machines[name], command), "all is well")
        elif name:
            said = machines[name].run(command)
            while "FROM pg_stat_replication" in command and "| sync" not in said:
                said = machines[name].run(command)
        elif command == "When the primary is lost":
            lost()


def is_well(lab: Machine, command: str) -> bool:
    """Whether ``check`` finds nothing wrong with the ledger; this lab has no Patchwork."""
    said = lab.run(f"{command} || true")
    return "1 synchronous standbys stream\n" in said and "problem  ledger" not in said


def test_two_nodes_and_backup(machines: dict[str, Machine], tmp_path: Path) -> None:
    db1, db2, lab1 = machines["db1"], machines["db2"], machines["lab1"]

    def lost() -> None:
        mail = "Message-ID: <a@example.org>\\nIn-Reply-To: <p>\\n\\nRecheck-request: a\\n"
        lab1.run(f"printf '{mail}' | recheck-ingest pipe")
        assert "ok       ledger: 1 mails" in lab1.run("recheck-ingest check || true")
        db1.run("pkill -KILL -f '^/usr/lib/postgresql'")

    guide = guide_of("two-nodes.md")
    set_up(machines, guide, tmp_path)
    follow(machines, guide, lost)
    assert "ok       ledger: 1 mails" in lab1.run("recheck-ingest check || true")
    backup = guide_of("backup.md")
    follow({"db1": db2, "lab1": lab1}, backup, lost)  # that one is the primary now
    assert "ok       ledger: 1 mails" in lab1.run("recheck-ingest check || true")
