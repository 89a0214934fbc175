"""Attention maps as text: for each query the keys with most weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.analysis.attention_maps import AttentionMap, AttentionMaps

N_KEYS = 3
"""Keys that are named beside a query."""
_LEAST = 0.05
"""Weights below are left out, unless nothing else is there."""


def maps_text(found: AttentionMaps, maps: Sequence[AttentionMap]) -> str:
    """The input, what is written, and some of the maps, each with the mean of its heads."""
    parts = [head_text(found)]
    parts += ["\n".join(map_lines(each)) for each in maps]
    if len(maps) < len(found.maps):
        parts.append(
            f"The last layer of each is shown, of {len(found.maps)} in all: --layers 0,1 chooses others, "
            "-o FILE.html shows every head."
        )
    return "\n\n".join(parts)


def head_text(found: AttentionMaps) -> str:
    """What was read and written, whether the weights are the model's, and what has none."""
    how = " (given)" if found.is_target_given else ""
    lines = [found.given if found.written is None else f"{found.given} → {found.written.strip()}{how}"]
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


def map_lines(shown: AttentionMap) -> list[str]:
    """A heading and a line for each query."""
    mean = shown.weights.mean(axis=0)  # [T, S]
    heads = ", ".join(map(str, shown.heads))
    of = f"head {heads}" if len(shown.heads) == 1 else f"mean of heads {heads}"
    width = max(map(len, shown.rows), default=0)
    lines = [f"{shown.title} ({shown.part}), {of}:"]
    for query, row in zip(shown.rows, mean, strict=True):
        order = np.argsort(-row, kind="stable")[:N_KEYS].tolist()
        kept = [j for j in order if row[j] >= _LEAST] or [j for j in order[:1] if row[j] > 0]
        lines.append(
            f"  {query:<{width}}  " + ("  ".join(f"{shown.keys[j]} {row[j]:.0%}" for j in kept) or "nothing")
        )
    return lines
