# SPDX-License-Identifier: BSD-3-Clause
"""Machines with a network of their own: namespaces that are joined by cables, and gone with the
test."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.parts import eventually, require

# What it is called on each machine is nobody else's matter.
_CABLE = "cable"
# An address that no card has.
_NOBODY = "02:00:00:00:00:01"


class Host:
    """A machine, which has loopback and the cables that are put in."""

    def __init__(self, process: "subprocess.Popen[bytes]", number: int) -> None:
        self._namespace = f"/proc/{process.pid}/ns/net"
        self.process, self.number = process, number
        self.within = ["nsenter", f"--net={self._namespace}", "--"]

    def is_there(self) -> bool:
        """Whether it has a network of its own."""
        return Path(self._namespace).readlink() != Path("/proc/self/ns/net").readlink()

    def ip(self, *command: str) -> None:
        """Change its network."""
        _run(*self.within, "ip", *command)


class Network:
    """A server and machines with a cable to it each."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._count = 0
        self.server = self._new()

    def host(self) -> tuple[Host, str]:
        """One more machine, and the address by which it knows the server."""
        host = self._new()
        ends = (self.server, self._card(host)), (host, _CABLE)
        (one, its), (other, other_s) = ends
        _run(
            *("ip", "link", "add", its, "netns", str(one.process.pid), "type", "veth"),
            *("peer", "name", other_s, "netns", str(other.process.pid)),
        )
        for place, (each, card) in enumerate(ends, 1):
            each.ip("address", "add", f"10.19.{host.number}.{place}/24", "dev", card)
            each.ip("link", "set", card, "up")
        return host, f"10.19.{host.number}.1"

    def cut(self, host: Host) -> None:
        """Have nothing come from the host, or get there, as if it had no power. It is told that by
        nobody."""
        self.lose_answers(host)
        host.ip(*self._astray(host, 1, _CABLE))

    def lose_answers(self, host: Host) -> None:
        """Have nothing get to the host, while what it says is heard."""
        self.server.ip(*self._astray(host, 2, self._card(host)))

    def unanswered(self, host: Host) -> bool:
        """Whether the server has sent something that the host has not acknowledged."""
        command = ("ss", "-Htn", "state", "established", "dst", f"10.19.{host.number}.2")
        return any(
            int(line.split()[1]) for line in _run(*self.server.within, *command).splitlines()
        )

    def _astray(self, host: Host, place: int, card: str) -> tuple[str, ...]:
        """What sends to nobody what is for one end of a host's cable."""
        there = f"10.19.{host.number}.{place}"
        return ("neighbour", "replace", there, "lladdr", _NOBODY, "dev", card, "nud", "permanent")

    def _card(self, host: Host) -> str:
        """The server's card for a host."""
        return f"{_CABLE}{host.number}"

    def _new(self) -> Host:
        process = self._stack.enter_context(
            subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        )
        self._stack.callback(process.kill)
        self._count += 1
        host = Host(process, self._count)
        eventually(host.is_there, "a network of its own")
        host.ip("link", "set", "lo", "up")
        return host


@contextmanager
def network() -> Iterator[Network]:
    """A network. Where none can be made, the test is skipped."""
    for program in ("ip", "nsenter", "ss", "unshare"):
        require(program)
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network of its own is allowed here: {tried.stderr.decode().strip()}")
    with ExitStack() as stack:
        yield Network(stack)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
