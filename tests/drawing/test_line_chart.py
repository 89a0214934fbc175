"""Charts of lines on axes that may be logarithmic: where things stand, and that they can be read."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from zoo.drawing.line_chart import Axis, Line, line_chart
from zoo.drawing.numbers import power_text
from zoo.drawing.shapes import Drawing, Mark, Path, Words, scale_of, text_width
from zoo.drawing.svg import svg

N, TIME = Axis("n", is_log=True), Axis("ms", is_log=True)


def chart(*lines: Line, x: Axis = N, y: Axis = TIME, caption: str = "") -> Drawing:
    return line_chart(lines, title="Times", x=x, y=y, caption=caption)


def paths(drawing: Drawing, style: str) -> list[tuple[tuple[float, float], ...]]:
    return [each.points for each in drawing.shapes if isinstance(each, Path) and each.style == style]


def test_on_logarithmic_axes_equal_ratios_are_equal_ways_and_power_laws_are_straight() -> None:
    drawing = chart(Line("square", tuple((n, 0.03 * n**2) for n in (3, 6, 12, 24, 48))))
    ((a, *rest), *_) = paths(drawing, "line")
    steps = [(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in pairwise([a, *rest])]
    assert steps == [pytest.approx(steps[0])] * 4
    assert steps[0][0] > 0 > steps[0][1]


def test_ticks_stand_where_they_are_asked_for_and_say_so() -> None:
    drawing = chart(Line("a", ((128, 1), (1024, 3))), x=Axis("n", is_log=True, ticks=(128, 256, 1024)))
    texts = [each.text for each in drawing.shapes if isinstance(each, Words)]
    assert [each for each in texts if each in ("128", "256", "1,024")] == ["128", "256", "1,024"]


@pytest.mark.parametrize(("low", "high"), [(3e-31, 5.0), (2e-9, 1.0), (4e-4, 0.3), (1e-3, 2e4), (0.2, 40.0)])
def test_many_decades_have_a_few_round_ticks(low: float, high: float) -> None:
    scale = scale_of([low, high], 300, 0, is_log=True)
    ticks = scale.ticks(5)
    assert 3 <= len(ticks) <= 12
    assert all(scale.low <= each <= scale.high for each in ticks)
    ratios = [b / a for a, b in pairwise(ticks)]
    if high / low > 1e4:
        assert ratios == [pytest.approx(ratios[0])] * len(ratios)
        assert round(ratios[0]) in (10, 100, 1000, 10**4, 10**5)
    places = [scale(each) for each in ticks]
    assert all(a - b >= 12 for a, b in pairwise(places))
    assert len(set(scale.texts(ticks))) == len(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-6, "10⁻⁶"),
        (2e-4, "2·10⁻⁴"),
        (1.0, "1"),
        (10.0, "10"),
        (1e-31, "10⁻³¹"),
        (3.0, "3"),
        (5e12, "5·10¹²"),
    ],
)
def test_powers_of_ten_are_written_as_such(value: float, text: str) -> None:
    assert power_text(value) == text


def test_a_line_ends_where_a_value_has_no_place_and_goes_on_behind_it() -> None:
    points = ((1, 1.0), (2, 0.5), (3, 0.0), (4, 0.0), (5, 0.2), (6, 0.1))
    drawing = chart(Line("a", points, marks=points), x=Axis("k"))
    assert [len(each) for each in paths(drawing, "line")[:2]] == [2, 2]
    marks = [each for each in drawing.shapes if isinstance(each, Mark)]
    assert len(marks) == 4 + 1  # and the legend's
    assert len(paths(chart(Line("a", points), x=Axis("k"), y=Axis("v")), "line")[0]) == 6


def test_a_stroke_from_nothing_has_no_place_either() -> None:
    drawing = chart(Line("a", ((1, 1.0), (2, 2.0)), bars=((1, 0.0, 1.5), (2, 1.5, 2.5))))
    assert [len(each) for each in paths(drawing, "bar")] == [2]


def test_a_chart_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="Times: nothing to draw: no value is above 0"):
        chart(Line("a", ((1, 0.0), (2, 0.0))))


def whole() -> Drawing:
    names = ("short", "a rather long name of a variant: n^1.00 measured, n^1.25 by formula", "x" * 200)
    lines = [
        Line(
            name,
            tuple((n, 1e-9 * (i + 1) * n**2) for n in (64, 4096)),
            marks=tuple((n, 1e-9 * (i + 1) * n**2) for n in (64, 512, 4096)),
            bars=((512, 1e-9 * (i + 1) * 500**2, 1e-9 * (i + 1) * 600**2),),
            beside=tuple((n, 1e-5 * n) for n in (64, 512, 4096)),
        )
        for i, name in enumerate(names)
    ]
    return chart(*lines, caption="What has to be known. " * 17)


def test_all_of_it_lies_on_the_sheet() -> None:
    drawing = whole()
    assert len(paths(drawing, "thin")) == len(paths(drawing, "bar")) == 3
    for shape in drawing.shapes:
        for x, y in shape.points if isinstance(shape, Path) else (shape.at,):
            assert 0 <= x <= drawing.width
            assert 0 <= y <= drawing.height, shape
    for words in drawing.shapes:
        if isinstance(words, Words) and words.anchor == "start":
            assert words.at[0] + text_width(words.text, 11) <= drawing.width + 0.01


def test_lines_of_words_are_apart() -> None:
    words = [each for each in whole().shapes if isinstance(each, Words) and each.anchor == "start"]
    rows = sorted({each.at[1] for each in words})
    assert all(b - a >= 13 for a, b in pairwise(rows))


def test_a_caption_is_told_in_full() -> None:
    text = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg(whole(), is_file=True)))
    assert " ".join(text.split()).count("What has to be known.") == 17


def test_a_thin_line_is_drawn_thinner_than_the_line_it_stands_beside() -> None:
    drawn = svg(whole(), is_file=True)
    (thin,) = set(re.findall(r'<path class="thin"[^>]*stroke-width="([\d.]+)"', drawn))
    (thick,) = set(re.findall(r'<path class="line"[^>]*stroke-width="([\d.]+)"', drawn))
    assert float(thin) < float(thick)
