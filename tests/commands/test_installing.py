# SPDX-License-Identifier: BSD-3-Clause
"""The ways to install that the guide names, tried with the wheel: the demo runs, and guides, ready
files and manual page are there."""

import os
import shutil
import subprocess
import sys
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support.parts import require
from tests.support.places import ROOT

HOME = "https://forge.example.org/lab/recheck-ingest"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), RECHECK_INGEST_URL=HOME)


def build(folder: Path, **environment: str) -> Path:
    """A wheel of this tree."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT],
        check=True,
        cwd=folder,
        env={**os.environ, **environment},
    )
    (made,) = folder.glob("*.whl")
    return made


def run(*command: str | Path, **environment: str) -> str:
    # What is compiled at an installation lies beside it, and not where tests keep it.
    plain = {key: value for key, value in os.environ.items() if key != "PYTHONPYCACHEPREFIX"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**plain, **environment},
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def is_whole(program: Path, manual: Path) -> None:
    """Whether an installation has all that it should."""
    # Whom a pipe runs as can write there nothing: what was not compiled is compiled for each mail.
    compiled = "lib/python3*/site-packages/ingest/__pycache__/worker.*.pyc"
    assert list(manual.parents[3].glob(compiled))
    assert '"29430"' in run(program, "demo")
    listed = run(program, "help", "files").splitlines()
    assert listed[0].endswith("/share/recheck-ingest/aliases.example")
    assert Path(listed[0]).read_text().count("recheck-ingest")
    assert run(program, "help", "sinks") == (ROOT / "contrib" / "doc" / "sinks.md").read_text()
    if shutil.which("man"):
        shown = run("man", manual, MANWIDTH="80", LC_ALL="C.UTF-8")
        assert "recheck-ingest" in shown
        assert "SYNOPSIS" in shown
    assert ".TH RECHECK\\-INGEST" in manual.read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_by_pip(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv/bin/pip", "install", "-q", wheel)
    manual = tmp_path / "venv/share/man/man1/recheck-ingest.1"
    is_whole(tmp_path / "venv/bin/recheck-ingest", manual)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_by_pipx(wheel: Path, tmp_path: Path) -> None:
    pipx = require("pipx")
    places = {
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
    }
    run(pipx, "install", "--python", sys.executable, wheel, **places)
    (manual,) = (tmp_path / "pipx").glob("venvs/*/share/man/man1/recheck-ingest.1")
    is_whole(tmp_path / "bin/recheck-ingest", manual)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_by_uv(wheel: Path, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    program = str(uv) if uv.exists() else require("uv")
    places = {
        "UV_TOOL_DIR": str(tmp_path / "uv"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),  # where it leaves its locks
    }
    install = ("tool", "install", "--compile-bytecode", "--python", sys.executable)
    run(program, *install, wheel, **places)
    (manual,) = (tmp_path / "uv").glob("*/share/man/man1/recheck-ingest.1")
    is_whole(tmp_path / "bin/recheck-ingest", manual)


# What a package index shows


def metadata(wheel: Path) -> tuple[list[str], str]:
    """The project's URLs and the README of a wheel."""
    listed = run(sys.executable, "-m", "zipfile", "-l", wheel).split()
    (name,) = (each for each in listed if each.endswith(".dist-info/METADATA"))
    import zipfile

    with zipfile.ZipFile(wheel) as packed:
        fields = Parser().parsestr(packed.read(name).decode())
    return fields.get_all("Project-URL", []), str(fields.get_payload())


@pytest.mark.slow
def test_on_a_package_index_every_link_leads_to_the_projects_pages(wheel: Path) -> None:
    urls, readme = metadata(wheel)
    assert f"Homepage, {HOME}" in urls
    assert f"Changelog, {HOME}/blob/HEAD/contrib/doc/changelog.md" in urls
    assert f"[sinks]({HOME}/blob/HEAD/contrib/doc/sinks.md)" in readme
    assert "](contrib/" not in readme
    assert "](aliases.example)" not in readme


@pytest.mark.slow
def test_without_an_address_a_link_is_the_command_that_prints_the_guide(tmp_path: Path) -> None:
    origin = subprocess.run(
        ["git", "-C", ROOT, "remote", "get-url", "origin"], capture_output=True, check=False
    )
    if origin.stdout.startswith(b"https://"):
        pytest.skip("this checkout has an address")
    urls, readme = metadata(build(tmp_path, RECHECK_INGEST_URL=""))
    assert urls == []
    assert "sinks (`recheck-ingest help sinks`)" in readme
    assert "](contrib/" not in readme
