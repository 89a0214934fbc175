"""A task of random sentence pairs for the tests of training: no files, a few milliseconds a step.

Loaded as a plugin, by tests and by the scripts they kill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec, parse
from zoo.kinds import DECODING, MODEL, TASK
from zoo.progress import Report
from zoo.tasks.task import Loss, Prepared, Validation
from zoo.training.spec import TrainingSpec

VOCAB = 23
N_BATCHES = 7
"""Batches of an epoch: no multiple of any step count in the tests."""


class ToyBatch:
    """Right-padded token ids; PAD is 0."""

    def __init__(self, source: Tensor, target: Tensor, *, is_bad: bool) -> None:
        self.source, self.target, self.is_bad = source, target, is_bad

    def describe(self) -> str:
        (B, S), T = self.source.shape, self.target.shape[1]
        return f"{B} × {S} source and {B} × {T} target tokens"

    def halves(self) -> list[ToyBatch]:
        B = len(self.source)
        parts = [slice(0, B // 2), slice(B // 2, B)] if B > 1 else [slice(0, B)]
        return [ToyBatch(self.source[part], self.target[part], is_bad=self.is_bad) for part in parts]

    def to(self, device: Any) -> ToyBatch:
        return ToyBatch(self.source.to(device), self.target.to(device), is_bad=self.is_bad)

    def pin_memory(self) -> ToyBatch:
        return self


class ToySpec(Spec):
    type: Literal["toy"] = "toy"
    n_pairs: int = Field(3, ge=1, le=1000)
    """Sentence pairs of a batch."""
    bad_from: int = Field(10**9, ge=0, le=10**9)
    """Batches from this one on, counted over all epochs, have a loss that is not a number."""
    n_bad: int = Field(10**9, ge=0, le=10**9)
    """How many of them."""
    draws: bool = True
    """Whether validating draws random numbers."""


@TASK.register("toy", spec=ToySpec, examples=[{}])
class Toy:
    """Copies sentences backwards."""

    def __init__(self, *, n_pairs: int, bad_from: int, n_bad: int, draws: bool) -> None:
        self.n_pairs, self.draws = n_pairs, draws
        self.bad = range(bad_from, bad_from + n_bad)

    def prepare(
        self,
        *,
        model: Spec,
        folder: Path,
        tokens_per_batch: int,
        seed: int,
        is_resumed: bool,
        report: Report | None = None,
    ) -> Prepared:
        return PreparedToy(self, seed)


class PreparedToy:
    score_name = "BLEU"
    size_keys = ("task.n_pairs",)

    def example(self) -> str:
        return "a sentence → ecnetnes a"

    def __init__(self, task: Toy, seed: int) -> None:
        self.task, self.seed = task, seed
        self.fingerprint = f"toy {task.n_pairs}"

    def epoch(self, number: int) -> Sequence[int]:
        order = torch.randperm(N_BATCHES, generator=torch.Generator().manual_seed(1000 * self.seed + number))
        return [number * N_BATCHES + i for i in order.tolist()]

    def batch(self, key: int) -> ToyBatch:
        generator = torch.Generator().manual_seed(key)
        lengths = torch.randint(1, 9, (self.task.n_pairs,), generator=generator)
        words = torch.randint(4, VOCAB, (self.task.n_pairs, 9), generator=generator)
        words[torch.arange(9)[None] >= lengths[:, None]] = 0
        words = words[:, : lengths.max()]
        return ToyBatch(words, words.flip(1), is_bad=key in self.task.bad)

    def loss(self, model: nn.Module, batch: ToyBatch, *, label_smoothing: float) -> Loss:
        hidden = model.decode(batch.source, model.encode(batch.source))  # type: ignore[operator]
        real = batch.source != 0
        sums = model.head.loss(  # type: ignore[operator, union-attr]
            hidden[real], batch.target.flip(1)[real], label_smoothing=label_smoothing
        )
        loss, n = sums.loss, sums.count
        return Loss(loss * float("nan") if batch.is_bad else loss, sums.nll, n, 2 * n)

    def validate(
        self,
        model: nn.Module,
        *,
        decoding: Spec,
        n_sentences: int,
        is_wanted: Callable[[], bool],
        report: Report | None = None,
    ) -> Validation | None:
        total, n = 0.0, 0
        for key in (-1, -2):
            if not is_wanted():
                return None
            loss = self.loss(model, self.batch(key + 10**6), label_smoothing=0.0)
            total, n = total + float(loss.nll), n + loss.n_tokens
        if self.task.draws:
            torch.rand(5)
        score = 100 * float(torch.tensor(-total / n).exp())
        return Validation(total / n, score, {"loss": total / n, "bleu": score})


class ToyRun(Spec):
    """Stands for a whole run's spec."""

    model: Annotated[Spec, MODEL]
    """The model."""
    task: Annotated[Spec, TASK]
    """The task."""
    training: TrainingSpec
    """The training."""
    generation: Annotated[Spec, DECODING]
    """The decoding."""


def toy_run(*, task: dict[str, Any] | None = None, dropout: float = 0.3, **training: Any) -> ToyRun:
    """A run whose every step takes milliseconds; dropout is on."""
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
        "dropout": dropout,
    }
    model = {
        "type": "encoder_decoder",
        "d_model": 8,
        "source": {"type": "tokens", "vocab_size": VOCAB},
        "target": {"share": "source"},
        "encoder": {"n_layers": 1, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
        "head": {"type": "language_model", "predicts": "target"},
    }
    defaults: dict[str, Any] = {
        "max_steps": 10,
        "accelerator": "cpu",
        "precision": "fp32",
        "log_every": 2,
        "validate_every": 4,
        "checkpoint_every": 3,
        "keep_checkpoints": 3,
        "schedule": {"type": "noam", "warmup_steps": 5},
    }
    data = {
        "model": model,
        "task": {"type": "toy", **(task or {})},
        "training": {**defaults, **training},
        "generation": "greedy",
    }
    return parse(ToyRun, data)
