"""The page in a real browser: it sorts, chooses and points, and fits where it is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pages import BROWSER_MARKS, ask_browser
from zoo.ablation.report.gathering import Report
from zoo.ablation.report.page import page

pytestmark = BROWSER_MARKS

Ask = Callable[..., Any]


@pytest.fixture
def ask(report: Report, tmp_path: Path) -> Ask:
    """Does something on the page, as a script's body, in a window of that width; gives what it returns."""
    return lambda body, *, width=1280: ask_browser(page(report), body, tmp_path, width=width)


_ORDER = """
const names = () => [...document.querySelectorAll('#variants tbody')][0].rows;
const order = () => [...names()].map((row) => row.cells[COLUMN].dataset.s);
const button = document.querySelectorAll('#variants thead th')[COLUMN].querySelector('button');
const head = button.closest('th');
const seen = [];
for (let i = 0; i < 3; i++) { seen.push([order(), head.getAttribute('aria-sort')]); button.click(); }
return seen;
"""


def test_a_click_sorts_by_number_and_what_is_missing_stays_below(ask: Ask) -> None:
    before, falling, rising = ask(_ORDER.replace("COLUMN", "3"))
    assert before[1] == "none"
    assert (falling[1], rising[1]) == ("descending", "ascending")
    numbers = [float(each) for each in falling[0] if each]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 3
    assert falling[0][-1] == rising[0][-1] == ""
    assert [float(each) for each in rising[0] if each] == sorted(numbers)


def test_a_click_sorts_names_from_a_to_z_first(ask: Ask) -> None:
    _, first, second = ask(_ORDER.replace("COLUMN", "0"))
    assert first[1] == "ascending"
    assert first[0] == second[0][::-1]
    assert first[0][1:] == ["base", "lost", "rotary"]


def test_a_chart_is_chosen_and_variants_are_hidden(ask: Ask) -> None:
    found = ask(
        """
        const box = document.querySelector('#curves .choosable');
        const shown = () => [...box.querySelectorAll('figure')].filter((f) => !f.hidden).map((f) => f.dataset.is);
        const seen = [shown()];
        for (const pick of ['score', 'seconds']) {
          box.querySelector(`[data-pick=${pick}]`).click();
          seen.push(shown());
        }
        const line = () => getComputedStyle(box.querySelector('figure:not([hidden]) .at-wide g[data-v="1"]')).display;
        const button = box.querySelectorAll('.legend button')[1];
        for (let i = 0; i < 2; i++) { seen.push(line()); button.click(); }
        return [...seen, line()];
        """
    )
    assert found == [["loss step"], ["score step"], ["score seconds"], "inline", "none", "inline"]


def test_pointing_tells_the_value_and_shows_the_seeds(ask: Ask) -> None:
    told, near, seeds = ask(
        """
        document.querySelector('#curves [data-pick=score]').click();
        const svg = document.querySelector('#curves figure:not([hidden]) .at-wide > svg');
        const mark = [...svg.querySelectorAll('g[data-v="1"] [data-t]')].pop();
        const frame = svg.getBoundingClientRect();
        const k = frame.width / svg.viewBox.baseVal.width;
        svg.dispatchEvent(new PointerEvent('pointermove', {
          clientX: frame.left + mark.dataset.x * k, clientY: frame.top + mark.dataset.y * k}));
        const seed = svg.querySelector('g[data-v="1"] path.seed');
        return [document.getElementById('told').textContent,
          [...new Set([...svg.querySelectorAll('.near')].map((g) => g.dataset.v))], getComputedStyle(seed).visibility];
        """
    )
    assert told.startswith("rotary, step ")
    assert told.endswith("3 seeds)")
    assert near == ["1"]
    assert seeds == "visible"


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_a_page_is_no_wider_than_its_window_and_labels_do_not_overlap(ask: Ask, width: int) -> None:
    too_wide, overlaps, small = ask(
        """
        const found = [];
        for (const figure of document.querySelectorAll('figure')) figure.hidden = false;
        let small = [];
        for (const svg of document.querySelectorAll('.chart > svg')) {
          if (!svg.getBoundingClientRect().width) continue;
          const texts = [...svg.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
          for (const [text, a] of texts) if (Math.min(a.width, a.height) < 9) small.push([text, a.width, a.height]);
          texts.forEach(([s, a], i) => texts.slice(0, i).forEach(([t, b]) => {
            const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (across > 1 && down > 4) found.push([s, t]);
          }));
        }
        return [document.documentElement.scrollWidth - innerWidth, found, small.filter(([t]) => t.length > 2)];
        """,
        width=width,
    )
    assert too_wide <= 0
    assert overlaps == []
    assert small == []
