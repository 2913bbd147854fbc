# SPDX-License-Identifier: BSD-3-Clause
"""The units of contrib, judged by systemd's own programs without a running systemd."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.parts import require, require_root
from tests.support.places import ROOT

UNITS = ROOT / "contrib" / "systemd"
EVERY = [
    path
    for folder in ("systemd", "getmail", "lei")
    for path in sorted((ROOT / "contrib" / folder).glob("recheck-ingest*"))
]
SERVICES = sorted(unit.name for unit in EVERY if unit.suffix == ".service")
# Ours, which is not installed where the units look for it.
PROGRAM = re.compile(r"/usr/local/bin/recheck-ingest(-lei\.sh)?")


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require(program), *arguments], capture_output=True, check=False, text=True
    )


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units in a folder, with a program that exists in the place of ours."""
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in EVERY:
        text = PROGRAM.sub(require("true"), unit.read_text())
        (folder / unit.name).write_text(text)
    return folder


def test_systemd_has_nothing_to_say_against_the_units(units: Path) -> None:
    named = [path for path in units.iterdir() if path.suffix in (".service", ".socket", ".timer")]
    assert {path.suffix for path in named} == {".service", ".socket", ".timer"}
    done = run("systemd-analyze", "verify", "--man=no", *named)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_have_something_to_say_against_a_wrong_unit(units: Path) -> None:
    unit = units / "recheck-ingest.service"
    unit.write_text(unit.read_text().replace("Type=notify", "Type=notified"))
    assert "notified" in run("systemd-analyze", "verify", "--man=no", unit).stderr


@pytest.mark.parametrize("service", SERVICES)
def test_the_services_are_rated_ok(units: Path, service: str) -> None:
    done = run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20",
        units / service,
    )  # fmt: skip
    # The threshold is ten times the exposure: at most 2.0.
    assert done.returncode == 0, done.stdout
    assert re.search(rf"exposure level for {service}: \d\.\d OK", done.stdout)


def test_the_user_can_be_made(tmp_path: Path) -> None:
    require_root("make users below another root")
    (tmp_path / "etc").mkdir()
    done = run("systemd-sysusers", f"--root={tmp_path}", UNITS / "recheck-ingest.sysusers")
    assert done.returncode == 0, done.stderr
    (entry,) = (tmp_path / "etc" / "passwd").read_text().splitlines()
    assert entry.startswith("recheck-ingest:x:")
    assert entry.endswith(":/var/lib/recheck-ingest:/usr/sbin/nologin")


def test_the_folders_can_be_made_and_written_by_their_group(tmp_path: Path) -> None:
    require_root("make folders of another user's")
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", UNITS / "recheck-ingest.sysusers")
    done = run(
        "systemd-tmpfiles", "--create", f"--root={tmp_path}", UNITS / "recheck-ingest.tmpfiles"
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    made = tmp_path / "var"
    for folder in ("lib/recheck-ingest", *(f"spool/recheck/{part}" for part in ("new", "cur"))):
        status = (made / folder).stat()
        assert oct(status.st_mode)[-4:] == "2770"
        assert status.st_uid != 0
