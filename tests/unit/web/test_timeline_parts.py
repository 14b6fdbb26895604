"""Intervals laid over each other, and the scale on which seconds and months both have room."""

from datetime import datetime, timedelta

import pytest

from danelaw.web.timeline.intervals import Interval, Sighting, cut, joined, present
from danelaw.web.timeline.scale import Scale, length
from fakes.facts import DAY, HOUR, MINUTE, SECOND, START


def at(hours: float) -> datetime:
    return START + hours * HOUR


def tracks(**said: list[tuple[float, float | None, str]]) -> dict[str, list[Sighting[str]]]:
    return {
        name: [Sighting(at(start), None if end is None else at(end), what) for start, end, what in each]
        for name, each in said.items()
    }


def test_what_all_see_and_what_some_see() -> None:
    seen = tracks(one=[(0, 2, "old"), (2, None, "new")], two=[(0, 5, "old"), (5, None, "new")])
    assert present(seen, lambda what: what == "new") == [
        (Interval(at(2), at(5)), False),
        (Interval(at(5), None), True),
    ]
    assert present(seen, lambda what: what == "old") == [
        (Interval(at(0), at(2)), True),
        (Interval(at(2), at(5)), False),
    ]
    assert present(seen, lambda what: what == "none") == []
    assert present(tracks(), lambda _: True) == []
    assert present(seen, lambda _: True) == [(Interval(at(0), None), True)]


def test_an_observer_that_is_gone_counts_no_more() -> None:
    seen = tracks(one=[(0, 2, "old"), (2, None, "new")], gone=[(0, 3, "old")])
    assert present(seen, lambda what: what == "new") == [(Interval(at(2), at(3)), False), (Interval(at(3), None), True)]
    assert present(seen, lambda what: what == "old")[-1] == (Interval(at(2), at(3)), False)


def test_what_comes_again_is_two_intervals() -> None:
    seen = tracks(one=[(0, 1, "a"), (1, 2, "b"), (2, None, "a")])
    assert [each for each, _ in present(seen, lambda what: what == "a")] == [
        Interval(at(0), at(1)),
        Interval(at(2), None),
    ]


def test_intervals_that_touch_are_one() -> None:
    assert joined([Interval(at(3), None), Interval(at(0), at(1)), Interval(at(1), at(2))]) == [
        Interval(at(0), at(2)),
        Interval(at(3), None),
    ]
    assert joined([Interval(at(0), None), Interval(at(1), at(2))]) == [Interval(at(0), None)]
    assert joined([Interval(at(0), at(5)), Interval(at(1), at(2))]) == [Interval(at(0), at(5))]


def test_an_interval_is_cut_where_something_changes_within_it() -> None:
    assert cut(Interval(at(0), at(2)), [at(1), at(0), at(2), at(9)]) == [
        Interval(at(0), at(1)),
        Interval(at(1), at(2)),
    ]
    assert cut(Interval(at(0), None), [at(1)]) == [Interval(at(0), at(1)), Interval(at(1), None)]
    assert Interval(at(0), at(1)).holds(at(0))
    assert not Interval(at(0), at(1)).holds(at(1))


def test_hours_keep_room_beside_months() -> None:
    scale = Scale([START, START + 2 * HOUR, START + 90 * DAY], 100, 700)
    assert scale.x(START) == pytest.approx(100)
    assert scale.x(START + 90 * DAY) == pytest.approx(800)
    assert scale.x(START + 2 * HOUR) > 220  # to scale it would be at 101
    even = (scale.x(START) + scale.x(START + 2 * HOUR)) / 2
    assert scale.x(START + HOUR) == pytest.approx(even)  # even between two instants


def test_a_scale_never_runs_backwards_and_keeps_what_is_outside_at_its_ends() -> None:
    instants = [START + n * n * MINUTE for n in range(200)]
    scale = Scale(instants, 0, 500)
    places = [scale.x(each) for each in instants]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert scale.x(START - DAY) == 0
    assert scale.x(START + 9999 * DAY) == pytest.approx(500)
    assert [each.left for each in scale.stretches][1:] == [each.right for each in scale.stretches][:-1]


def test_what_is_a_second_apart_happens_at_once() -> None:
    assert len(Scale([START, START + SECOND, START + DAY], 0, 100).knots) == 2
    assert len(Scale([START, START + 2 * SECOND, START + DAY], 0, 100).knots) == 3
    assert Scale([START], 7, 100).x(START) == 7


@pytest.mark.parametrize(
    ("period", "said"),
    [
        (timedelta(0), "0 s"),
        (45 * SECOND, "45 s"),
        (2 * HOUR, "2 h"),
        (2 * HOUR + 30 * MINUTE, "2 h 30 min"),
        (2 * HOUR + 30 * SECOND, "2 h"),
        (DAY + 6 * HOUR, "1 d 6 h"),
        (60 * DAY + 6 * HOUR, "60 d"),
        (22 * HOUR + 10 * MINUTE, "22 h"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_lengths_in_words(period: timedelta, said: str) -> None:
    assert length(period) == said
