"""Charts: where things stand, and that they can be read."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path as File

import pytest

from tests.ablation.report.conftest import HOSTILE, SCORES, results_of
from zoo.ablation.plan import Plan
from zoo.ablation.report.cost_chart import _side_by_side, trade_off
from zoo.ablation.report.curve_chart import learning_curves
from zoo.ablation.report.curves import N_POINTS, curves
from zoo.ablation.report.difference_chart import differences, pair_differences
from zoo.ablation.report.gathering import Report, gather
from zoo.ablation.results import Point, Results
from zoo.ablation.statistics import pareto
from zoo.drawing.numbers import decimals_for, fixed, interval, p_text, short, with_spread
from zoo.drawing.shapes import (
    Drawing,
    Mark,
    Path,
    Scale,
    Words,
    cut,
    dash,
    scale_of,
    symbol,
    text_width,
)
from zoo.drawing.themes import LIGHT

WIDTHS = (350.0, 620.0, 980.0)


def all_charts(report: Report, width: float) -> list[Drawing]:
    found = [differences(report, width=width)]
    for against in ("step", "tokens", "seconds"):
        found.append(learning_curves(curves(report, "loss"), title="Loss", against=against, width=width))
    found += [trade_off(report, cost, width=width) for cost in report.costs]
    assert None not in found
    return [each for each in found if each is not None]


def test_no_two_of_28_variants_look_alike_and_neighbours_differ_in_all() -> None:
    looks = [(LIGHT.colour(i), dash(i), symbol(i)) for i in range(1, 29)]
    assert len({(each[0], each[1]) for each in looks}) == 28
    assert len({(each[0], each[2]) for each in looks}) == 28
    for a, b in pairwise([(LIGHT.colour(0), dash(0), symbol(0)), *looks]):
        assert all(x != y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_drawn_outside(report: Report, width: float) -> None:
    for drawing in all_charts(report, width):
        for shape in drawing.shapes:
            points = shape.points if isinstance(shape, Path) else (shape.at,)
            for x, y in points:
                assert -0.01 <= x <= drawing.width + 0.01, (drawing.title, shape)
                is_cut = isinstance(shape, Path) and shape.is_clipped
                assert is_cut or -0.01 <= y <= drawing.height + 0.01, (drawing.title, shape)


@pytest.mark.parametrize("width", WIDTHS)
def test_words_of_one_line_do_not_overlap(report: Report, width: float) -> None:
    for drawing in all_charts(report, width):
        boxes = []
        for words in drawing.shapes:
            if isinstance(words, Words) and not words.is_upright:
                size = text_width(
                    words.text, 11 if words.style == "tick" else 12, is_bold=words.style == "name"
                )
                start = words.at[0] - size * {"start": 0, "middle": 0.5, "end": 1}[words.anchor]
                boxes.append((words.at[1], start, start + size, words.text))
        for (y1, a1, b1, t1), (y2, a2, b2, t2) in ((p, q) for i, p in enumerate(boxes) for q in boxes[:i]):
            assert abs(y1 - y2) >= 9 or b1 <= a2 + 1 or b2 <= a1 + 1, (drawing.title, t1, t2)


def test_differences_show_every_pair_and_the_mean(report: Report) -> None:
    assert pair_differences(report, report.rows[1]) == pytest.approx({1: 3.1, 2: 3.0, 3: 3.2})
    assert pair_differences(report, report.rows[3]) == {1: -2.0}
    drawing = differences(report, width=600.0)
    assert drawing is not None
    marks = [each for each in drawing.shapes if isinstance(each, Mark)]
    zero = next(each for each in drawing.shapes if isinstance(each, Path) and each.style == "zero").points[0][
        0
    ]
    for variant in (1, 2, 3):
        (mean,) = (each for each in marks if each.variant == variant and each.style == "mark")
        seeds = [each.at[0] for each in marks if each.variant == variant and each.style == "hollow"]
        assert len(seeds) == (1 if variant == 3 else 3)
        assert mean.at[0] == pytest.approx(sum(seeds) / len(seeds))
        assert (mean.at[0] > zero) == (variant == 1)


def test_an_endless_interval_does_not_squash_what_was_seen(plan: Plan, tmp_path: File) -> None:
    scores = {**SCORES, "rotary": (30.1, 31.1001, None), HOSTILE: (20.0, 29.0, None)}
    drawing = differences(gather(plan, results_of(plan, scores), tmp_path), width=600.0)
    assert drawing is not None
    xs = [each.at[0] for each in drawing.shapes if isinstance(each, Mark) and each.style == "hollow"]
    assert max(xs) - min(xs) > 80


def test_a_curve_is_the_mean_over_seeds_in_a_band_from_lowest_to_highest(report: Report) -> None:
    points = curves(report, "loss")[1].points
    assert [each.step for each in points] == [100, 200, 300]
    assert points[1].mean == pytest.approx(3.2)
    assert (points[1].low, points[1].high, points[1].n) == (pytest.approx(3.1), pytest.approx(3.3), 3)
    assert points[1].n_tokens == 60_002
    assert points[1].seconds == 22.0


def test_values_that_are_not_finite_are_left_out_of_curves(
    plan: Plan, results: Results, tmp_path: File
) -> None:
    first, *rest = results.trials
    broken = replace(first, curve=(Point(100, 1, 1.0, math.nan, None), Point(200, 1, 2.0, math.inf, 3.0)))
    report = gather(plan, replace(results, trials=(broken, *rest)), tmp_path)
    assert [each.n for each in curves(report, "loss")[0].points] == [2, 2, 2]
    assert [each.n for each in curves(report, "score")[0].points] == [2, 3, 2]


def test_long_curves_are_thinned_to_the_same_steps_of_all_seeds(
    plan: Plan, results: Results, tmp_path: File
) -> None:
    long = tuple(Point(step, step, step, 1.0, None) for step in range(1, 1001))
    trials = tuple(replace(each, curve=long) for each in results.trials)
    curve = curves(gather(plan, replace(results, trials=trials), tmp_path), "loss")[0]
    assert N_POINTS / 2 < len(curve.points) <= N_POINTS
    assert curve.points[-1].step == 1000
    assert {each.n for each in curve.points} == {3}


def test_a_training_that_runs_away_leaves_the_others_their_room(
    plan: Plan, results: Results, tmp_path: File
) -> None:
    wild = tuple(Point(step, step, step, 1e6, None) for step in (100, 200, 300))
    trials = tuple(replace(each, curve=wild) if each.variant == "lost" else each for each in results.trials)
    known = curves(gather(plan, replace(results, trials=trials), tmp_path), "loss")
    drawing = learning_curves(known, title="Loss", against="step", width=600.0)
    assert drawing is not None
    ys = [each.at[1] for each in drawing.shapes if isinstance(each, Mark) and each.variant == 0]
    assert max(ys) - min(ys) > 80


def test_the_front_is_that_of_the_statistics(report: Report) -> None:
    cost = next(each for each in report.costs if each.name == "parameters")
    sizes = [float(row.cost.n_parameters) for row in report.rows]
    means = [row.summary.mean or 0.0 for row in report.rows]
    assert list(cost.is_on_front) == pareto(sizes, means, is_higher_better=True)
    assert any(cost.is_on_front)
    assert not all(cost.is_on_front)
    drawing = trade_off(report, cost, width=600.0)
    assert drawing is not None
    told = [each.told.endswith("on the front") for each in drawing.shapes if isinstance(each, Mark)]
    assert told == list(cost.is_on_front)


def test_variants_of_one_cost_stand_side_by_side(report: Report) -> None:
    cost = next(each for each in report.costs if each.name == "cache")
    assert cost.values[0] == cost.values[1]
    drawing = trade_off(report, cost, width=600.0)
    assert drawing is not None
    xs = sorted(each.at[0] for each in drawing.shapes if isinstance(each, Mark))
    assert all(b - a > 8 for a, b in pairwise(xs))


def test_the_front_goes_through_the_points_that_are_on_it(report: Report) -> None:
    assert any(sum(cost.is_on_front) > 1 for cost in report.costs)
    for cost in report.costs:
        drawing = trade_off(report, cost, width=600.0)
        assert drawing is not None
        marks = [each for each in drawing.shapes if isinstance(each, Mark)]
        on_it = sorted(each.at for each in marks if each.told.endswith("on the front"))
        lines = [each for each in drawing.shapes if isinstance(each, Path) and each.style == "front"]
        assert len(lines) == (len(on_it) > 1)
        for line in lines:
            assert list(line.points[::2]) == on_it
            assert [(x1, y0) for (_, y0), (x1, _) in pairwise(on_it)] == list(line.points[1::2])


def test_so_many_variants_of_one_cost_stay_near_it() -> None:
    found = _side_by_side([100.0] * 12 + [160.0])
    assert max(found[:12]) - min(found[:12]) == pytest.approx(36.0)
    assert sum(found[:12]) / 12 == pytest.approx(100.0)
    assert found[12] == 160.0


@pytest.mark.parametrize(
    ("values", "is_log"),
    [([57_980, 58_110], False), ([0.1, 0.9], False), ([-0.31, 0.335], False), ([3, 3], False), ([1e3, 2e9], True),
     ([0, 240], False), ([1e6, 1.0001e6], False), ([0, 1e-4], False), ([20, 900], True)],
)  # fmt: skip
def test_ticks_are_in_range_apart_and_say_what_they_are(values: list[float], is_log: bool) -> None:
    scale = scale_of(values, 0.0, 500.0, is_log=is_log)
    ticks = scale.ticks(6)
    texts = scale.texts(ticks)
    assert 2 <= len(ticks) <= 14
    assert len(set(texts)) == len(texts)
    factors = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
    for value, text in zip(ticks, texts, strict=True):
        assert -0.01 <= scale(value) <= 500.01
        number, _, letter = text.replace("−", "-").partition(" ")
        assert float(number) * factors[letter] == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_ticks_stand_where_they_are_marked() -> None:
    scale = replace(scale_of([16.0, 128.0], 0.0, 500.0, is_log=True), marked=(16.0, 64.0, 128.0))
    assert scale.ticks(2) == [16.0, 64.0, 128.0]
    assert scale.texts(scale.ticks(2)) == ["16", "64", "128"]


def test_a_scale_goes_from_start_to_end() -> None:
    assert Scale(2.0, 6.0, 100.0, 20.0)(3.0) == 80.0
    assert Scale(1.0, 100.0, 0.0, 50.0, is_log=True)(10.0) == pytest.approx(25.0)


def test_long_names_are_cut_to_their_room() -> None:
    name = "a variant with a name as long as a sentence"
    assert cut(name, 1000) == name
    shorter = cut(name, 100)
    assert shorter.endswith("…")
    assert text_width(shorter) <= 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fixed(-0.004, 2), "0.00"), (fixed(-1234.567, 1), "−1,234.6"), (fixed(2.0, 0, is_signed=True), "+2"),
        (fixed(None, 2), "–"), (fixed(math.nan, 2), "–"), (with_spread(2.5, None, 1), "2.5"),
        (with_spread(2.5, 0.25, 2), "2.50 ± 0.25"), (with_spread(None, None, 1), "–"), (interval(None, 1.0, 1), "–"),
        (interval(-1.0, 1.0, 1), "−1.0 to +1.0"), (p_text(0.0004), "< 0.001"), (p_text(0.0123), "0.012"),
        (p_text(0.5), "0.50"), (p_text(None), "–"), (short(197_888), "198 k"),
        (short(1_764_864, n_digits=4), "1.765 M"),
        (short(0), "0"), (short(131_072, "B"), "131 kB"), (short(999.0), "999"), (short(None), "–"),
        (short(1.5), "1.5"), (short(-2500.0), "−2.5 k"),
    ],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_mean_something(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("spreads", "values", "expected"),
    [([0.34, 1.2], [30.0], 2), ([0.0083, 0.00001, 0.008], [3.5], 4),
     ([12.0], [300.0], 0), ([None, 0.0], [3.14159], 3), ([None], [None], 2),
     ([0.00012], [1.0], 5), ([None], [35_000.0], 0)],
)  # fmt: skip
def test_decimals_follow_the_middle_spread(
    spreads: list[float | None], values: list[float | None], expected: int
) -> None:
    assert decimals_for(spreads, values) == expected
