"""What can be concluded from an ablation and what cannot, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.ablation.report.gathering import Report, Row
from zoo.ablation.telling import detection_text
from zoo.amounts import amount
from zoo.drawing.numbers import fixed

_HELD = {
    "none": "Nothing is held equal between variants but the recipe",
    "parameters": "Parameters are held equal to within 1 %",
    "flops": "Training FLOPs a token are held equal to within 1 %",
    "steps": "Steps are held equal",
    "tokens": "Tokens are held equal",
    "minutes": "Minutes of training are held equal, however many steps they are",
}

_N_NAMED = 4


def lead(report: Report) -> str:
    """What was done, in a sentence or two."""
    n = len(report.seeds)
    held = _HELD[report.match] + (f", by {report.by}" if report.by else "")
    return (
        f"{amount(len(report.variants), 'variant')} of {report.name} and the base, {amount(n, 'seed')} each, compared "
        f"by {report.title} on {report.split}. {held}; data order, and the initial weights of what is alike, are one "
        "seed's for all."
    )


def headline(report: Report) -> str:
    """What is found, in one sentence."""
    parts = []
    for verdict in ("better", "worse"):
        names = [row.name for row in by_verdict(report, verdict)]
        if names:
            parts.append(f"{verdict} than the base: {', '.join(names)}")
    gone, unclear = untrained(report), by_verdict(report, "unclear")
    texts = [f"Shown to be {'; '.join(parts)}."] if parts else []
    if gone:
        texts.append(f"Diverged with every seed: {', '.join(row.name for row in gone)}.")
    if not texts:
        return f"No variant can be told from the base in {report.title} with these seeds."
    if unclear:
        told = ", ".join(row.name for row in unclear)
        texts.append(
            f"Not told from the base: {told if len(unclear) <= _N_NAMED else f'{len(unclear)} others'}."
        )
    return " ".join(texts)


def by_verdict(report: Report, verdict: str) -> list[Row]:
    """The variants of one verdict."""
    gone = untrained(report)
    return [
        row
        for row in report.variants
        if row.comparison and row.comparison.verdict == verdict and row not in gone
    ]


def untrained(report: Report) -> list[Row]:
    """The variants that diverged with every seed."""
    return [row for row in report.variants if row.has_diverged]


def shown(report: Report) -> list[str]:
    """What can be concluded, a sentence or more for each variant."""
    found = [row.conclusion for verdict in ("better", "worse") for row in by_verdict(report, verdict)]
    return found + [
        f"{row.name} diverged with {'the one seed' if len(row.trials) == 1 else f'all {len(row.trials)} seeds'}: "
        "this recipe does not train it."
        for row in untrained(report)
    ]


def not_shown(report: Report) -> list[str]:
    """What cannot: a text for each variant that is not told from the base."""
    return [row.conclusion for row in by_verdict(report, "unclear")]


def seeds_text(report: Report) -> list[str]:
    """What these seeds can find, and others could."""
    found = [detection_text(len(report.seeds))]
    n = len(report.seeds)
    known = dict(report.detectable())
    if n in known and report.spread is not None:
        decimals = report.difference_decimals
        others = ", ".join(
            f"{fixed(value, decimals)} with {each}" for each, value in known.items() if each > n
        )
        text = (
            f"Here the paired differences spread by {fixed(report.spread, decimals)} {report.title} (the median over "
            f"variants), so that {n} seeds find {fixed(known[n], decimals)}"
        )
        found.append(f"{text}; it would be {others}." if others else f"{text}.")
    return found


def reservations(report: Report) -> list[str]:
    """What the reader has to know before believing any of it."""
    found = []
    lost = [each for each in report.trials if each.status in ("failed", "diverged")]
    if lost:
        found.append(
            f"{amount(len(lost), 'training')} of {len(report.trials)} failed or diverged (named below): what is told "
            "of their variants comes from the seeds that are left."
        )
    waiting = sum(each.status is None for each in report.trials)
    if waiting:
        found.append(
            f"{amount(waiting, 'training')} of {len(report.trials)} not ended yet: this is a preview."
        )
    if differ := _differing_tokenizers(report):
        found.append(
            f"{_listed(differ)} {'has' if len(differ) == 1 else 'have'} another tokenizer than the base: a loss a "
            "token means something else there."
        )
    if report.match in ("none", "steps", "tokens", "minutes"):
        base = report.base.cost.n_parameters
        far = [row for row in report.variants if abs(row.cost.n_parameters - base) > 0.02 * base]
        if far:
            sizes = ", ".join(f"{row.name} {row.cost.n_parameters / base - 1:+.0%}" for row in far)
            found.append(f"Not of the base's size: {sizes.replace('-', '−')} parameters.")
    if differing := [
        name for name in report.environments.differing if name in ("device", "precision", "torch")
    ]:
        found.append(
            f"Not all trainings ran in one place: {_listed(differing)} differ, so times do not compare."
        )
    if len(commits := report.environments.facts.get("commit", ())) > 1:
        states = _listed([each[:7] + " with changes" * each.endswith("+") for each in commits])
        found.append(
            f"Not all trainings were made by the same code, but by commits {states}: what changed between them may be "
            "part of a difference."
        )
    return found


def lost(report: Report) -> list[tuple[str, int, str, str]]:
    """Variant, seed, status and reason of each training that gave no score."""
    return [
        (each.variant, each.seed, each.status or "not ended", each.reason)
        for each in report.trials
        if each.status != "done"
    ]


def _differing_tokenizers(report: Report) -> list[str]:
    base = {each.seed: each.tokenizer for each in report.base.trials if each.tokenizer}
    return [
        row.name
        for row in report.variants
        if any(
            each.tokenizer and each.tokenizer != base.get(each.seed, each.tokenizer) for each in row.trials
        )
    ]


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
