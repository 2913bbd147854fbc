# SPDX-License-Identifier: BSD-3-Clause
"""The pages over a real listener: what is shown, who may see it, and with which header fields."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from ingest.ledger import Outcome, Result, State, open_ledger
from ingest.web import pages, rendering
from tests.support import markup, pages_site
from tests.support.http_site import LISTEN, Site
from tests.support.ledger_values import record
from tests.support.pages_site import ARCHIVE, MISSING, NEARLY, PATHS, fetch

OPEN = LISTEN + 'read = "open"\n' + ARCHIVE
TOKEN = """\
[token.lab]
file = "{}"
may = ["read"]
"""


@pytest.fixture(scope="module")
def site(
    ledger_at: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pages")
    with pages_site.site(folder, ledger_url=ledger_at(folder)) as site:
        yield site


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that everybody may read, and holders of the token "secret" wholly."""
    folder = tmp_path_factory.mktemp("public")
    token = folder / "token"
    token.write_text("secret\n")
    with pages_site.site(folder, OPEN + TOKEN.format(token)) as site:
        yield site


def numbers(text: str) -> list[int]:
    return [int(each) for each in re.findall(r"Request </span>(\d+)<", text)]


def text_of(site: Site, path: str) -> str:
    """A page's text, on one line."""
    return " ".join(markup.safe(fetch(site, path)[2]).text.split())


def test_the_front_page_has_the_newest_requests_and_older_ones_behind_them(site: Site) -> None:
    status, _, text = fetch(site, "/")
    assert (status, numbers(text)) == (200, [*range(31, 6, -1)])
    assert 'href="/?page=2"' in text
    older = fetch(site, "/?page=2")[2]
    assert numbers(older) == [6, 5, 4, 3, 2, 1]
    assert 'href="/?page=1"' in older
    assert "page=3" not in older


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "9" * 30, "2&page=1", "%00"])
def test_a_page_that_is_none_is_answered(site: Site, page: str) -> None:
    assert fetch(site, f"/?page={page}")[0] == 200


