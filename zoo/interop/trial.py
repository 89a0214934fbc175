"""Random inputs on which a model is compared with its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

Padding = Literal["none", "left", "right"]
LENGTHS = (7, 4, 5)
"""Tokens of the rows of a batch, before padding."""


@dataclass(frozen=True)
class Trial:
    """One batch, as each of the two models takes it."""

    ours: tuple[Tensor, ...]
    """What our model takes by position."""
    theirs: dict[str, Any]
    """What the reference takes by name."""
    ours_named: dict[str, Any] = field(default_factory=dict)
    """What our model takes by name."""
    real: Tensor | None = None
    """Where the output stands for real input: bool [B, T]; None: everywhere."""
    as_ours: Callable[[Tensor], Tensor] | None = None
    """The reference's output -> the same in the shape of ours; None: it has that shape."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a config that say what data the reference takes, and that a spec of ours has not."""


TrialMaker = Callable[[Any, Padding, torch.Generator], Trial]
"""A model's spec, the side that is padded and a source of random numbers -> a batch."""


def padding_mask(lengths: Sequence[int], padding: Padding) -> Tensor:
    """Which places are real, bool [B, T], T the longest length; padding "none" makes all rows that long."""
    places = torch.arange(max(lengths))
    rows = []
    for length in lengths:
        if padding == "none":
            rows.append(places >= 0)
        else:
            rows.append(places < length if padding == "right" else places >= max(lengths) - length)
    return torch.stack(rows)


def token_trial(
    spec: Any, padding: Padding, random: torch.Generator, *, lengths: Sequence[int] = LENGTHS
) -> Trial:
    """Token ids for a model of any of the three types; lengths are those of the rows where it has one sequence."""
    if len(spec.slots) > 1:
        return _two_sequences(spec, padding, random)
    (embedding,) = spec.slots.values()
    mask = padding_mask(lengths, padding)
    tokens = torch.randint(embedding.vocab_size, mask.shape, generator=random)
    named: dict[str, Any] = {"mask": mask}
    theirs: dict[str, Any] = {"input_ids": tokens, "attention_mask": mask.long()}
    if spec.writes is not None:
        theirs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    if n_types := getattr(embedding, "n_types", 0):
        types = torch.randint(n_types, mask.shape, generator=random)
        named["types"] = theirs["token_type_ids"] = types
    return Trial((tokens,), theirs, named, mask)


def last_token_trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Token ids for a decoder-only model; for a classifier padding, and nothing else, has the embedding's padding id.

    By that id transformers finds the last real token.
    """
    found = token_trial(spec, padding, random)
    if spec.head.type != "pooled_classifier":
        return found
    mask, tokens, padding_id = found.ours_named["mask"], found.ours[0], spec.tokens.padding_id
    tokens = torch.where(tokens == padding_id, padding_id + 1, tokens).masked_fill(~mask, padding_id)
    return Trial((tokens,), {**found.theirs, "input_ids": tokens}, found.ours_named)


def _two_sequences(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    source_mask, target_mask = padding_mask(LENGTHS, padding), padding_mask([6, 6, 6], "none")
    source = torch.randint(spec.source.vocab_size, source_mask.shape, generator=random)
    target = torch.randint(spec.slots["target"].vocab_size, target_mask.shape, generator=random)
    theirs = {"input_ids": source, "attention_mask": source_mask.long(), "decoder_input_ids": target}
    return Trial((source, target), theirs, {"source_mask": source_mask}, target_mask)
