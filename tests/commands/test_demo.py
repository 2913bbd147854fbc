# SPDX-License-Identifier: BSD-3-Clause
"""``demo``: the whole program at work, on this machine alone."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support import markup
from tests.support.parts import PATIENCE


@pytest.mark.slow
def test_the_demo_runs_without_a_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ingest", "demo"], capture_output=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode()
    assert '"29430"' in out
    assert "not read:" in out
    assert out.count("\n") < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_demo_that_is_kept_can_be_played_with_until_it_is_interrupted(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "ingest", "demo", "--keep", "--verbose"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if "Ctrl-C ends" in line:
            break
    [command] = [line.strip() for line in lines if line.startswith("  recheck-ingest status")]
    ran = subprocess.run(
        [sys.executable, "-m", "ingest", *command.split()[1:]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "4 done" in ran.stdout
    assert any("next attempt" in line for line in lines)
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert (demo.returncode, err) == (0, "")
    assert "are gone" in out
    assert not Path(command.split()[3]).exists()


@pytest.mark.slow
def test_a_demo_that_is_terminated_leaves_nothing(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "ingest", "demo", "--keep"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert demo.stdout is not None
    assert any("Ctrl-C ends" in line for line in demo.stdout)
    assert list(tmp_path.iterdir()) != []
    demo.terminate()
    demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, list(tmp_path.iterdir())) == (128 + signal.SIGTERM, [])


@pytest.mark.slow
def test_the_demo_shows_its_pages_until_it_is_interrupted(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "ingest", "demo", "--web"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert demo.stdout is not None
    url = next(line.split()[0] for line in demo.stdout if "  http://127.0.0.1:" in line)
    seen, todo = {}, {"/"}
    while todo:
        path = todo.pop()
        with urllib.request.urlopen(url + path[1:], timeout=PATIENCE) as answer:
            seen[path] = markup.safe(answer.read().decode())
        found = {each for each in seen[path].links() if each.startswith("/")}
        todo |= {each for each in found if not each.endswith("/raw")} - set(seen)  # by a token
    text = " ".join(seen["/"].text.split())
    assert "requests, the newest first" in text
    assert {"success", "fail", "pending"} <= set(text.split())
    assert "2 of 40 tests failed" in "".join(each.text for each in seen.values())
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, err) == (0, "")
    assert "are gone" in out
