# SPDX-License-Identifier: BSD-3-Clause
"""nginx and Caddy themselves in front of the listener, with the recipes of contrib/http."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ingest.ledger import open_ledger
from tests.support import markup, pages_site, posted
from tests.support.http_site import LISTEN, Site, request
from tests.support.ledger_values import record
from tests.support.pages_site import ARCHIVE, PATHS, fetch
from tests.support.web_servers import NAME, SERVERS, Front, in_front

pytestmark = pytest.mark.slow

OPEN = f'{LISTEN}public_url = "https://{NAME}"\nread = "open"\n{ARCHIVE}'
BASE = "/recheck"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(params=SERVERS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@contextmanager
def published(
    name: str, folder: Path, certificate: str, toml: str = OPEN, below: str = ""
) -> Iterator[tuple[Site, Front]]:
    with (
        pages_site.site(folder, toml) as site,
        in_front(name, site.port, folder / "front", certificate, below=below) as front,
    ):
        yield site, front


PRIVATE = {
    "/metrics": "GET",
    "/mail": "POST",
    "/mail/mailgun": "POST",
    "/healthz": "GET",
    "/readyz": "GET",
    "/.env": "GET",
    "/api/take": "POST",
    "/api/requests": "POST",
    "/mails/m1@example.org": "DELETE",
}


def test_people_see_every_page_by_tls_and_nothing_that_is_private(
    name: str, quick_path: Path, certificate: str
) -> None:
    with published(name, quick_path, certificate) as (site, front):
        for path in PATHS.values():
            status, fields, text = front.ask(path)
            assert (status, text) == (200, fetch(site, path)[2])
            assert "default-src 'none'" in fields["content-security-policy"]
        found = markup.safe(front.ask("/")[2])
        [style] = [each["href"] for each in found.all("link") if each["rel"] == "stylesheet"]
        assert front.ask(style)[0] == 200
        for path, method in PRIVATE.items():
            status, _, text = front.ask(path, method, b"" if method == "POST" else None)
            assert status in (403, 404), path
            assert "recheck" not in text
        tried = urlencode({"mail": "Recheck-request: iol-a"}).encode()
        assert "iol-a" in front.ask("/try", "POST", tried, FORM)[2]
        status, fields, _ = front.ask("/api/requests?per_page=9")
        assert status == 200
        assert f'<https://{NAME}/api/requests?per_page=9&page=2>; rel="next"' in fields["link"]


def test_below_a_path_every_link_leads_below_it(
    name: str, quick_path: Path, certificate: str
) -> None:
    toml = OPEN.replace(f"https://{NAME}", f"https://{NAME}{BASE}")
    with published(name, quick_path, certificate, toml, BASE) as (_, front):
        assert front.ask("/")[0] in (403, 404)
        found = markup.safe(front.ask(f"{BASE}/")[2])
        own = [each for each in found.links() if each.startswith("/")]
        own += [each["href"] for each in found.all("link")]
        for path in dict.fromkeys(own):
            assert path.startswith(f"{BASE}/")
            assert front.ask(path)[0] == (401 if path == f"{BASE}/in" else 200), path
        assert front.ask(f"{BASE}/search?q=29430")[1]["location"] == f"{BASE}/series/29430"
        assert front.ask(f"{BASE}/api/requests/1")[0] == 200


SPOOFED: list[Mapping[str, str]] = [
    {},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-For": ""},
    {"Forwarded": "for=127.0.0.1", "X-Real-IP": "127.0.0.1"},
    {"Host": "localhost"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
]


@pytest.mark.parametrize("public", [True, False], ids=["published", "not published"])
def test_nobody_elsewhere_looks_like_somebody_on_this_machine(
    name: str, quick_path: Path, certificate: str, public: bool
) -> None:
    """Whatever fields a client sends; only who has a token is let in."""
    token = quick_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    toml = OPEN.replace('read = "open"', 'read = "local"')
    toml = toml if public else toml.replace(f'public_url = "https://{NAME}"\n', "")
    toml += f'[token.lab]\nfile = "{token}"\nmay = ["read"]\n'
    with published(name, quick_path, certificate, toml) as (site, front):
        assert fetch(site, "/api/requests")[0] == 200
        for fields in SPOOFED:
            for path in ("/", "/api/requests", "/api/events"):
                status, _, text = front.ask(path, fields=fields)
                # Caddy has an empty page for a name that it does not know.
                assert status in (401, 403, 404, 421) or not text, (path, fields, text)
        bearer = {"Authorization": "Bearer secret"}
        assert front.ask("/api/requests", fields=bearer)[0] == (200 if public else 421)


def test_what_happens_is_told_at_once(name: str, quick_path: Path, certificate: str) -> None:
    """Nothing on the way waits for more of it to come."""
    with (
        published(name, quick_path, certificate) as (_, front),
        closing(front.connection()) as connection,
        closing(open_ledger(f"sqlite:{quick_path}/ledger.sqlite")) as ledger,
    ):
        connection.request("GET", "/api/events", headers={"Host": NAME})
        answer = connection.getresponse()
        assert answer.status == 200
        for number in (100, 101):
            record(ledger, f"m{number}@example.org", time.time())
            heard = b""
            while f"m{number}@example.org".encode() not in heard:
                heard = answer.readline()
                assert heard


def test_mail_comes_in_by_the_hooks_alone(name: str, quick_path: Path, certificate: str) -> None:
    mail = posted.cloudmailin(request("hooked"))
    with (
        Site(quick_path, LISTEN + posted.hooks(quick_path)) as site,
        in_front(name, site.port, quick_path / "front", certificate, hooks=True) as front,
    ):
        fields = {**mail.headers, "Content-Type": mail.headers["Content-Type"]}
        assert front.ask("/mail/cloudmailin", "POST", mail.body, fields)[0] == 200
        assert site.kept("hooked@example.org")
        for path in ("/mail", "/", "/api/requests", "/metrics", "/mail/a/b"):
            assert front.ask(path)[0] in (403, 404)
        assert front.ask("/mail", "POST", request("straight"))[0] in (403, 404, 405)
