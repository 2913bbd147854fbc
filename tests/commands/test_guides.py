# SPDX-License-Identifier: BSD-3-Clause
"""``help``: the guides, and where the files are, in a checkout and in an installation."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ingest.commands import guides
from ingest.errors import UsageError
from tests.support.places import ROOT


def test_every_guide_is_a_topic() -> None:
    assert set(guides.topics()) == {page.stem for page in (ROOT / "contrib/doc").glob("*.md")}
    listed = guides.text(None)
    assert all(f"\n  {topic} " in listed for topic in [*guides.topics(), "files"])
    assert "  backup          Backup and restore\n" in listed


def test_a_topic_is_printed_as_it_is_written() -> None:
    assert guides.text("sinks") == (ROOT / "contrib" / "doc" / "sinks.md").read_text()


def test_an_unknown_topic_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there is no guide about 'nosuch'"):
        guides.text("nosuch")


def test_a_misspelt_topic_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"about 'pagse' \(did you mean pages\?\); see"):
        guides.text("pagse")


def test_files_names_folders_of_ready_files_and_what_is_in_them() -> None:
    lines = guides.text("files").splitlines()
    assert lines[0] == str(ROOT / "aliases.example")
    assert f"{ROOT / 'contrib' / 'procmail'}: recheck-ingest.rc" in lines
    for line in lines[1:]:
        place, _, names = line.partition(": ")
        assert names
        assert all((Path(place) / name).is_file() for name in names.split(", "))


@pytest.mark.slow
def test_a_wheel_holds_guides_files_license_manual_page_and_completion(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT],
        check=True,
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (manual,) = (each for each in names if each.endswith("share/man/man1/recheck-ingest.1"))
        page = packed.read(manual).decode()
        (script,) = (each for each in names if each.endswith("completions/recheck-ingest"))
        completion = packed.read(script).decode()
        packed.extractall(tmp_path / "site")
    for end in (
        "share/recheck-ingest/aliases.example",
        "share/recheck-ingest/contrib/doc/sinks.md",
        "share/recheck-ingest/contrib/systemd/recheck-ingest.service",
        "licenses/ingest/LICENSE",
    ):
        assert any(name.endswith(end) for name in names), end
    assert "/tmp" not in page
    done = "COMP_WORDS=(recheck-ingest qui); COMP_CWORD=1; $(complete -p recheck-ingest | "
    done += "sed 's/.*-F //; s/ .*//'); echo ${COMPREPLY[@]}"
    ran = subprocess.run(
        ["bash", "-c", f"{completion}\n{done}"], capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "quickstart", ran.stderr
    assert all(f"recheck\\-ingest {each}" in page for each in ("pipe", "serve", "take"))

    # As an installation has them: the package in one place, the files below its prefix.
    site = tmp_path / "site"
    (data,) = site.glob("*.data/data")
    paths = {**sysconfig.get_paths(), "data": str(data)}
    code = (
        "import sys, sysconfig; paths = dict(eval(sys.argv[1]));"
        "sysconfig.get_path = lambda name: paths[name];"
        "from ingest.commands import guides; print(guides.folder())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, repr(paths)],
        check=True,
        capture_output=True,
        text=True,
        cwd=site,
        env={"PYTHONPATH": str(site)},
    )
    assert ran.stdout.strip() == str(data / "share" / "recheck-ingest")
