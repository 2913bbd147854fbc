# SPDX-License-Identifier: BSD-3-Clause
"""A service that others reach below a path: all that it says of itself is below that, too."""

from collections.abc import Iterator

import pytest

from tests.support import markup, pages_site
from tests.support.http_site import LISTEN, Site
from tests.support.pages_site import ARCHIVE, MISSING, PATHS, fetch

BASE = "/lab/re%20check"
PUBLIC = f"https://lab.example.org{BASE}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    toml = f'{LISTEN}public_url = "{PUBLIC}"\nread = "open"\n{ARCHIVE}'
    with pages_site.site(tmp_path_factory.mktemp("below"), toml) as site:
        yield site


@pytest.mark.parametrize("name", [*PATHS, *MISSING])
@pytest.mark.parametrize("before", ["", BASE], ids=["itself", "below"])
def test_every_link_of_a_page_to_another_one_is_below_it(
    site: Site, name: str, before: str
) -> None:
    """Also where a web server in front takes the path away, and whatever a mail says."""
    status, _, text = fetch(site, before + (PATHS | MISSING)[name])
    assert status == (404 if name in MISSING else 200)
    found = markup.safe(text)
    own = [
        each[attribute]
        for tag, attribute in (("a", "href"), ("form", "action"), ("link", "href"))
        for each in found.all(tag)
        if each[attribute].startswith("/")
    ]
    assert len(own) > 5
    assert all(each.startswith(f"{BASE}/") for each in own)


NEEDS_TOKEN = {f"{BASE}/in"}


def test_its_links_lead_to_what_is_there(site: Site) -> None:
    seen: set[str] = set()
    left = [f"{BASE}/"]
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        status, fields, text = fetch(site, path)
        assert status == 200, path
        if "text/html" in fields["content-type"]:
            found = markup.safe(text)
            links = [*found.links(), *(each["href"] for each in found.all("link"))]
            left += [each for each in links if each.startswith("/") and each not in NEEDS_TOKEN]
    assert len(seen) > 60


REDIRECTED = {
    "/search?q=29430": "/series/29430",
    f"/search?q={PUBLIC.replace('%', '%25')}/requests/3": "/requests/3",
    "/search?q=": "/",
}


@pytest.mark.parametrize("path", REDIRECTED)
def test_a_search_leads_below_it(site: Site, path: str) -> None:
    status, fields, _ = fetch(site, BASE + path)
    assert (status, fields["location"]) == (303, BASE + REDIRECTED[path])


def test_the_path_itself_leads_to_the_first_page(site: Site) -> None:
    status, fields, _ = fetch(site, BASE)
    assert (status, fields["location"]) == (308, f"{BASE}/")


def test_what_only_begins_alike_is_not_there(site: Site) -> None:
    assert fetch(site, f"{BASE}er/")[0] == 404


def test_pages_of_the_api_are_below_it(site: Site) -> None:
    status, fields, _ = fetch(site, f"{BASE}/api/requests?per_page=9")
    assert status == 200
    assert f'<{PUBLIC}/api/requests?per_page=9&page=2>; rel="next"' in fields["link"]
