# SPDX-License-Identifier: BSD-3-Clause
"""What a machine has, below any folder."""

import shutil
from pathlib import Path

import pytest

from ingest.commands.machine import Machine, look, postconf


def put(root: Path, *paths: str, text: str = "") -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_of_an_empty_folder_nothing_is_there(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert (found.mail_server, found.procmail, found.systemd) == ("", False, False)
    assert (found.users, found.alias_maps) == ({}, "")


def test_a_folder_that_is_not_there_is_a_machine_with_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "none").mail_server == ""


@pytest.mark.parametrize(
    "path", ["etc/exim4/exim4.conf", "etc/exim/configure", "usr/sbin/exim4", "usr/sbin/exim"]
)
def test_exim_is_known_by_its_files(tmp_path: Path, path: str) -> None:
    put(tmp_path, path)
    assert look(tmp_path).mail_server == "exim"


def test_where_both_are_postfix_counts(tmp_path: Path) -> None:
    put(tmp_path, "etc/postfix/main.cf", "etc/exim4/exim4.conf")
    assert look(tmp_path).mail_server == "postfix"


def test_procmail_and_systemd_are_looked_for(tmp_path: Path) -> None:
    put(tmp_path, "usr/bin/procmail", "run/systemd/system/x")
    found = look(tmp_path)
    assert (found.procmail, found.systemd) == (True, True)


def test_users_are_read_and_broken_lines_left_out(tmp_path: Path) -> None:
    lines = "root:x:0:0:root:/root:/bin/sh\nhalf:x:1\n\nodd:x:one:2::/:\nlab:x:1001:1002:L\xe4b::\n"
    put(tmp_path, "etc/passwd")
    (tmp_path / "etc" / "passwd").write_bytes(lines.encode("latin-1"))
    assert look(tmp_path).users == {"root": (0, 0), "lab": (1001, 1002)}


def test_postfix_without_its_command_has_debians_aliases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "etc/postfix/main.cf", text="alias_maps = hash:/other\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look(tmp_path).alias_maps == "hash:/etc/aliases"


@pytest.mark.skipif(not shutil.which("postconf"), reason="there is no postconf")
def test_postfix_is_asked_for_its_aliases(tmp_path: Path) -> None:
    settings = "compatibility_level = 3.6\nalias_maps = hash:/other, hash:/more\n"
    put(tmp_path, "etc/postfix/main.cf", text=settings)
    assert look(tmp_path).alias_maps == "hash:/other, hash:/more"


def test_postconf_reads_below_the_root(tmp_path: Path) -> None:
    assert postconf(tmp_path, "-h", "x") == ["postconf", "-c", f"{tmp_path}/etc/postfix", "-h", "x"]


def test_a_path_of_the_machine_is_below_its_root(tmp_path: Path) -> None:
    put(tmp_path, "etc/aliases")
    machine: Machine = look(tmp_path)
    assert machine.at("/etc/aliases") == tmp_path / "etc" / "aliases"
    assert machine.has("/etc/aliases")
    assert not machine.has("/etc/aliases.db")
