"""Every form of a report is written, and each is well formed whatever variants are called."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from registry import Difference
from tests.ablation.report.conftest import HOSTILE, SCORES
from zoo.ablation.plan import Plan
from zoo.ablation.report import writing
from zoo.ablation.report.columns import columns
from zoo.ablation.report.environment import environments
from zoo.ablation.report.gathering import Report, gather
from zoo.ablation.report.latex import escaped, latex
from zoo.ablation.report.markdown import markdown, plain
from zoo.ablation.report.sentences import reservations
from zoo.ablation.report.trees import tree, tree_html
from zoo.ablation.report.writing import FIGURES, figures_of, write_report
from zoo.ablation.results import Results
from zoo.drawing import pixels

FIGURE_NAMES = {
    "differences", "loss_by_step", "loss_by_tokens", "loss_by_seconds", "score_by_step", "score_by_tokens",
    "score_by_seconds", "quality_by_parameters", "quality_by_flops", "quality_by_memory", "quality_by_cache",
    "quality_by_seconds",
}  # fmt: skip


def test_every_file_is_written(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "can_draw", lambda: False)
    written = write_report(report, tmp_path / "out")
    expected = {f"{FIGURES}/{name}.svg" for name in FIGURE_NAMES} | {"report.html", "report.md", "report.tex"}
    assert {str(path.relative_to(tmp_path / "out")) for path in written} == expected
    assert all(path.stat().st_size > 500 for path in written)


def test_trainings_by_several_states_of_the_code_are_said(report: Report) -> None:
    assert not [each for each in reservations(report) if "commits" in each]
    facts = {**report.environments.facts, "commit": ("1234567aa", "89abcdef0", "89abcdef0+")}
    found = reservations(replace(report, environments=replace(report.environments, facts=facts)))
    assert "by commits 1234567, 89abcde and 89abcde with changes: what changed between them" in found[-1]


def test_a_report_is_called_by_its_base_and_its_folder(report: Report, tmp_path: Path) -> None:
    write_report(replace(report, folder="norms"), tmp_path)
    assert f"<h1>Ablation of {report.name}: norms</h1>" in (tmp_path / "report.html").read_text(
        encoding="utf-8"
    )
    assert "# Ablation of quickstart: norms\n" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_figures_need_nothing_and_are_well_formed(report: Report, tmp_path: Path) -> None:
    for path in write_report(report, tmp_path):
        if path.suffix != ".svg":
            continue
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert float(root.attrib["width"]) > 0
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert not re.search(r"var\(|url\(|href|<script|<style", text)
        assert "\u202e" not in text
        assert text.count("http") == text.count('xmlns="http://www.w3.org/2000/svg"')


def test_png_shows_every_figure(report: Report) -> None:
    pytest.importorskip("matplotlib")
    import io

    from PIL import Image

    for drawing in figures_of(report).values():
        image = Image.open(io.BytesIO(pixels.png(drawing)))
        assert image.width == pytest.approx(drawing.width * 200 / 96, abs=2)
        assert image.height == pytest.approx(drawing.height * 200 / 96, abs=2)
        assert len(image.convert("RGB").getcolors(1 << 22)) > 20  # it is not blank


def test_without_matplotlib_there_is_no_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "find_spec", lambda name: None)
    assert not pixels.can_draw()


def test_markdown_tables_are_whole_and_text_is_text(report: Report) -> None:
    text = markdown(report, ["figures/a.svg"])
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(SCORES)
    for line in table:
        assert len(re.findall(r"(?<!\\)\|", line)) == len(columns(report)) + 2
    assert "<script" not in text
    assert "<img" not in text
    assert "| rotary | 34.3 ± 1.3 | 3 | +3.10 | +2.85 to +3.35 |" in text
    assert "![figures/a.svg](figures/a.svg)" in text


def test_markdown_escapes_what_it_would_read() -> None:
    assert plain("a|b_c*d`e\n<x> [l](u) $m$") == r"a\|b\_c\*d\`e &lt;x&gt; \[l\](u) \$m\$"


def test_latex_is_a_booktabs_table_that_a_name_cannot_end(report: Report) -> None:
    text = latex(report)
    assert text.count(r"\end{table}") == text.count(r"\begin{table}") == 1
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert len(body) == len(SCORES)
    n = len(columns(report))  # without seeds, with names
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == n - 1
        assert line.endswith(r" \\")
    assert r"rotary & 34.3 $\pm$ 1.3 & +3.10 & +2.85 to +3.35 &" in text


def test_latex_escapes_every_sign_of_its_own() -> None:
    assert escaped("a_b & 5% #1 {x} ~^ \\end $2") == (
        r"a\_b \& 5\% \#1 \{x\} \textasciitilde{}\textasciicircum{} \textbackslash{}end \$2"
    )


def test_changes_are_a_tree_of_joined_keys() -> None:
    changes = [
        Difference("model.encoder.layer.norm", "a", "b"),
        Difference("model.encoder.layer.ffn", {"type": "mlp", "d": 1}, {"type": "glu", "d": 2}),
        Difference("training.seed", 1, 2),
    ]
    found = tree(changes)
    assert list(found) == ["model.encoder.layer", "training.seed"]
    assert found["model.encoder.layer"] == {"norm": changes[0], "ffn": changes[1]}
    text = tree_html([Difference("a", HOSTILE, {"type": HOSTILE, HOSTILE: [HOSTILE]})])
    assert "<script" not in text
    assert "<img" not in text


def test_environments_keep_what_differs(folder: Path, plan: Plan) -> None:
    file = folder / plan.trials[0].place / "environment.json"
    sessions = json.loads(file.read_text(encoding="utf-8"))["sessions"]
    other = {**sessions[0], "started": "2026-02-01", "device": "a GPU", "packages": {"torch": "2.1"}}
    file.write_text(json.dumps({"sessions": [*sessions, other]}), encoding="utf-8")
    found = environments(folder, [str(trial.place) for trial in plan.trials])
    assert found.facts == {"device": ("a <CPU>", "a GPU"), "torch": ("2.0", "2.1")}
    assert found.differing == ["device", "torch"]
    assert (found.first, found.last, found.n_sessions) == ("2026-01-01", "2026-02-01", 7)


def test_speed_is_the_median_of_a_training_and_the_mean_over_seeds(
    plan: Plan, results: Results, folder: Path
) -> None:
    report = gather(plan, results, folder)
    assert report.base.tokens_per_second == 200.0
    assert report.base.seconds == 42.0
    assert report.rows[3].tokens_per_second is None


def test_the_smallest_difference_that_seeds_find_follows_from_the_spread(report: Report) -> None:
    from zoo.ablation.power import detectable

    spreads = sorted(
        row.comparison.spread for row in report.variants if row.comparison and row.comparison.spread
    )
    assert report.spread == pytest.approx(sum(spreads) / 2)
    assert report.detectable() == [(n, detectable(report.spread or 0.0, n)) for n in (3, 5, 10, 20)]
    assert replace(report, spread=None).detectable() == []
