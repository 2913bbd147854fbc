# SPDX-License-Identifier: BSD-3-Clause
"""Where the listeners listen."""

import grp
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.sources import sockets
from tests.support.places import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lmtp.sock"


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def test_a_port_is_listened_on_and_named_as_it_is_written() -> None:
    [bound] = sockets.bind("127.0.0.1:0", 0o660)
    with closing(bound):
        port = bound.socket.getsockname()[1]
        assert bound.label == f"127.0.0.1:{port}"
        assert bound.local
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass


def test_a_port_of_any_host_can_be_reached_from_elsewhere() -> None:
    bound = sockets.bind("*:0", 0o660)
    try:
        assert not any(each.local for each in bound)
    finally:
        for each in bound:
            each.close()


def test_a_port_that_is_taken_is_named() -> None:
    [bound] = sockets.bind("127.0.0.1:0", 0o660)
    with closing(bound), pytest.raises(ConfigError, match=f"cannot listen on {bound.label}"):
        sockets.bind(bound.label, 0o660)


@pytest.mark.parametrize("named", [True, False], ids=["name", "number"])
def test_a_unix_socket_belongs_to_the_group_that_is_set(path: Path, named: bool) -> None:
    group = grp.getgrgid(os.getgroups()[-1] if os.getgroups() else os.getegid())
    [bound] = sockets.bind(f"unix:{path}", 0o660, group.gr_name if named else str(group.gr_gid))
    with closing(bound):
        assert path.stat().st_gid == group.gr_gid
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_group_that_does_not_exist_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no group 'nosuch' on this machine"):
        sockets.bind(f"unix:{path}", 0o660, "nosuch")
    assert not path.exists()


def test_a_group_that_we_are_not_in_is_named_with_what_to_do() -> None:
    with running_as(os.geteuid() or 65534) as mine:
        other = next(each for each in range(60000, 60100) if each not in mine)
        with pytest.raises(ConfigError, match=f"is not in the group {other}: add the user"):
            sockets.group_id(str(other))


@contextmanager
def running_as(user: int) -> Iterator[set[int]]:
    """This process as another user, if it may; the groups that it is then in."""
    before = os.geteuid()
    if before != user:
        os.seteuid(user)
    try:
        yield {os.getegid(), *os.getgroups()}
    finally:
        os.seteuid(before)


def test_a_unix_socket_has_its_permissions_and_goes_when_it_is_closed(path: Path) -> None:
    [bound] = sockets.bind(f"unix:{path}", 0o620)
    assert (bound.label, bound.local) == (f"unix:{path}", True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    assert connects(path)
    bound.close()
    assert not path.exists()


def test_a_unix_socket_that_another_made_meanwhile_is_left_there(path: Path) -> None:
    [bound] = sockets.bind(f"unix:{path}", 0o660)
    path.unlink()
    [other] = sockets.bind(f"unix:{path}", 0o660)
    bound.close()
    assert connects(path)
    other.close()


def test_a_unix_socket_that_a_dead_process_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    [bound] = sockets.bind(f"unix:{path}", 0o660)
    assert connects(path)
    bound.close()


def test_a_unix_socket_that_is_in_use_is_not_taken_away(path: Path) -> None:
    [bound] = sockets.bind(f"unix:{path}", 0o660)
    with closing(bound):
        with pytest.raises(ConfigError, match="another process listens"):
            sockets.bind(f"unix:{path}", 0o660)
        assert connects(path)


def test_a_file_in_the_sockets_place_is_left_alone(path: Path) -> None:
    path.write_text("a file")
    with pytest.raises(ConfigError, match=f"cannot listen on unix:{path}"):
        sockets.bind(f"unix:{path}", 0o660)
    assert path.read_text() == "a file"


def test_sockets_handed_to_another_process_are_not_taken() -> None:
    assert sockets.inherited({}) == []
    assert sockets.inherited({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []


# Run in a process of its own, whose third descriptor is a socket.
HANDED = """
import os, socket, sys
from ingest.sources import sockets
listening = socket.fromfd(int(sys.argv[1]), socket.AF_INET, socket.SOCK_STREAM)
os.dup2(listening.fileno(), 3)
handed = sockets.inherited(
    {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "recheck-SMTP.socket"}
)
ours, others = sockets.named("smtp", handed)
print([each.label for each in ours], others, os.get_inheritable(3))
"""


def test_a_socket_of_systemd_is_known_by_its_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = subprocess.run(
            [sys.executable, "-c", HANDED, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        port = listening.getsockname()[1]
    label = f"127.0.0.1:{port} (systemd's recheck-SMTP.socket)"
    assert done.stdout == f"{[label]} [] False\n"
