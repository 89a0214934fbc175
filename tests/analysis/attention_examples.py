"""Attention maps of two layers that read, and one that also looks at a source, with weights drawn at random."""

from __future__ import annotations

import numpy as np

from zoo.analysis.attention_maps import AttentionMap, AttentionMaps

HOSTILE = '<b>"&\u202e'
SOURCE = ("the", "old", HOSTILE, "house", "</s>")
READ = ("<s>", "das", "Haus")
WRITTEN = ("das", "Haus", "</s>")


def shown(name: str, part: str, heads: tuple[int, ...], seed: int, **given: object) -> AttentionMap:
    stack, _, layer, _ = name.split(".", 3)
    is_cross = "cross" in name
    queries = SOURCE if stack == "encoder" else READ
    keys = SOURCE if is_cross else queries
    scores = np.random.default_rng(seed).normal(size=(len(heads), len(queries), len(keys))) * 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    fields = {
        "writes": WRITTEN if stack == "decoder" else None,
        "difference": 2e-7,
        "tolerance": 1e-4,
        **given,
    }
    return AttentionMap(
        name=name, part=part, stack=stack, layer=int(layer), is_cross=is_cross, weights=weights.astype(np.float32),
        heads=heads, queries=queries, keys=keys, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def example(**given: object) -> AttentionMaps:
    maps = (
        shown("encoder.layers.0.self_attention", "multi_head", (0, 2), 1),
        shown("encoder.layers.1.self_attention", "multi_head", (0, 2), 2),
        shown("decoder.layers.0.self_attention", "restricted", (0, 2), 3),
        shown("decoder.layers.0.cross_attention", "additive", (0,), 4, difference=None),
    )
    fields = {
        "model": "runs/first",
        "given": " ".join(SOURCE[:-1]),
        "written": "das Haus",
        "target": None,
        "maps": maps,
        "without": (("encoder.layers.2.mixer", "lstm"),),
        **given,
    }
    return AttentionMaps(**fields)  # type: ignore[arg-type]
