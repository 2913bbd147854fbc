# SPDX-License-Identifier: BSD-3-Clause
"""Where the listeners listen: bound sockets, Unix sockets, systemd's sockets."""

import contextlib
import grp
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from ingest import addresses
from ingest.errors import ConfigError

# Connections that the kernel holds for us until they are accepted.
BACKLOG = 512
# The first descriptor that systemd hands over (sd_listen_fds(3)).
_FIRST_INHERITED = 3


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket; ``label`` names it for people. ``made`` is the device and inode of the
    Unix socket that was made for it, None if none was."""

    socket: socket.socket
    label: str
    path: str = ""
    made: tuple[int, int] | None = None

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.socket.family == socket.AF_UNIX or addresses.is_loopback(
            self.socket.getsockname()[0]
        )

    def close(self) -> None:
        """Stop listening, and take away the Unix socket if it is still the one that was made."""
        if self.made:
            with contextlib.suppress(OSError):
                if _identity(os.lstat(self.path)) == self.made:
                    os.unlink(self.path)
        self.socket.close()


def bind(text: str, mode: int, group: str = "") -> list[Bound]:
    """Listening sockets for an address; a host name may have several. ``mode`` and ``group``:
    permissions of a Unix socket, and the group by name or number, "" for the process's own. Raises
    ``ConfigError`` if one cannot be had."""
    address = addresses.parse(text)
    try:
        if address.path:
            return [_bind_unix(address.path, mode, group_id(group))]
        return _bind_tcp(address)
    except OSError as error:
        raise ConfigError(f"cannot listen on {text}: {error.strerror or error}") from error


def _bind_tcp(address: addresses.Address) -> list[Bound]:
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound: list[Bound] = []
    missing: OSError | None = None
    for family, kind, protocol, _, name in dict.fromkeys(found):
        try:
            listening = socket.socket(family, kind, protocol)
            bound.append(Bound(listening, ""))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(name)
            listening.listen(BACKLOG)
        except OSError as error:
            # A machine without IPv6 resolves localhost to ::1 all the same.
            if family == socket.AF_INET6 and len(found) > 1:
                missing = error
                bound.pop().socket.close()
                continue
            for each in bound:
                each.close()
            raise
    if not bound:
        raise missing or OSError("the host has no address")
    return [Bound(each.socket, label(each.socket)) for each in bound]


def group_id(group: str) -> int:
    """The number of a group that this process may give a file to, -1 for "". Raises
    ``ConfigError``."""
    if not group:
        return -1
    try:
        number = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfigError(
            f"socket_group: there is no group {group!r} on this machine; getent group lists them"
        ) from error
    if os.geteuid() and number not in {os.getegid(), *os.getgroups()}:
        raise ConfigError(
            f"socket_group: the user that we run as, number {os.geteuid()}, is not in the group "
            f"{group}: add the user to the group (usermod -aG {group} USER), then start anew"
        )
    return number


def _bind_unix(path: str, mode: int, group: int) -> Bound:
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        # Nobody can connect before it listens, so the permissions come in time.
        os.chown(path, -1, group)
        os.chmod(path, mode)
        listening.listen(BACKLOG)
        return Bound(listening, f"unix:{path}", path, _identity(os.lstat(path)))
    except OSError:
        listening.close()
        raise


def _clear(path: str) -> None:
    """Take away a Unix socket that nobody listens on any more."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(None, "there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except TimeoutError:
            pass
    raise OSError(None, "another process listens on this socket; stop it first")


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def label(listening: socket.socket) -> str:
    """A socket's address as it is written in the configuration."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return (
        f"[{name[0]}]:{name[1]}" if listening.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"
    )


def inherited(environment: Mapping[str, str]) -> list[tuple[str, Bound]]:
    """The sockets that systemd handed to this process (sd_listen_fds(3)), each with its name:
    ``FileDescriptorName=``, by default that of the socket unit. Raises ``ConfigError``."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    handed = []
    try:
        for place in range(int(environment.get("LISTEN_FDS", "0"))):
            listening = socket.socket(fileno=_FIRST_INHERITED + place)
            os.set_inheritable(listening.fileno(), False)
            if listening.type != socket.SOCK_STREAM:
                raise ConfigError("a socket handed over by systemd is not for streams")
            name = names[place] if place < len(names) else ""
            handed.append((name, Bound(listening, f"{label(listening)} (systemd's {name})")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the sockets handed over by systemd cannot be used: {error}") from error
    return handed


def named(
    kind: str, handed: list[tuple[str, Bound]]
) -> tuple[list[Bound], list[tuple[str, Bound]]]:
    """Of sockets with their names those that are named so, and the others."""
    among = [bound for name, bound in handed if kind in name.lower()]
    return among, [(name, bound) for name, bound in handed if kind not in name.lower()]
