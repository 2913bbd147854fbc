# SPDX-License-Identifier: BSD-3-Clause
"""The one search box: where each text leads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support import markup, pages_site
from tests.support.http_site import LISTEN, Site
from tests.support.pages_site import ARCHIVE, fetch

PUBLIC = LISTEN + 'read = "open"\npublic_url = "https://lab.example.org/recheck"\n' + ARCHIVE


@pytest.fixture(scope="module")
def site(
    ledger_at: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("finding")
    with pages_site.site(folder, PUBLIC, ledger_url=ledger_at(folder)) as site:
        yield site


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "/"),
        ("  ", "/"),
        ("m1@example.org", "/mails/m1@example.org"),
        (" <m1@example.org> ", "/mails/m1@example.org"),
        ("<none@example.org>", "/mails/none@example.org"),
        ("https://inbox.example.org/dev/m1@example.org/", "/mails/m1@example.org"),
        ("https://inbox.example.org/dev/m1@example.org/T/#u", "/mails/m1@example.org"),
        ("https://inbox.example.org/dev/m1%40example.org/", "/mails/m1@example.org"),
        ("https://inbox.example.org/dev/a%2Fb@example.org/", "/mails/a%2Fb@example.org"),
        ("https://patches.dpdk.org/project/dpdk/patch/p1@example.org/", "/mails/p1@example.org"),
        ("https://patches.dpdk.org/project/dpdk/list/?series=29430&state=*", "/series/29430"),
        ("https://patches.dpdk.org/series/29430/mbox/", "/series/29430"),
        ("https://lab.example.org/recheck/requests/7", "/requests/7"),
        ("https://lab.example.org/recheck/", "/"),
        ("29430", "/series/29430"),
        ("7", "/requests/7"),
        ("#7", "/requests/7"),
        ("mail-3", "/mails/mail-3"),
        ("iol-a", "/labels/iol-a"),
    ],
)
def test_a_name_leads_straight_to_its_page(site: Site, text: str, path: str) -> None:
    status, fields, _ = fetch(site, "/search?" + urlencode({"q": text}))
    assert (status, fields.get("location")) == (303, f"/recheck{path}")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("robin reviewer", "Request 29 "),
        ("ROBIN", "Request 29 "),
        ("fix it", "Request 29 "),
        ("ignored of", "Mails that made no request"),
        ("it came by no list", "Mails that made no request"),
        ("iol-", "Mails that made no request"),
        ("none@example.org", "Nothing fits"),
        ("4711", "Nothing fits"),
        ("mail-4711", "Nothing fits"),
        ("https://[", "Nothing fits"),
        ("https://example.org/", "Nothing fits"),
        ("//example.net/", "Nothing fits"),
        ("javascript:alert(1)", "Nothing fits"),
        ("\x00\x1b\ud800"[:2], "Nothing fits"),
        ("x" * 5000, "Nothing fits"),
        ("%" * 50, "Nothing fits"),
    ],
)
def test_anything_else_is_looked_for(site: Site, text: str, found: str) -> None:
    status, _, page = fetch(site, "/search?" + urlencode({"q": text}))
    assert status == 200
    assert found in " ".join(markup.safe(page).text.split())


def test_no_search_leads_to_another_site(site: Site) -> None:
    for text in ("//example.net", "https://lab.example.org/recheck//example.net", "/\\example.net"):
        fields = fetch(site, "/search?" + urlencode({"q": text}))[1]
        assert not fields.get("location", "").startswith(("//", "/\\", "http")), text


def test_what_was_looked_for_stays_in_the_box_and_in_the_pages(site: Site) -> None:
    page = markup.safe(fetch(site, "/search?" + urlencode({"q": 'fix "it'}))[2])
    (box,) = [each for each in page.all("input") if each["name"] == "q"]
    assert box["value"] == 'fix "it'
    more = markup.safe(fetch(site, "/search?q=fix+it")[2])
    assert "/recheck/search?q=fix+it&page=2" in more.links()
