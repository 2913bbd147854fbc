# SPDX-License-Identifier: BSD-3-Clause
"""Values to SVG that stands in a page: bars, upright or lying. Pure.

Colours are classes of pages.css, never styles. Each chart names itself for a screen reader; the
page has its numbers beside it as a table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ingest.words import clipped, harmless

# As wide as a phone, so that its text is as large there as the page's.
_WIDTH = 360
_HEIGHT, _TOP, _BOTTOM = 170, 14, 22
_ROW, _BAR = 34, 12
# Characters of a name that fit beside its number.
_LONGEST_NAME = 42


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows. ``key``: its name within the page; ``said``: what is counted;
    ``names``: the heading of what the values are of."""

    key: str
    title: str
    said: str
    names: str
    values: tuple[tuple[str, int], ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not any(value for _, value in self.values)


def upright(chart: Chart, marks: Sequence[str] = ()) -> Markup:
    """Bars side by side, such as days. ``marks``: the names that stand below them; without any,
    all do."""
    most = top_of(max((value for _, value in chart.values), default=0))
    step = _WIDTH / max(len(chart.values), 1)
    return _drawn(chart, _HEIGHT, Markup("").join(_upright(chart, marks, most, step)))


def _upright(chart: Chart, marks: Sequence[str], most: int, step: float) -> Iterator[Markup]:
    base = _HEIGHT - _BOTTOM
    line = Markup('<line class="axis" x1="0" x2="{}" y1="{}" y2="{}"/>')
    for share in (0, 0.5, 1):
        y = round(base - share * (base - _TOP), 1)
        yield line.format(_WIDTH, y, y)
    yield Markup('<text x="0" y="{}">{}</text>').format(_TOP - 4, most)
    for place, (name, value) in enumerate(chart.values):
        height = round(value / most * (base - _TOP), 1)
        gap = min(step * 0.2, 8)
        yield Markup('<rect class="bar-1" x="{}" y="{}" width="{}" height="{}"/>').format(
            round(place * step + gap / 2, 1), round(base - height, 1), round(step - gap, 1), height
        )
        if not marks or name in marks:
            x, anchor = _mark(place, len(chart.values), step)
            yield Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
                x, _HEIGHT - 6, anchor, harmless(name)
            )


def _mark(place: int, number: int, step: float) -> tuple[float, str]:
    """Where the name of a bar stands, and by which of its ends: within the chart."""
    if number > 10 and place < number * 0.1:
        return 0, "start"
    if number > 10 and place > number * 0.9:
        return _WIDTH, "end"
    return round((place + 0.5) * step, 1), "middle"


def lying(chart: Chart) -> Markup:
    """Bars one below the other, each with its name above, such as labels."""
    most = max((value for _, value in chart.values), default=0) or 1
    rows = []
    for place, (name, value) in enumerate(chart.values):
        y = place * _ROW
        rows.append(
            Markup(
                '<text x="0" y="{}">{}</text>'
                '<rect class="bar-1" x="0" y="{}" width="{}" height="{}"/>'
                '<text x="{}" y="{}" text-anchor="end">{}</text>'
            ).format(
                *(y + 12, clipped(harmless(name), _LONGEST_NAME)),
                *(y + 17, round(max(value / most * _WIDTH, 1), 1), _BAR),
                *(_WIDTH, y + 12, value),
            )
        )
    return _drawn(chart, max(len(rows), 1) * _ROW, Markup("").join(rows))


def _drawn(chart: Chart, height: int, inside: Markup) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title">'
        '<title id="{}-title">{}</title>{}</svg>'
    ).format(_WIDTH, height, chart.key, chart.key, harmless(f"{chart.title}: {chart.said}"), inside)


def top_of(value: int) -> int:
    """A round number at or above a value, for the top of an axis: 1, 2, 4, 6, 8 or 10 times a power
    of ten."""
    power = 1
    while power * 10 < value:
        power *= 10
    return next(each * power for each in (1, 2, 4, 6, 8, 10) if each * power >= value)
