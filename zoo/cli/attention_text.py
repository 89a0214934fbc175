"""Attention maps as text: for each query the keys with most weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from unicodedata import combining, east_asian_width

import numpy as np

from zoo.analysis.attention_maps import AttentionMap, AttentionMaps

N_KEYS = 3
"""Keys that are named beside a query."""
_BESIDE_WORDS = len("  ") + N_KEYS * len("   100%")
"""Columns of a line that are no word's."""
_N_LINES = 3
"""That a sentence and what is written for it take at most."""
_ENDLESS = 1_000_000
_LEAST = 0.05
"""Weights below are left out, unless nothing else is there."""


def maps_text(
    found: AttentionMaps, maps: Sequence[AttentionMap], *, columns: int, n_queries: int | None
) -> str:
    """The input, what is written, and some of the maps, each with the mean of its heads.

    A map's lines have at most so many columns, and it has at most so many queries, None for all; what is left out of
    them is said.
    """
    outcome = _cut(found.outcome, _N_LINES * columns)
    parts, is_cut = [head_text(found, outcome=outcome)], outcome != found.outcome
    for each in maps:
        lines = map_lines(each, columns=columns, n_queries=n_queries)
        is_cut |= lines != map_lines(each, columns=_ENDLESS, n_queries=None)
        parts.append("\n".join(lines))
    if is_cut:
        parts.append(
            "Cut to fit here: -o FILE.html draws the whole, so do .svg and .png; .npz has the arrays."
        )
    if len(maps) < len(found.maps):
        parts.append(
            f"The last layer of each is shown, of {len(found.maps)} in all: --layers 0,1 chooses others, "
            "-o FILE.html shows every head."
        )
    return "\n\n".join(parts)


def head_text(found: AttentionMaps, *, outcome: str) -> str:
    """What was read and written, in the words of outcome, whether the weights are the model's, and what has none."""
    lines = [outcome]
    if found.altered:
        lines.append(found.altered)
    if not found.unconfirmed:
        lines.append(f"Checked: {found.checked}.")
    if found.without:
        lines.append(f"Left out, for they attend by no softmax: {without_text(found)}.")
    return "\n".join(lines)


def without_text(found: AttentionMaps) -> str:
    """What has no weights of a softmax, by part."""
    parts: dict[str, list[str]] = {}
    for name, part in found.without:
        parts.setdefault(part, []).append(name)
    return "; ".join(f"{part} ({', '.join(names)})" for part, names in parts.items())


def last_of_each(maps: Sequence[AttentionMap]) -> list[AttentionMap]:
    """The map of the last layer of each kind, in their order."""
    return list({each.kind: each for each in maps}.values())


def map_lines(shown: AttentionMap, *, columns: int, n_queries: int | None) -> list[str]:
    """A heading and a line for each of the first queries, as for `maps_text`."""
    mean = shown.weights.mean(axis=0)  # [T, S]
    heads = ", ".join(map(str, shown.heads))
    of = f"head {heads}" if len(shown.heads) == 1 else f"mean of heads {heads}"
    widest = max((columns - _BESIDE_WORDS) // (N_KEYS + 1), 1)
    queries = [_cut(query, widest) for query in shown.rows[:n_queries]]
    width = max(map(_n_columns, queries), default=0)
    lines = [f"{shown.title} ({shown.part}), {of}:"]
    for query, row in zip(queries, mean[:n_queries], strict=True):
        order = np.argsort(-row, kind="stable")[:N_KEYS].tolist()
        kept = [j for j in order if row[j] >= _LEAST] or [j for j in order[:1] if row[j] > 0]
        keys = "  ".join(f"{_cut(shown.keys[j], widest)} {row[j]:.0%}" for j in kept)
        lines.append(f"  {query}{' ' * (width - _n_columns(query))}  {keys or 'nothing'}")
    if (n_left := len(shown.rows) - len(queries)) > 0:
        lines.append(f"  … and {n_left:,} more")
    return lines


def _cut(word: str, widest: int) -> str:
    """A word in so many columns of a terminal, which may be its beginning."""
    if _n_columns(word) <= widest:
        return word
    kept = bisect_right(range(len(word)), widest - 1, key=lambda n: _n_columns(word[: n + 1]))
    return f"{word[:kept]}…"


def _n_columns(text: str) -> int:
    """How many columns of a terminal a text takes: a letter of East Asia two, a mark on a letter none."""
    return sum(0 if combining(each) else 1 + (east_asian_width(each) in "FW") for each in text)
