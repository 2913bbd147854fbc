# SPDX-License-Identifier: BSD-3-Clause
"""The image of contrib/container, built without a registry of images: on a Debian that debootstrap
makes, by buildah."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.parts import require, require_root
from tests.support.places import ROOT

SUITE = "bookworm"  # the oldest Debian with a Python that we run on
# What signs the package indexes' certificates here; a network of its own may have its own.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

SERVES = """
recheck-ingest serve 2>/tmp/said & serving=$!
for each in $(seq 100); do
    python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8026/healthz')" && break
    sleep 0.2
done 2>/dev/null
python3 -c "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8026/healthz').status)"
kill -TERM $serving; wait $serving; echo "ended with $?"
cat /tmp/said
stat -c '%u %a' /var/lib/recheck-ingest /var/lib/recheck-ingest/ledger.sqlite
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that does not stay: images are large."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        yield Path(made)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_is_built_and_serves_as_a_user_of_its_own(folder: Path) -> None:
    require("buildah")
    require("debootstrap")
    require_root("make the files of a Debian")
    buildah = tool(folder)
    base = folder / "base"
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(base))
    shutil.copy(CERTIFICATES, base / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    (base / "etc" / "pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\n")
    container = buildah("from", "scratch")
    buildah("copy", "--quiet", container, str(base), "/")
    buildah("commit", "--quiet", container, "localhost/base")

    file = str(ROOT / "contrib" / "container" / "Containerfile")
    argument = "BASE=localhost/base"
    image = ["--format", "docker", "--tag", "recheck-ingest", "--build-arg", argument]
    buildah("bud", "--isolation", "chroot", *image, "--file", file, str(ROOT))
    built = buildah("from", "localhost/recheck-ingest")

    def inside(*command: str) -> str:
        return buildah("run", "--isolation", "chroot", built, "--", *command)

    assert inside("id", "-u") == "8025"
    assert "29430" in inside("recheck-ingest", "demo")
    assert "/opt/recheck-ingest/share/recheck-ingest" in inside("recheck-ingest", "help", "files")
    status, ended, *said, state, ledger = inside("sh", "-c", SERVES).splitlines()
    assert (status, ended) == ("200", "ended with 0")
    assert "HTTP on 127.0.0.1:8026" in said[0]
    assert (state, ledger) == ("8025 770", "8025 660")


def tool(folder: Path) -> Callable[..., str]:
    """buildah with images of its own below a folder."""
    store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]

    def buildah(*command: str) -> str:
        return run("buildah", *store, "--storage-driver", "vfs", *command)

    return buildah


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "LANG": "C.UTF-8"}
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()
