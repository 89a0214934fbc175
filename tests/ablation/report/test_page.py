"""The page says what the statistics say, whatever variants are called, and needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ablation.report.conftest import HOSTILE, SCORES, results_of
from tests.pages import Element, read
from zoo.ablation.corpus_tests import CorpusTest
from zoo.ablation.plan import Plan
from zoo.ablation.report.environment import Environments
from zoo.ablation.report.gathering import Report, gather
from zoo.ablation.report.page import page
from zoo.ablation.report.texts import Example, SeedTest, Texts
from zoo.ablation.results import Results
from zoo.ablation.statistics import compare, holm, summary

VISIBLE = HOSTILE.replace("\u202e", "\N{REPLACEMENT CHARACTER}")


def variants_table(text: str) -> dict[str, dict[str, Element]]:
    """The cells of the table of variants, by variant and head."""
    section = next(each for each in read(text).all("section") if each.attributes["id"] == "variants")
    head, *rows = section.all("table")[0].all("tr")
    titles = [each.text for each in head.all("th")]
    return {row.all("th")[0].text: dict(zip(titles[1:], row.all("td"), strict=True)) for row in rows}


def key(cell: Element) -> float:
    return float(cell.attributes["data-s"] or "nan")


def test_numbers_are_those_of_the_comparison(report: Report) -> None:
    table = variants_table(page(report))
    assert list(table) == ["base", "rotary", VISIBLE, "lost"]
    compared = {
        name: compare(SCORES[name], SCORES["base"], is_higher_better=True) for name in ("rotary", HOSTILE)
    }
    adjusted = holm([each.p_value for each in compared.values()])
    for (name, found), p in zip(compared.items(), adjusted, strict=True):
        cells = table[VISIBLE if name == HOSTILE else name]
        scores = summary(SCORES[name])
        assert key(cells["BLEU"]) == scores.mean
        assert key(cells["Difference"]) == found.difference
        assert key(cells["95 % interval"]) == found.low
        assert key(cells["Effect size"]) == found.effect_size
        assert key(cells["p (Holm)"]) == p
    assert table["rotary"]["BLEU"].text == "34.3 ± 1.3"
    assert table["rotary"]["Difference"].text == "+3.10"
    assert table["rotary"]["95 % interval"].text == "+2.85 to +3.35"
    assert table["rotary"]["p (Holm)"].text == "< 0.001"
    assert table["rotary"]["Verdict"].text == "better"


def test_one_seed_has_no_spread_and_what_is_missing_is_shown_so(report: Report) -> None:
    cells = variants_table(page(report))["lost"]
    assert cells["BLEU"].text == "28.0"
    assert cells["Seeds"].text == "1 of 3"
    assert cells["95 % interval"].text == cells["p (Holm)"].text == "–"
    assert cells["p (Holm)"].attributes["data-s"] == ""


def test_trainings_without_a_score_are_named_with_their_reason(report: Report) -> None:
    text = next(
        each for each in read(page(report)).all("section") if each.attributes["id"] == "trainings"
    ).text
    assert f"lost, seed 2: diverged: no longer finite: {VISIBLE}" in text
    assert f"lost, seed 3: diverged: no longer finite: {VISIBLE}" in text


def test_what_can_and_what_cannot_be_concluded_comes_first(report: Report) -> None:
    text = read(page(report)).all("section")[0].text
    shown, not_shown = text.index("What can be concluded"), text.index("What cannot")
    assert shown < text.index("rotary is better than base in BLEU: 3.1 higher") < not_shown
    assert text.index(f"Whether {VISIBLE} is better or worse") > not_shown
    assert "2 trainings of 12 failed or diverged" in text


def test_a_variant_that_always_diverged_is_a_result(plan: Plan, tmp_path: Path) -> None:
    scores = {**SCORES, "lost": (None, None, None)}
    made = page(gather(plan, results_of(plan, scores), tmp_path))
    assert variants_table(made)["lost"]["Verdict"].text == "diverged"
    text = read(made).all("section")[0].text
    shown, not_shown = text.index("What can be concluded"), text.index("What cannot")
    assert shown < text.index("lost diverged with all 3 seeds") < not_shown


def test_nothing_ended_is_a_page_too(plan: Plan, results: Results, tmp_path: Path) -> None:
    waiting = tuple(
        replace(each, status=None, reason="", scores={}, curve=(), steps=0, n_tokens=0, seconds=0.0)
        for each in results.trials
    )
    text = page(gather(plan, replace(results, trials=waiting), tmp_path))
    assert {cells["BLEU"].text for cells in variants_table(text).values()} == {"–"}
    assert "12 trainings of 12 not ended yet" in read(text).text


@pytest.fixture
def full(report: Report) -> Report:
    """A report in which everything that comes from outside is hostile."""
    result = CorpusTest(HOSTILE, 30.0, 31.0, -1.0, 0.01, "approximate_randomisation", 7, 9, HOSTILE)
    texts = Texts(1, ("base", HOSTILE), 7, (Example(3, True, {HOSTILE: HOSTILE}, (HOSTILE, "")),))
    facts = {HOSTILE: (HOSTILE, "other")}
    return replace(
        report,
        name=HOSTILE,
        source=HOSTILE,
        same=((HOSTILE, "base"),),
        title=HOSTILE,
        titles={"bleu": HOSTILE, "chrf": HOSTILE},
        curve_title=HOSTILE,
        by=HOSTILE,
        environments=Environments(2, HOSTILE, HOSTILE, facts),
        texts=texts,
        tests=(SeedTest(HOSTILE, 1, result),),
    )


def test_hostile_text_stays_text(full: Report) -> None:
    text = page(full)
    assert "\u202e" not in text
    found = read(text)
    assert len(found.all("script")) == 1
    assert not found.all("img")
    for element in found.all(""):
        assert not [name for name in element.attributes if name.startswith("on")], element
    for place in ("variants", "changes", "outputs", "tests", "trainings", "making"):
        section = next(each for each in found.all("section") if each.attributes["id"] == place)
        assert VISIBLE in section.text, place


def test_a_page_loads_nothing(full: Report) -> None:
    text = page(full)
    for element in read(text).all(""):
        for name in ("src", "srcset", "data", "action", "xlink:href", "poster"):
            assert name not in element.attributes, element
        if "href" in element.attributes:
            assert (element.attributes["href"] or "").startswith("#")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    assert f'http-equiv="Content-Security-Policy" content="{policy}"' in text


def test_every_link_leads_somewhere(full: Report) -> None:
    found = read(page(full))
    ids = {each.attributes.get("id") for each in found.all("")}
    links = [(each.attributes["href"] or "")[1:] for each in found.all("a")]
    assert links
    assert set(links) <= ids


def test_each_chart_that_can_be_chosen_is_there_once(report: Report) -> None:
    for box in read(page(report)).all("div", "choosable"):
        names = [each.attributes["data-is"] for each in box.all("figure")]
        picks = [
            [button.attributes["data-pick"] or "" for button in choice.all("button")]
            for choice in box.all("span", "choice")
        ]
        wanted = picks[0] if len(picks) == 1 else [f"{a} {b}" for a in picks[0] for b in picks[1]]
        assert names == wanted
        assert [("hidden" in each.attributes) for each in box.all("figure")] == [
            False,
            *[True] * (len(names) - 1),
        ]


def test_all_scores_have_their_titles(report: Report) -> None:
    section = next(each for each in read(page(report)).all("section") if each.attributes["id"] == "variants")
    table = section.all("table")[1]
    assert [each.text for each in table.all("tr")[0].all("th")] == ["Variant", "BLEU", "chrF"]
    assert table.all("tr")[2].all("td")[1].text == "51.5 ± 1.3"


def test_replaced_parts_are_one_change_with_their_keys_below(report: Report) -> None:
    section = next(each for each in read(page(report)).all("section") if each.attributes["id"] == "changes")
    change = section.all("div", "change")[0]
    assert change.all("ul", "tree")[0].all("code")[0].text == "model.position"
    assert [each.text for each in change.all("del")] == ["sinusoidal"]
    assert [each.text for each in change.all("ins")] == ["rotary"]
