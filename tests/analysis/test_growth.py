"""Figures of growth with the length: what they show is what was measured, and what the formulas say."""

from __future__ import annotations

import pytest

import zoo
from zoo.analysis import growth
from zoo.analysis.bench import Measured, Spread
from zoo.analysis.growth import operations_chart, time_chart
from zoo.analysis.table_1 import table_1_models

LENGTHS = (64, 512, 4096)
ROWS = 3


@pytest.fixture
def drawn(monkeypatch):
    """What charts are given to draw."""
    seen = []
    real = growth.line_chart

    def noted(lines, **rest):
        seen.append((lines, rest))
        return real(lines, **rest)

    monkeypatch.setattr(growth, "line_chart", noted)
    return seen


def measured(title, length, seconds):
    speeds = Spread(*(ROWS * length / each for each in (seconds, 2 * seconds, 0.5 * seconds)))
    return Measured(title, ROWS, length, speeds, 0, None, None)


def test_formulas_are_drawn_through_the_operations_at_each_length(drawn):
    models = table_1_models()
    operations_chart(models, LENGTHS)
    ((lines, _),) = drawn
    for line, (title, model) in zip(lines, models.items(), strict=True):
        assert line.marks == tuple((n, zoo.cost(model, length=n).forward) for n in LENGTHS)
        assert set(line.marks) <= set(line.points)
        assert len(line.points) == growth.N_STEPS + 1
        assert line.name.startswith(f"{title}: n^")
    assert [line.name.rpartition("^")[2] for line in lines] == ["1.37", "1.00", "1.00", "1.00"]


def test_times_are_drawn_with_their_power_law_and_the_operations_scaled_to_the_longest(drawn):
    models = {title: table_1_models()[title] for title in ("Self-Attention", "Recurrent")}
    found = [measured("Recurrent", n, 1e-7 * n**1.5) for n in LENGTHS]
    found += [measured("Self-Attention", n, 2e-9 * n**2) for n in reversed(LENGTHS)]
    time_chart(models, found, what="a step", how="by hand", n_turns=5)
    ((lines, rest),) = drawn
    assert lines[0].name == "Self-Attention: n^2.00 measured, n^1.37 by formula"
    assert lines[1].name == "Recurrent: n^1.50 measured, n^1.00 by formula"
    assert lines[1].marks == tuple((n, pytest.approx(1e-4 * n**1.5)) for n in LENGTHS)  # ms
    assert lines[1].points == tuple((n, pytest.approx(1e-4 * n**1.5)) for n in (64, 4096))
    assert lines[1].bars[0] == pytest.approx((64, 0.5e-4 * 64**1.5, 2e-4 * 64**1.5))
    for line, model in zip(lines, models.values(), strict=True):
        assert line.beside[-1] == pytest.approx(line.marks[-1])
        n, at_512 = min(line.beside, key=lambda each: abs(each[0] - 512))
        share = zoo.cost(model, length=n).training / zoo.cost(model, length=4096).training
        assert at_512 == pytest.approx(line.marks[-1][1] * share)
    assert "scaled to the time measured at n = 4,096" in rest["caption"]
    assert "by hand" in rest["caption"]
    assert "the power laws that fit them best. Thin" in rest["caption"]


def test_of_a_single_length_no_growth_is_told(drawn):
    (spec,) = (zoo.load("vit_base", scale="tiny").model,)
    found = [measured("vit", 5, 0.1), measured("vit", 5, 0.2)]
    time_chart({"vit": spec}, found, what="a step", how="so", n_turns=1)
    ((lines, _),) = drawn
    assert (lines[0].name, lines[0].points) == ("vit", ())


def test_a_power_law_of_two_lengths_or_one_turn_says_so(drawn):
    models = {"Recurrent": table_1_models()["Recurrent"]}
    found = [measured("Recurrent", n, 1e-7 * n) for n in (64, 512)]
    time_chart(models, found, what="a step", how="by hand", n_turns=1)
    operations_chart(models, (64, 512))
    assert (
        "(of two lengths only, which a power law always fits; of one turn, so nobody knows"
        in drawn[0][1]["caption"]
    )
    assert "the power law through the two lengths" in drawn[1][1]["caption"]
