"""The table of variants for a paper, in LaTeX with booktabs."""

from __future__ import annotations

from zoo.ablation.report.columns import columns
from zoo.ablation.report.gathering import Report
from zoo.ablation.report.sentences import lead

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--", "<": "$<$",
    ">": "$>$", "→": r"$\to$", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def latex(report: Report) -> str:
    r"""A table environment; it needs \usepackage{booktabs} and a text width of about 16 cm, or \small."""
    found = [column for column in columns(report) if column.title != "Seeds"]
    costs = [column for column in found if column.is_cost]
    results = [column for column in found if not column.is_cost]
    head = " & ".join(["Variant", *(escaped(column.title) for column in found)])
    groups = f"& \\multicolumn{{{len(results)}}}{{c}}{{Result}} & \\multicolumn{{{len(costs)}}}{{c}}{{Cost}}"
    end = 1 + len(results)
    rules = f"\\cmidrule(lr){{2-{end}}} \\cmidrule(lr){{{end + 1}-{end + len(costs)}}}"
    lines = [
        " & ".join([escaped(row.name), *(escaped(column.text(row)) for column in found)]) + r" \\"
        for row in report.rows
    ]
    return "\n".join(
        [
            r"% \usepackage{booktabs} \usepackage[T1]{fontenc} \usepackage{graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(lead(report))}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * len(found)}}}",
            r"\toprule",
            rf"{groups} \\",
            rules,
            rf"{head} \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SPECIAL.get(each, each if each.isprintable() else " ") for each in text)
