# SPDX-License-Identifier: BSD-3-Clause
"""The pages in a real Chromium: for eyes, phones, keyboards and screen readers, and without
JavaScript. With RECHECK_TEST_PICTURES=FOLDER a picture of each page is left there, to be looked at.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import pages_site
from tests.support.chromium import DESKTOP, PHONE, Tab, chromium
from tests.support.http_site import Site
from tests.support.pages_site import MISSING, NEARLY, PATHS
from tests.support.parts import require

pytestmark = pytest.mark.slow

ALL = PATHS | MISSING
LOOKS = [
    pytest.param(size, dark, id=f"{name}-{'dark' if dark else 'light'}")
    for name, size in (("phone", PHONE), ("desktop", DESKTOP))
    for dark in (False, True)
]
# What axe finds by the rules of WCAG up to AA and of good practice, and what it cannot decide, but
# for the contrast of single signs, and of the text of charts, which has the colour of others.
AXE = """
axe.run(document, {resultTypes: ["violations", "incomplete"]}).then(found => JSON.stringify(
    found.violations.concat(found.incomplete).map(each => [each.id, each.help, each.nodes
        .filter(node => !node.html.startsWith("<text") && !node.any.some(check =>
            ["shortTextContent", "nonBmp"].includes(check.data?.messageKey)))
        .map(node => node.html.slice(0, 200))]).filter(each => each[2].length)))
"""
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # Lately, so that there are figures.
    with pages_site.site(tmp_path_factory.mktemp("pages"), at=time.time() - 7200) as site:
        yield site


@pytest.fixture(scope="module")
def url(site: Site) -> str:
    return f"http://127.0.0.1:{site.port}"


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with chromium() as tab:
        yield tab


@pytest.fixture(scope="module")
def plain() -> Iterator[Tab]:
    """A tab in which no page's JavaScript runs."""
    with chromium(scripts=False) as tab:
        yield tab


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core, which npm brings."""
    npm, folder = require("npm"), tmp_path_factory.mktemp("axe")
    options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    ran = subprocess.run([npm, "install", *options, "axe-core@4"], capture_output=True, text=True)
    if ran.returncode:
        pytest.skip(f"npm does not bring axe-core: {ran.stderr[-300:]}")
    return Path(folder, "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_axe_finds_nothing_on_any_page(
    tab: Tab, url: str, axe: str, size: tuple[int, int], dark: bool
) -> None:
    tab.look(size, dark=dark)
    found = {}
    for name, path in ALL.items():
        tab.open(url + path)
        tab.run(axe)
        if problems := json.loads(tab.run(AXE)):
            found[name] = problems
    assert not found


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_no_page_is_wider_than_the_window(
    tab: Tab, url: str, size: tuple[int, int], dark: bool
) -> None:
    tab.look(size, dark=dark)
    wide = {}
    for name, path in ALL.items():
        tab.open(url + path)
        width = tab.run("document.documentElement.scrollWidth")
        if width > size[0]:
            wide[name] = width
        if folder := os.environ.get("RECHECK_TEST_PICTURES"):
            look = f"{size[0]}-{'dark' if dark else 'light'}"
            Path(folder, f"{name}-{look}.png".replace(" ", "-")).write_bytes(tab.picture())
    assert not wide


# Cells of tables that have no room for the words in them.
NARROW = """
[...document.querySelectorAll("td, th")].filter(each =>
    each.innerText.length > 10 && each.clientWidth > 1 && each.clientWidth < 100
).map(each => each.innerText)
"""


@pytest.mark.parametrize("width", [600, 760, 1000])
def test_between_a_phone_and_a_desktop_every_column_has_room(
    tab: Tab, url: str, width: int
) -> None:
    tab.look((width, 900))
    for path in PATHS.values():
        tab.open(url + path)
        assert tab.run("document.documentElement.scrollWidth") <= width, path
        assert tab.run(NARROW) == [], path


def test_the_browser_has_nothing_to_complain_about(tab: Tab, url: str) -> None:
    tab.problems.clear()
    for path in PATHS.values():
        tab.open(url + path)
    assert tab.problems == []


def test_dark_is_dark_and_light_is_light(tab: Tab, url: str) -> None:
    grounds = []
    for dark in (False, True):
        tab.look(DESKTOP, dark=dark)
        tab.open(url)
        grounds.append(tab.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]


def test_every_page_is_the_same_without_javascript(tab: Tab, plain: Tab, url: str) -> None:
    for path in ALL.values():
        texts = []
        for each in (tab, plain):
            each.open(url + path)
            texts.append(each.text())
        assert texts[0] == texts[1], path
        assert len(texts[0]) > 100


FOCUS = """(() => {
    const at = document.activeElement, style = getComputedStyle(at);
    const box = at.getBoundingClientRect();
    return [at.textContent.trim() || at.name || at.id, style.outlineStyle !== "none",
        box.width > 0 && box.left >= 0 && box.right <= innerWidth];
})()"""


def test_the_keyboard_goes_through_a_page_in_its_order_and_shows_where_it_is(
    tab: Tab, url: str
) -> None:
    tab.look(DESKTOP)
    tab.open(f"{url}/requests/1")
    seen = []
    for _ in range(13):
        tab.press(*TAB)
        name, is_outlined, is_there = tab.run(FOCUS)
        assert is_outlined and is_there, name
        seen.append(name)
    assert seen == [
        "Skip to the content",
        "recheck-ingest",
        *("Requests", "Mails", "Attention", "Figures", "Try a line"),
        *("q", "Search"),
        *("series 29430", "patch 131182", "the mail and its story", "the mail in the archive"),
    ]


def test_the_skip_link_leads_the_keyboard_to_the_content(tab: Tab, url: str) -> None:
    tab.open(f"{url}/series/29430")
    tab.press(*TAB)
    tab.press(*ENTER)
    tab.press(*TAB)
    assert tab.run(FOCUS)[0] == "the series on Patchwork"


def test_who_saw_nothing_comes_from_the_archives_link_to_the_reason_in_two_clicks(
    plain: Tab, url: str
) -> None:
    plain.look(PHONE)
    plain.open(url)
    plain.click("#q")
    plain.type("https://inbox.example.org/dev/ignored@example.org/T/#u")
    plain.click(".search button")
    plain.wait_for_load()
    assert NEARLY in plain.text()
    assert plain.url() == f"{url}/mails/ignored@example.org"


def test_a_check_on_patchwork_leads_to_the_story_in_two_clicks(plain: Tab, url: str) -> None:
    plain.look(DESKTOP)
    plain.open(f"{url}/requests/1")
    plain.click('main a[href="/mails/m1@example.org"]')
    plain.wait_for_load()
    assert "Its story" in plain.text()


def test_a_line_is_tried_by_keyboard_alone(plain: Tab, url: str) -> None:
    plain.open(f"{url}/try")
    for _ in range(10):
        plain.press(*TAB)
    plain.type("> Recheck-request: iol-a")
    plain.press(*TAB)
    plain.press(*ENTER)
    plain.wait_for_load()
    assert "it is quoted" in plain.text()
    assert "A reply that would be read" in plain.text()
