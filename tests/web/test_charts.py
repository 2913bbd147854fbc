# SPDX-License-Identifier: BSD-3-Clause
"""Values to SVG: within its bounds, without a style, and with a name."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.ledger import Envelope, Queued, Run, State, Wait
from ingest.web import charts, figures
from ingest.web.charts import Chart
from tests.support.ledger_values import NOON, request

SVG = "{http://www.w3.org/2000/svg}"


def chart(*values: tuple[str, int]) -> Chart:
    return Chart("key", "Title", "what is counted", "Name", values)


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (1, 1), (2, 2), (3, 4), (5, 6), (7, 8), (9, 10), (10, 10), (11, 20), (4321, 6000)],
)
def test_the_top_of_an_axis_is_round(value: int, top: int) -> None:
    assert charts.top_of(value) == top


@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.integers(0, 10**9)), max_size=40)
)
def test_any_chart_is_xml_within_its_bounds_and_without_style(
    values: list[tuple[str, int]],
) -> None:
    for draw in (charts.upright, charts.lying):
        root = drawn(str(draw(chart(*values))))
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for each in root.iter(f"{SVG}rect"):
            x, y, w, h = (float(each.attrib[name]) for name in ("x", "y", "width", "height"))
            assert w >= 0 and h >= 0
            assert x >= -0.1 and x + w <= width + 0.2
            assert y >= -0.1 and y + h <= height + 0.2
        assert not [each for each in root.iter() if "style" in each.attrib]


def test_a_chart_names_itself() -> None:
    root = drawn(str(charts.upright(chart(("a", 1)))))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "key-title"
    title = root.find(f"{SVG}title")
    assert title is not None
    assert (title.attrib["id"], title.text) == ("key-title", "Title: what is counted")


def test_bars_are_as_long_as_their_values() -> None:
    svg = str(charts.lying(chart(("a", 10), ("b", 5))))
    assert re.findall(r'rect class="bar-1" x="0" y="\d+" width="([\d.]+)"', svg) == [
        "360.0",
        "180.0",
    ]


def test_a_hostile_name_is_text() -> None:
    svg = str(charts.lying(chart(("<script>\x1b‮", 1))))
    assert "&lt;script&gt;\\x1b\\u202e" in svg
    assert "<script" not in svg


MAIL = Queued(1, b"", "", "a@example.org", "test", Envelope(), NOON, Wait())
DAY = 86400.0


def run(number: int, recorded: float, label: str = "iol-a", **other: object) -> Run:
    values: dict[str, Any] = {
        "request": number, "server": "", "series": 1, "revision": 1, "requester": "Robin",
        "label": label, "state": State.ASKED, "earlier": "", "recorded": recorded, "handed": 0.0,
        "at": recorded,
    }  # fmt: skip
    return Run(**{**values, **other})


def test_what_the_charts_count() -> None:
    runs = [
        run(2, NOON - 2 * DAY, state=State.FAIL, at=NOON - 2 * DAY + 60),
        run(2, NOON - 2 * DAY, "iol-b", state=State.PENDING, at=NOON),
        run(3, NOON, "iol-b"),
        run(4, NOON, state=State.SUCCESS, at=NOON + 8 * DAY),
        run(4, NOON, "iol-b"),
        run(5, NOON, ""),
    ]
    asked = [
        request(MAIL, number=2, recorded=NOON - 2 * DAY, received=NOON - 2 * DAY - 5),
        request(MAIL, number=3, recorded=NOON, received=0.0),
        request(MAIL, number=4, recorded=NOON, received=NOON - 7200),
    ]
    days, record, result, labels = figures.charts(runs, asked, NOON)
    assert len(days.values) == 30
    assert [each for each in days.values if each[1]] == [("2023-11-12", 1), ("2023-11-14", 3)]
    assert [name for name, number in record.values if number] == ["10 s", "more"]
    assert [name for name, number in result.values if number] == ["10 min", "more"]
    assert labels.values == (("iol-b", 3), ("iol-a", 2))


def test_charts_of_nothing_are_empty() -> None:
    assert all(each.is_empty for each in figures.charts([], [], NOON))
