# SPDX-License-Identifier: BSD-3-Clause
"""What a template prints is text and nothing else, and links lead to the web."""

import re
from datetime import UTC, datetime

import pytest
from jinja2 import UndefinedError

from ingest.web import rendering
from tests.support.places import ROOT

TEMPLATES = sorted((ROOT / "ingest/web/templates").glob("*.html"))
HOSTILE = '<script>alert(1)</script>" onload="x\x1b[31m‮gpj.exe'


def shown(source: str, **values: object) -> str:
    return rendering._environment().from_string(source).render(values)


def test_any_text_is_escaped_and_harmless() -> None:
    assert shown("{{ text }}", text=HOSTILE) == (
        "&lt;script&gt;alert(1)&lt;/script&gt;&#34; onload=&#34;x\\x1b[31m\\u202egpj.exe"
    )


def test_text_that_a_filter_joins_is_too() -> None:
    assert shown('{{ texts | join(", ") }}', texts=["<b>", "\0"]) == "&lt;b&gt;, \\x00"


@pytest.mark.parametrize("value", [None, 1.5, ["a"], {"a": 1}, datetime(2026, 1, 1, tzinfo=UTC)])
def test_what_is_no_text_is_a_fault_of_the_template(value: object) -> None:
    with pytest.raises(TypeError):
        shown("{{ value }}", value=value)


def test_so_is_what_is_not_there() -> None:
    with pytest.raises(UndefinedError):
        shown("{{ value.name }}", value={})


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//example.net/x",
        "/requests/1",
        "https:///x",
        "http://[",
        "ftp://example.net/",
        "",
        None,
    ],
)
def test_what_does_not_lead_to_the_web_is_no_link(url: str | None) -> None:
    assert rendering.outside(url, "<x>") == "&lt;x&gt;"


def test_a_link_to_elsewhere_tells_nothing_of_us() -> None:
    made = rendering.outside('https://example.net/?a="&b=<c>', "a\x1b")
    assert made == (
        '<a rel="noopener noreferrer nofollow" '
        'href="https://example.net/?a=&#34;&amp;b=&lt;c&gt;">a\\x1b</a>'
    )


@pytest.mark.parametrize(
    ("segments", "path"),
    [
        (("",), "/"),
        (("mails", "a/../b@example.org"), "/mails/a%2F..%2Fb@example.org"),
        (("labels", 'x"?#\ud800'), "/labels/x%22%3F%23%5Cud800"),
        (("series", 7), "/series/7"),
    ],
)
def test_a_path_of_ours_holds_any_name(segments: tuple[object, ...], path: str) -> None:
    assert rendering.here(*segments) == path


def test_a_time_is_utc_and_readable_for_programs() -> None:
    made = rendering._time(datetime(2026, 11, 26, 18, 5, 59, tzinfo=UTC))
    assert made == '<time datetime="2026-11-26T18:05:59Z">2026-11-26 18:05</time>'


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_makes_markup_or_style_or_script_of_its_own(path: str) -> None:
    text = (ROOT / path).read_text()
    assert not re.search(r"\|\s*safe|<script|<style|\bstyle=|\bon\w+=|autoescape", text)
    # Every value in a URL is made by here(), query_of() or is a number; other sites' go through
    # outside().
    ours = r"{{ (here\([^}]*\)|named_file\([^}]*\)|path|query|found\.number [-+] 1) }}"
    for found in re.findall(r'(?:href|action|src)="([^"]*{{[^"]*)"', text):
        rest = re.sub(ours, "", found)
        assert "{{" not in rest, found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_each_attribute_that_holds_a_value_is_quoted(path: str) -> None:
    text = re.sub(r"{%.*?%}|{{.*?}}", "{{}}", (ROOT / path).read_text())
    assert not re.search(r"<[^>]*\s[\w-]+={{", text)
