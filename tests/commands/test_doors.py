# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` says of addresses, a Maildir, and the mail servers of answers."""

import socket
from pathlib import Path
from typing import Any

import pytest

from ingest.commands import doors
from ingest.config import load as config
from ingest.config.tables import Settings
from tests.support.mail_servers import SILENCE, MailServer, OddServer


def settings(folder: Path, text: str) -> Settings:
    file = folder / "file.toml"
    file.write_text(text)
    return config.load(file=str(file), environment={"STATE_DIRECTORY": str(folder)})


def levels(found: Any) -> list[str]:
    return [level for level, _, _ in found]


@pytest.mark.parametrize(("serving", "level"), [(True, "ok"), (False, "warning")])
def test_an_address_in_use_is_ours_if_a_worker_is_running(
    serving: bool, level: str, tmp_path: Path
) -> None:
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as unix:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        unix.bind(str(tmp_path / "lmtp"))
        unix.listen()
        table = (
            f'[smtp]\nlisten = ["127.0.0.1:{taken.getsockname()[1]}"]\n'
            f'[lmtp]\nlisten = ["unix:{tmp_path}/lmtp"]\n'
        )
        found = doors.listeners(settings(tmp_path, table), serving=serving)
        assert levels(found) == [level, level]


def test_a_group_of_sockets_that_cannot_be_given_is_a_problem(tmp_path: Path) -> None:
    table = f'[lmtp]\nlisten = ["unix:{tmp_path}/lmtp"]\nsocket_group = "nosuch"\n'
    found = [*doors.listeners(settings(tmp_path, table), serving=False)]
    assert levels(found) == ["problem", "ok"]
    assert found[0][2].startswith("[lmtp] socket_group: there is no group 'nosuch'")


@pytest.mark.parametrize(
    ("address", "level"),
    [
        ("127.0.0.1:0", "ok"),
        ("unix:{}/lmtp", "ok"),
        ("unix:{}/stale", "ok"),
        ("unix:{}/nowhere/lmtp", "problem"),
        ("no-such-host.invalid:2525", "problem"),
    ],
)
def test_an_address_that_cannot_be_had_is_a_problem(
    address: str, level: str, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "stale"))
    before = sorted(tmp_path.iterdir())
    loaded = settings(tmp_path, f'[lmtp]\nlisten = ["{address.format(tmp_path)}"]\n')
    assert levels(doors.listeners(loaded, serving=False)) == [level]
    assert [each for each in sorted(tmp_path.iterdir()) if each.suffix != ".toml"] == before


@pytest.mark.parametrize(
    ("made", "level", "told"),
    [
        ((), "warning", "is not there yet"),
        (("new",), "problem", "has no folder cur"),
        (("new", "cur", "tmp"), "ok", "1 waiting"),
    ],
)
def test_a_maildir_is_looked_at(
    made: tuple[str, ...], level: str, told: str, tmp_path: Path
) -> None:
    for name in made:
        (tmp_path / "box" / name).mkdir(parents=True)
        (tmp_path / "box" / name / "1").touch()
    ((found, _, text),) = doors.maildir(settings(tmp_path, f'[maildir]\npath = "{tmp_path}/box"\n'))
    assert (found, told in text) == (level, True)


def answers_by(folder: Path, server: str, **more: object) -> Settings:
    table = f'[mail.lab]\nsender = "lab@ci.example.org"\nserver = "{server}"\ntimeout = 0.5\n'
    return settings(folder, table + "".join(f"{key} = {value}\n" for key, value in more.items()))


def test_the_mail_server_of_answers_is_spoken_to_and_gets_no_mail(tmp_path: Path) -> None:
    with MailServer() as server:
        ((level, what, text),) = doors.mail_servers(answers_by(tmp_path, server.address))
        assert (level, what) == ("ok", "mail:lab")
        assert text.startswith(f"{server.address} answers: 250")
        assert server.received == []


def test_a_mail_server_that_cannot_be_used_is_a_problem(tmp_path: Path) -> None:
    with MailServer() as server:
        address = server.address
        found = list(doors.mail_servers(answers_by(tmp_path, address, starttls="true")))
        assert found[0][0] == "problem"
        assert "STARTTLS" in found[0][2]
    assert levels(doors.mail_servers(answers_by(tmp_path, address))) == ["problem"]
    with OddServer(connect=SILENCE) as silent:
        assert levels(doors.mail_servers(answers_by(tmp_path, silent.address))) == ["problem"]
