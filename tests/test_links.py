# SPDX-License-Identifier: BSD-3-Clause
"""Where a request can be seen on the web."""

import pytest

from ingest import links
from ingest.config import load as config
from ingest.config.tables import PatchworkSettings, RequestsSettings, Settings
from ingest.config.web_tables import HttpSettings
from ingest.errors import ConfigError
from ingest.ledger import Submission
from tests.support.retest_files import asked

ARCHIVE = "https://inbox.example.org/{list}/{message_id}/"


def settings(url: str = "https://pw.example.org", archive: str = ARCHIVE) -> Settings:
    return Settings(patchwork=PatchworkSettings(url), requests=RequestsSettings(archive=archive))


@pytest.mark.parametrize("url", ["https://pw.example.org", "https://pw.example.org/api/1.2"])
def test_a_request_is_seen_in_patchwork_and_in_the_archive(url: str) -> None:
    found = links.of_request(asked(7, list_id="dev.example.org"), settings(url))
    assert found == links.Links(
        patch="https://pw.example.org/patch/131182/",
        series="https://pw.example.org/project/ci/list/?series=29430&state=*",
        mbox="https://pw.example.org/series/29430/mbox/",
        archive="https://inbox.example.org/dev/7@example.org/",
    )


def test_what_is_not_known_has_no_link() -> None:
    request = asked(7, project="", submission=Submission("", 0), message_id="mail-7")
    found = links.of_request(request, settings())
    assert (found.patch, found.series, found.archive) == (None, None, None)


CASES = {
    ("", "a@b", "dev.dpdk.org"): None,
    (ARCHIVE, "a@b", ""): None,
    (ARCHIVE, "", "dev.dpdk.org"): None,
    (ARCHIVE, "a/b?#%@c", "dev.dpdk.org"): "https://inbox.example.org/dev/a%2Fb%3F%23%25@c/",
    (ARCHIVE, "{list}@c", "dev.dpdk.org"): "https://inbox.example.org/dev/%7Blist%7D@c/",
    ("https://a/r/{message_id}", "a@b", ""): "https://a/r/a@b",
    ("https://a/{list_id}/{message_id}", "a@b", "dev.dpdk.org"): "https://a/dev.dpdk.org/a@b",
    ("https://a/{message_id}", "../@b", ""): "https://a/..%2F@b",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_mail_in_the_archive(case: tuple[str, str, str]) -> None:
    template, message_id, list_id = case
    assert links.in_archive(message_id, list_id, settings(archive=template)) == CASES[case]


PAGES = {"": None, "https://ci.example.org": "https://ci.example.org/requests/7"}


@pytest.mark.parametrize("base", PAGES)
def test_a_request_has_a_page_where_people_reach_the_pages(base: str) -> None:
    there = Settings(http=HttpSettings(public_url=base))
    assert links.of_request(asked(7), there).page == PAGES[base]


@pytest.mark.parametrize("url", ["ci.example.org", "ftp://a.b", "https://a.b/?x", "https://a.b/#c"])
def test_what_cannot_be_where_the_pages_are_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[http\] public_url"):
        config.load({("http", "public_url"): url}, environment={"HOME": "/tmp"})


@pytest.mark.parametrize(
    "template",
    ["https://a/{list}", "https://a/{id}/{message_id}", "https://a/{message_id", "a/{message_id}"],
)
def test_a_template_that_cannot_be_one_is_told(template: str) -> None:
    with pytest.raises(
        ConfigError, match=r"\[requests\] archive.* a URL with \{message_id\} in it"
    ):
        config.load({("requests", "archive"): template}, environment={"HOME": "/tmp"})


def test_every_template_that_is_taken_leaves_no_name_in_a_link() -> None:
    whole = asked(7, list_id="dev.example.org")
    archive = "https://a/{list}/{list_id}/{message_id}"
    found = links.of_request(whole, settings(archive=archive))
    assert found.archive == "https://a/dev/dev.example.org/7@example.org"
