# SPDX-License-Identifier: BSD-3-Clause
"""Requests and results in figures, from runs that are written down here."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.ledger import Run, State
from ingest.story import stats
from ingest.story.stats import Share, Stats, Times
from ingest.words import utc
from tests.support.ledger_values import NOON

HOUR, DAY = 3600.0, 86400.0
NONE = Times(0, None, None)


def run(request: int, label: str = "iol-a", state: str = "success", **other: Any) -> Run:
    """A run of a request that was recorded at noon and told of an hour later."""
    values: dict[str, Any] = {
        "server": "",
        "series": 100 + request,
        "revision": 0,
        "requester": "Robin Reviewer",
        "earlier": "",
        "recorded": NOON,
        "handed": 0.0,
    }
    values |= {"at": other.get("recorded", NOON) + HOUR, **other}
    return Run(request=request, label=label, state=State(state), **values)


def of(*runs: Run, now: float = NOON + DAY) -> Stats:
    return stats.of(runs, 0.0, now, 14 * DAY)


def test_nothing_has_figures_too() -> None:
    made = of()
    assert made.total == stats.Figures(0, 0, {}, Share(0, 0, None), Share(0, 0, None), NONE, NONE)
    assert (made.weeks, made.labels, made.waiting, made.waited) == ((), (), (), ())


def test_requests_and_results_are_counted_by_label_and_by_week() -> None:
    made = of(
        run(1, "iol-a", "fail"),
        run(1, "iol-b", "asked"),
        run(2, "iol-a", "success", recorded=NOON + 7 * DAY),
        run(3, "", "asked", recorded=NOON + 7 * DAY),
    )
    assert (made.total.requests, made.total.labels) == (3, 4)
    assert made.total.states == {"asked": 2, "success": 1, "fail": 1}
    assert made.total.ended == Share(2, 4, 0.5)
    assert [(each.week, each.figures.requests) for each in made.weeks] == [
        ("2023-W46", 1),
        ("2023-W47", 2),
    ]
    assert [(each.label, each.figures.labels) for each in made.labels] == [
        ("iol-a", 2),
        (None, 1),
        ("iol-b", 1),
    ]
    assert [(each.week, each.figures.states) for each in made.labels[0].weeks] == [
        ("2023-W46", {"fail": 1}),
        ("2023-W47", {"success": 1}),
    ]


TURNED: dict[str, tuple[list[Run], Share]] = {
    "it had failed and succeeds": ([run(1, earlier="fail")], Share(1, 1, 1.0)),
    "and fails again": ([run(1, state="fail", earlier="fail")], Share(0, 1, 0.0)),
    "and is still to come": ([run(1, state="pending", earlier="fail")], Share(0, 0, None)),
    "it had succeeded": ([run(1, earlier="success")], Share(0, 0, None)),
    "nobody knows": ([run(1)], Share(0, 0, None)),
    "the request before failed": (
        [run(1, series=7, state="fail"), run(2, series=7)],
        Share(1, 1, 1.0),
    ),
    "that of another series": ([run(1, series=7, state="fail"), run(2)], Share(0, 0, None)),
    "that of another server": (
        [run(1, series=7, state="fail", server="fdo"), run(2, series=7)],
        Share(0, 0, None),
    ),
    "that of another revision": (
        [run(1, series=7, state="fail", revision=1), run(2, series=7, revision=2)],
        Share(0, 0, None),
    ),
    "that of another label": (
        [run(1, series=7, state="fail", label="iol-b"), run(2, series=7)],
        Share(0, 0, None),
    ),
    "its checks know better than the request before": (
        [run(1, series=7, state="fail"), run(2, series=7, earlier="success")],
        Share(0, 0, None),
    ),
    "three in a row": (
        [run(1, series=7, state="fail"), run(2, series=7, state="fail"), run(3, series=7)],
        Share(1, 2, 0.5),
    ),
}


@pytest.mark.parametrize(("runs", "turned"), TURNED.values(), ids=TURNED)
def test_what_turned_from_fail_to_success_without_a_new_version(
    runs: list[Run], turned: Share
) -> None:
    assert of(*runs).total.turned == turned


def test_how_long_it_took_until_it_was_handed_over_and_had_its_result() -> None:
    made = of(*(run(n, handed=NOON + n, at=NOON + 100 * n) for n in range(1, 11)))
    assert made.total.handed_over == Times(10, 5.0, 9.0)
    assert made.total.result == Times(10, 500.0, 900.0)
    assert of(run(1, at=NOON - 5)).total.result == Times(1, 0.0, 0.0)


def test_who_waits_and_who_waited_longest() -> None:
    made = of(
        run(1, state="asked", recorded=NOON - 20 * DAY),  # nobody waits for that any more
        run(2, "iol-a", "handed over", recorded=NOON - DAY),
        run(2, "iol-b", "overdue", recorded=NOON - DAY),
        run(2, "iol-c", "success", recorded=NOON - DAY),
        run(3, "", "asked", recorded=NOON - 2 * DAY),
        run(4, at=NOON + 2 * HOUR, requester="Kim"),
    )
    assert made.waiting == (
        stats.Waiting(3, 103, "Robin Reviewer", (), utc(NOON - 2 * DAY)),
        stats.Waiting(2, 102, "Robin Reviewer", ("iol-a", "iol-b"), utc(NOON - DAY)),
    )
    assert made.waited == (
        stats.Waited("Kim", Times(1, 2 * HOUR, 2 * HOUR)),
        stats.Waited("Robin Reviewer", Times(1, HOUR, HOUR)),
    )


def test_of_very_many_labels_the_most_frequent_stay() -> None:
    made = of(*(run(n, f"iol-{n:03}") for n in range(120)), run(200, "iol-119"))
    assert (len(made.labels), made.more) == (100, 20)
    assert made.labels[0].label == "iol-119"


RUNS = st.builds(
    run,
    st.integers(1, 9),
    st.sampled_from(["", "iol-a", "iol-b"]),
    st.sampled_from([each.value for each in State]),
    earlier=st.sampled_from(["", "fail", "success"]),
    recorded=st.floats(NOON, NOON + 60 * DAY),
    handed=st.sampled_from([0.0, NOON + 9]),
)


@pytest.mark.slow
@given(st.lists(RUNS, unique_by=lambda each: (each.request, each.label)))
def test_every_part_adds_up_to_the_whole(runs: list[Run]) -> None:
    made = of(*runs)
    for parts in (made.weeks, made.labels):
        for figure in ("labels", "ended", "turned", "handed_over", "result"):
            whole = getattr(made.total, figure)
            counts = [getattr(each.figures, figure) for each in parts]
            if figure == "labels":
                assert sum(counts) == whole
            else:
                assert sum(each.count for each in counts) == whole.count
    for share in (made.total.ended, made.total.turned):
        assert share.count <= share.of
        assert share.share == (share.count / share.of if share.of else None)
