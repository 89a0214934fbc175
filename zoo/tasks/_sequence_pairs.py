"""What the tasks have in common that learn one sequence of tokens from another: an encoder-decoder's batch and loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.data.collate import padded
from zoo.data.store import Example
from zoo.kinds.model import mask_name, read_slots
from zoo.special_ids import BOS, PAD
from zoo.tasks.task import Batch, Loss, total


def pair_batch(
    examples: Sequence[Example], *, source_pad: int = PAD, target_pad: int = PAD, start: int = BOS
) -> Batch:
    """The batch of examples of `source` and `target`, ids with their end; without a target there is nothing to learn.

    source int64 [B, S], source_mask bool [B, S] or None where nothing is padded, target int64 [B, T] beginning with
    start; of the N labels that are no padding, labels int64 [N] and places int64 [N], where they stand in a flattened
    [B, T].
    """
    source, mask = padded([example["source"] for example in examples], fill=source_pad)
    B, S = source.shape
    n_source = B * S if mask is None else int(mask.sum())
    return with_targets(
        {"source": source, "source_mask": mask}, examples, S, n_source, pad=target_pad, start=start
    )


def with_targets(
    tensors: Mapping[str, Tensor | None],
    examples: Sequence[Example],
    S: int,
    n_source: int,
    *,
    pad: int,
    start: int,
) -> Batch:
    """The batch of what is read, S places of each row and n_source real ones of all, and of what is to be written."""
    B = len(examples)
    if "target" not in examples[0]:
        return Batch(tensors, size=f"{B} × {S} source tokens", n_processed=n_source)
    labels, real = padded([example["target"] for example in examples], fill=pad)
    target = labels.roll(1, 1)
    target[:, 0] = start
    if real is not None:
        target[~real] = pad  # the ends of rows shorter than the longest among them
    T = labels.shape[1]
    # What a GPU would have to be waited for, which positions are real, is found out here, on the CPU.
    places = torch.arange(B * T) if real is None else real.flatten().nonzero().squeeze(1)
    labels = labels.flatten()[places]
    size = f"{B} × {S} source and {B} × {T} target tokens"
    written = {"target": target, "places": places, "labels": labels}
    return Batch({**tensors, **written}, size=size, n_processed=n_source + len(labels))


def pair_loss(model: nn.Module, batch: Batch, *, label_smoothing: float) -> Loss:
    """Cross-entropy of the target's tokens and its end, and what the model's parts add to it in training.

    Only positions with a label reach the vocabulary. The decoder is given no target mask: padding stands after every
    real token, where causal attention does not look.
    """
    writer = cast(Any, model)
    masks = {mask_name(writer, read_slots(writer)[0]): batch.get("source_mask")}
    hidden, _ = writer.hidden(batch["source"], batch["target"], **masks)  # [B, T, D]
    hidden = hidden.flatten(0, 1).index_select(0, batch["places"])  # [N, D]
    return total(writer.head.loss(hidden, batch["labels"], label_smoothing=label_smoothing), model, batch)
