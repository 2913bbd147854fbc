# SPDX-License-Identifier: BSD-3-Clause
"""The Cloudflare Email Worker, run by Node as Cloudflare runs it: an event with a stream."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ingest.ledger import Envelope
from tests.support.http_site import LISTEN, Site, request
from tests.support.parts import require
from tests.support.places import ROOT

CLOUDFLARE = """
import worker from "./worker.mjs";
import { readFileSync } from "node:fs";
const done = [];
const message = {
  from: "robin@example.org",
  to: "recheck@lab.example",
  raw: new Blob([readFileSync("mail.eml")]).stream(),
  forward: async (address) => done.push(`forwarded to ${address}`),
  setReject: (reason) => done.push("rejected"),
};
await worker.email(message, JSON.parse(process.argv[2]));
process.stdout.write(done.join());
"""
MAIL = request("worker", b"caf\xe9 \xff\x00\r\n")


def run(folder: Path, **variables: str) -> str:
    """What the worker did with the mail besides posting it."""
    shutil.copy(ROOT / "contrib" / "cloudflare" / "worker.js", folder / "worker.mjs")
    (folder / "run.mjs").write_text(CLOUDFLARE)
    (folder / "mail.eml").write_bytes(MAIL)
    ran = subprocess.run(
        [require("node"), "run.mjs", json.dumps(variables)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


@pytest.fixture
def guarded(quick_path: Path) -> str:
    (quick_path / "token").write_text("a-token\n")
    return f'{LISTEN}[token.cloudflare]\nfile = "{quick_path}/token"\nmay = ["mail"]\n'


@pytest.mark.slow
def test_a_mail_is_posted_byte_for_byte_with_its_envelope(quick_path: Path, guarded: str) -> None:
    with Site(quick_path, guarded) as site:
        url = f"http://127.0.0.1:{site.port}/mail"
        assert run(quick_path, URL=url, TOKEN="a-token", FALLBACK="other@example.org") == ""
        (mail,) = site.queued()
    assert (mail.raw, mail.source) == (MAIL, "http, token cloudflare")
    assert mail.envelope == Envelope("robin@example.org", ("recheck@lab.example",))


@pytest.mark.slow
def test_a_mail_that_is_not_taken_goes_to_a_second_address_or_back(
    quick_path: Path, guarded: str
) -> None:
    with Site(quick_path, guarded) as site:
        url = f"http://127.0.0.1:{site.port}/mail"
        refused = run(quick_path, URL=url, TOKEN="wrong", FALLBACK="other@example.org")
    assert refused == "forwarded to other@example.org"
    assert run(quick_path, URL=url, TOKEN="a-token") == "rejected"
