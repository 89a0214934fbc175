"""Writes an ablation's report: the page, Markdown, a LaTeX table and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zoo.ablation.kept import ABLATION_FILE, kept_plan
from zoo.ablation.report.cost_chart import trade_off
from zoo.ablation.report.curve_chart import AGAINST, learning_curves
from zoo.ablation.report.curves import What, curves
from zoo.ablation.report.difference_chart import differences
from zoo.ablation.report.gathering import Report, gather
from zoo.ablation.report.latex import latex
from zoo.ablation.report.markdown import markdown
from zoo.ablation.report.page import page
from zoo.ablation.report.texts import N_SHUFFLES, output_tests, side_by_side
from zoo.ablation.results import collect, write_table
from zoo.drawing.pixels import can_draw, png
from zoo.drawing.shapes import FIGURE_WIDTH, Drawing
from zoo.drawing.svg import svg
from zoo.errors import DataError
from zoo.storage.files import write_bytes, write_text

PAGE, MARKDOWN, LATEX, FIGURES = "report.html", "report.md", "report.tex", "figures"


def report_on(
    folder: Path,
    *,
    n_shuffles: int = N_SHUFFLES,
    progress: Callable[[int, int], None] = lambda done, n: None,
) -> Report:
    """Everything that is known of the ablation in a folder; the table of results is made anew beside it.

    n_shuffles: of each test of outputs; 0 leaves these tests out. progress is told how many of them are done.
    Raises: RunError, PresetError or SpecError where no ablation lies there, or what lies there is damaged.
    """
    plan = kept_plan(folder)
    results = collect(plan, folder)
    write_table(results, folder)
    texts = side_by_side(plan, results, folder)
    tests = []
    if n_shuffles:
        try:
            tests = list(output_tests(plan, results, folder, n_shuffles=n_shuffles, progress=progress))
        except DataError:
            assert isinstance(texts, str)  # which says so
    source = (folder / ABLATION_FILE).read_text(encoding="utf-8")
    return gather(plan, results, folder, source=source, texts=texts, tests=tests)


def write_report(report: Report, out: Path) -> list[Path]:
    """Writes every form of it into a folder; PNG only where matplotlib is installed. Returns the files."""
    figures = figures_of(report)
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    written = []
    for name, drawing in figures.items():
        file = out / FIGURES / f"{name}.svg"
        write_text(file, svg(drawing, is_file=True))
        written.append(file)
        if can_draw():
            write_bytes(file.with_suffix(".png"), png(drawing))
            written.append(file.with_suffix(".png"))
    for name, text in (
        (PAGE, page(report)),
        (MARKDOWN, markdown(report, [f"{FIGURES}/{name}.svg" for name in figures])),
        (LATEX, latex(report)),
    ):
        write_text(out / name, text)
        written.append(out / name)
    return written


def figures_of(report: Report) -> dict[str, Drawing]:
    """Each chart as a figure that stands alone, by the name of its file."""
    found: dict[str, Drawing | None] = {"differences": differences(report, width=FIGURE_WIDTH)}
    whats: list[tuple[What, str]] = [("loss", "Validation loss")]
    if report.curve_title:
        whats.append(("score", f"Validation {report.curve_title}"))
    for what, title in whats:
        known = curves(report, what)
        for against in AGAINST:
            found[f"{what}_by_{against}"] = learning_curves(
                known, title=title, against=against, width=FIGURE_WIDTH, has_legend=True
            )
    for cost in report.costs:
        found[f"quality_by_{cost.name}"] = trade_off(report, cost, width=FIGURE_WIDTH, has_legend=True)
    return {name: drawing for name, drawing in found.items() if drawing is not None}
