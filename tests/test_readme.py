# SPDX-License-Identifier: BSD-3-Clause
"""The README's first screen keeps its form, and every source file names its license."""

import re
import subprocess

import pytest

from tests.support.places import ROOT

README = (ROOT / "README.md").read_text()


def test_the_first_screen_holds_both_commands() -> None:
    first_screen = README.splitlines()[:26]
    blocks = re.findall(r"```sh\n(.*?)\n```", "\n".join(first_screen), re.DOTALL)
    assert len(blocks) == 2
    assert blocks[0].endswith("recheck-ingest demo")
    assert blocks[1].endswith("python -m pytest -q")
    ci = (ROOT / ".ci" / "run").read_text()
    assert ci.rstrip().endswith("python -m pytest -q")


def test_every_source_file_names_its_license() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    code = (".py", ".toml", ".rc", ".example", ".sh", ".service", ".timer", ".socket", "run")
    for name in listed.stdout.decode().split("\0"):
        if name.endswith(code) and (ROOT / name).is_file():
            head = (ROOT / name).read_text().splitlines()[:3]
            assert any("SPDX-License-Identifier: BSD-3-Clause" in line for line in head), name