@pytest.mark.parametrize("path", [*PATHS.values(), *MISSING.values()])
def test_nothing_that_a_mail_or_a_lab_or_a_url_says_is_markup(site: Site, path: str) -> None:
    status, fields, text = fetch(site, path)
    assert status == (404 if path in MISSING.values() else 200)
    assert fields["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"\x1b|‮", markup.safe(text).text)


def test_hostile_words_are_there_as_text(site: Site) -> None:
    for name in ("front", "hostile request", "hostile search", "attention"):
        assert "<script>alert(1)</script>" in text_of(site, PATHS[name]), name


@pytest.mark.parametrize(
    "path", [*PATHS.values(), *MISSING.values(), "/static/pages.css", "/static/x"]
)
def test_every_answer_forbids_scripts_frames_and_guessing_and_sets_no_cookie(
    site: Site, path: str
) -> None:
    _, fields, _ = fetch(site, path)
    for name, value in rendering.HEADERS.items():
        if name != "Cache-Control":
            assert fields[name.lower()] == value
    assert "set-cookie" not in fields


def test_the_policy_allows_no_inline_script_or_style() -> None:
    policy = rendering.HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "script-src" not in policy


def test_every_link_of_every_page_leads_somewhere(site: Site) -> None:
    seen: set[str] = set()
    todo = {"/"}
    while todo:
        path = todo.pop()
        seen.add(path)
        status, _, text = fetch(site, path)
        assert status == 200, path
        todo |= {each for each in markup.safe(text).links() if re.match(r"/(?!api/)", each)} - seen
    assert len(seen) > 60


def test_every_page_can_be_reached_and_has_a_heading_landmarks_and_a_title_of_its_own(
    site: Site,
) -> None:
    titles = set()
    for path in PATHS.values():
        page = markup.Markup(fetch(site, path)[2])
        for one in ("h1", "main", "header", "footer", "title"):
            assert len(page.all(one)) == 1, (path, one)
        assert page.links()[0] == "#content"
        titles.add(page.text.split("· recheck-ingest")[0].strip())
    assert len(titles) > 10


def test_a_request_tells_its_results_what_was_not_read_and_where_it_went(site: Site) -> None:
    text = text_of(site, "/requests/1")
    assert "Robin Reviewer <robin@example.org>" in text
    assert "warning" in text and "lab 1 of 2 report" in text.replace("  ", " ")
    assert "Not read in the mail: .11" in text
    assert "retests.json, not taken out of it since 2023-11-14 22:13:21+00:00" in text
    assert "git-pw series apply 29430" in text and "b4 am m1@example.org" in text
    links = markup.Markup(fetch(site, "/requests/1")[2]).links()
    assert "https://lab.example.org/1" in links
    assert "https://inbox.example.org/dev/m1@example.org/" in links
    assert "https://patches.dpdk.org/patch/131182/" in links


def test_a_request_for_a_revision_names_it_and_its_server_and_no_way_that_has_none(
    quick_path: Path, ledger_url: str
) -> None:
    with closing(open_ledger(ledger_url)) as ledger:
        record(ledger, "a@example.org", series=7, revision=2, server="fdo")
    with Site(quick_path, LISTEN, ledger_url=ledger_url) as site:
        text = text_of(site, "/requests/1")
    assert "series 7, revision 2, of fdo, by a reply to" in text
    assert "b4 am a@example.org" in text
    assert "git-pw" not in text


def test_a_request_by_hand_says_who_and_why_and_has_no_mail(site: Site) -> None:
    text = text_of(site, "/requests/31")
    assert "Robin Reviewer (command)" in text
    assert "Becausethe lab was down" in text
    assert "by hand" in text
    assert "the mail" not in text
    assert "b4 am" not in text


def test_a_mail_tells_its_reason_and_story(site: Site) -> None:
    text = text_of(site, "/mails/ignored@example.org")
    assert NEARLY in text
    assert "Try a line says what is read of a mail" in text
    assert "from bounce@example.org to lab@example.org, from the host 192.0.2.77" in text


def test_a_message_id_may_stand_in_brackets_and_hold_anything(site: Site) -> None:
    assert fetch(site, "/mails/" + quote("<m1@example.org>", safe=""))[0] == 200
    name = f"{pages_site.HOSTILE}@example.org"
    assert fetch(site, "/mails/" + quote(name, safe=""))[0] == 200


def test_a_mail_that_never_came_is_explained(site: Site) -> None:
    status, _, text = fetch(site, "/mails/none@example.org")
    assert status == 404
    assert "cannot hold a request" in markup.safe(text).text
    assert "/try" in markup.safe(text).links()


@pytest.mark.parametrize("series", ["0", "x", "1e3", "-1", "9" * 25, str(2**63), "٣"])
def test_what_is_no_series_is_not_found(site: Site, series: str) -> None:
    assert fetch(site, "/series/" + quote(series))[0] == 404


def test_the_attention_page_names_what_failed_and_not_what_is_well(site: Site) -> None:
    text = text_of(site, "/attention")
    assert "failed of robin" in text
    assert "ignored of robin" not in text
    assert "recheck-ingest show mail-N" in text


def test_figures_of_nothing_say_so(quick_path: Path, ledger_url: str) -> None:
    with Site(quick_path, LISTEN, ledger_url=ledger_url) as site:
        assert text_of(site, "/stats").count("Nothing to show yet.") == 4


def test_figures_tell_how_many_how_fast_and_how_it_ended(quick_path: Path, ledger_url: str) -> None:
    now = time.time() - 3600
    with closing(open_ledger(ledger_url)) as ledger:
        for number in range(4):
            record(ledger, f"a{number}@example.org", at=now, received=now - 5)
        ledger.results.tell(Result(1, "iol-a", State.SUCCESS, now + 120))
        ledger.results.tell(Result(2, "iol-a", State.OVERDUE, now + 120))
    with Site(quick_path, LISTEN, ledger_url=ledger_url) as site:
        text = text_of(site, "/stats")
        assert "8 labels by 4 requests" in text
        assert "1 of 8 (12%)" in text
        assert "half within 2 min" in text
        assert "10 s4" in text
        assert "iol-a 4 1 0 0 0 1 2 2 min" in text
        assert "request 1 since" in text


def test_figures_are_made_once_a_minute(quick_path: Path, ledger_url: str) -> None:
    with Site(quick_path, LISTEN, ledger_url=ledger_url) as site:
        first = text_of(site, "/stats")
        with closing(open_ledger(ledger_url)) as ledger:
            record(ledger, "a@example.org", at=time.time())
        assert text_of(site, "/stats") == first
        assert numbers(fetch(site, "/")[2]) == [1]


def test_every_outcome_and_every_result_is_explained(site: Site) -> None:
    assert set(rendering.OUTCOMES) == set(Outcome)
    assert set(rendering.RESULTS) == set(State)
    text = text_of(site, "/words")
    assert all(each in text for each in (*rendering.OUTCOMES, *rendering.RESULTS.values()))


def test_who_wants_to_ask_is_told_which_labels_there_are(quick_path: Path) -> None:
    wanted = LISTEN + '[requests]\ncontexts = ["iol-*", "arm-a", "arm-b"]\n'
    with Site(quick_path, wanted) as site:
        text = text_of(site, "/words")
    assert "Recheck-request: arm-a, arm-b" in text
    assert "rebase=VALUE" in text


@pytest.mark.parametrize(
    ("path", "to"),
    [("/mails/", "/mails"), ("/requests/", "/"), ("/series/", "/"), ("/labels/", "/")],
)
def test_a_path_without_a_name_leads_to_the_list(site: Site, path: str, to: str) -> None:
    status, fields, _ = fetch(site, path)
    assert (status, fields["location"]) == (303, to)


def test_every_place_of_the_navigation_is_a_page_and_marks_itself(site: Site) -> None:
    for place, name in pages.NAV:
        page = markup.Markup(fetch(site, rendering.here(place))[2])
        (current,) = [each for each in page.all("a") if "aria-current" in each]
        assert current["href"] == rendering.here(place), name


# Try a line


def test_a_pasted_mail_is_read_and_nothing_is_recorded(site: Site) -> None:
    before = text_of(site, "/mails")
    mail = "From: a@example.org\r\nIn-Reply-To: <b@example.org>\r\n\r\n> Recheck-request: iol-a\r\n"
    status, _, text = fetch(site, "/try", form={"mail": mail})
    page = markup.safe(text)
    assert status == 200
    assert "it is quoted" in page.text
    assert "Recheck-request: iol-a" in page.text.split("A reply that would be read")[1]
    assert "\\r" not in page.text
    assert text_of(site, "/mails") == before


def test_a_hostile_paste_is_text(site: Site) -> None:
    hostile = f"</textarea>{pages_site.HOSTILE}\n\nRecheck-request: a, </pre>"
    page = markup.safe(fetch(site, "/try", form={"mail": hostile})[2])
    assert "</textarea><script>" in page.text


@pytest.mark.parametrize(
    ("size", "status"), [(64 << 10, 200), ((64 << 10) + 1, 413), (300 << 10, 413)]
)
def test_64_kilobytes_can_be_tried(site: Site, size: int, status: int) -> None:
    said = fetch(site, "/try", form={"mail": "x" * size})
    assert said[0] == status
    assert status == 200 or "64 KB at most" in said[2]


@pytest.mark.parametrize("form", [{}, {"mail": ""}, {"mail": " \n"}, {"other": "x"}])
def test_an_empty_form_is_shown_again(site: Site, form: dict[str, str]) -> None:
    status, _, text = fetch(site, "/try", form=form)
    assert status == 200
    assert "What would be read</h2>" not in text


# Who may see what


def test_a_name_that_is_not_ours_is_answered_nothing(site: Site) -> None:
    status, _, text = fetch(site, "/", {"Host": "rebound.example.net"})
    assert (status, "public_url" in text, "Request" in text) == (421, True, False)


def test_a_proxied_request_needs_a_token_which_a_browser_asks_for(site: Site) -> None:
    status, fields, text = fetch(site, "/", {"X-Forwarded-For": "192.0.2.1"})
    assert status == 401
    assert fields["www-authenticate"].startswith("Basic ")
    assert not numbers(text)


def test_where_pages_are_published_a_browser_needs_a_token(quick_path: Path) -> None:
    published = LISTEN + 'public_url = "https://lab.example.org"\n'
    browser = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
    with pages_site.site(quick_path, published) as site:
        assert fetch(site, "/", browser)[0] == 401
        assert fetch(site, "/", browser | {"Host": "lab.example.org"})[0] == 401


ADDRESSES = re.compile(r"robin@example\.org|bounce@|192\.0\.2\.77|lab@example\.org|/retests\.json")


@pytest.mark.parametrize("path", [*PATHS.values()])
def test_without_a_token_no_address_envelope_host_or_path_is_shown(public: Site, path: str) -> None:
    status, _, text = fetch(public, path, {"X-Forwarded-For": "192.0.2.1"})
    assert status == 200
    assert not ADDRESSES.search(markup.safe(text).text)


def test_with_a_token_as_password_all_is_shown(public: Site) -> None:
    basic = {"Authorization": "Basic YW55Ym9keTpzZWNyZXQ="}
    assert "robin@example.org" in fetch(public, "/requests/1", basic)[2]
    assert "192.0.2.77" in fetch(public, "/mails/ignored@example.org", basic)[2]


def test_a_browser_can_enter_a_token_where_all_may_look(public: Site) -> None:
    front = markup.Markup(fetch(public, "/")[2])
    assert "/in" in front.links()
    status, fields, _ = fetch(public, "/in")
    assert (status, fields["www-authenticate"][:6]) == (401, "Basic ")
    basic = {"Authorization": "Basic YW55Ym9keTpzZWNyZXQ="}
    status, fields, _ = fetch(public, "/in", basic)
    assert (status, fields["location"]) == (303, "/")
    assert "/in" not in markup.Markup(fetch(public, "/", basic)[2]).links()


def test_a_search_finds_nothing_by_what_is_not_shown(public: Site) -> None:
    assert "Nothing fits" in text_of(public, "/search?q=robin@example.org")
    assert "Request 29 " in text_of(public, "/search?q=robin%20reviewer")


def test_a_ledger_that_cannot_be_read_is_told_without_a_traceback(quick_path: Path) -> None:
    with Site(quick_path, LISTEN) as site:
        Path(quick_path, "ledger.sqlite").write_bytes(b"not a database" * 100)
        status, _, text = fetch(site, "/")
    assert (status, "try again later" in text) == (503, True)


def test_before_the_first_request_the_page_says_how_to_make_one(quick_path: Path) -> None:
    with Site(quick_path, LISTEN) as site:
        status, _, text = fetch(site, "/")
    assert (status, "Recheck-request: </code>" in text) == (200, True)


def test_the_style_is_named_by_its_content_and_kept(site: Site) -> None:
    path = re.findall(r'rel="stylesheet" href="(.*?)"', fetch(site, "/")[2])[0]
    status, fields, text = fetch(site, path)
    assert (status, fields["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in fields["cache-control"]
    assert "prefers-color-scheme: dark" in text
