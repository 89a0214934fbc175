"""A translation task with its data at hand: batches, their loss, validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.assembly.auxiliary import auxiliary_loss
from zoo.data.batches import BatchPlan, Integers
from zoo.data.collate import collate
from zoo.data.parallel import PreparedData
from zoo.data.rows import TokenPairs
from zoo.evaluation.translation import TITLES, TranslationMetric
from zoo.generation.translate import Decoding, translate
from zoo.kinds import DECODING
from zoo.losses import Sums
from zoo.progress import Report
from zoo.tasks.task import Loss, Validation
from zoo.tasks.word_vectors import fill_embedding


class TranslationBatch:
    """B pairs in tensors, padded on the right.

    Shapes: source int64 [B, S], source_mask bool [B, S] or None where nothing is padded, target_input int64
        [B, T] beginning with BOS; of the N labels that are no padding, labels int64 [N] and places int64 [N],
        where they stand in a flattened [B, T].
    """

    def __init__(
        self,
        source: Tensor,
        source_mask: Tensor | None,
        target_input: Tensor,
        places: Tensor,
        labels: Tensor,
        n_source_tokens: int,
    ) -> None:
        self.source = source
        self.source_mask = source_mask
        self.target_input = target_input
        self.places = places
        self.labels = labels
        self.n_source_tokens = n_source_tokens

    def to(self, device: torch.device) -> TranslationBatch:
        """The same on a device, not waiting for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> TranslationBatch:
        """The same in memory from which a GPU copies while it computes."""
        return self._each(lambda tensor: tensor.pin_memory())

    def describe(self) -> str:
        """Its size: rows × length of both sides."""
        (B, S), T = self.source.shape, self.target_input.shape[1]
        return f"{B} × {S} source and {B} × {T} target tokens"

    def halves(self) -> list[TranslationBatch]:
        """Two batches with half of the pairs each; only itself when it is one pair."""
        B, T = self.target_input.shape
        if B == 1:
            return [self]
        rows = self.places // T  # [N], of each label
        # The source's tokens of a half are not known any more; they count for the speed only.
        shares = (
            self.n_source_tokens * (B // 2) // B,
            self.n_source_tokens - self.n_source_tokens * (B // 2) // B,
        )
        return [
            TranslationBatch(
                self.source[part],
                None if self.source_mask is None else self.source_mask[part],
                self.target_input[part],
                self.places[inside] - part.start * T,
                self.labels[inside],
                share,
            )
            for part, share in zip((slice(0, B // 2), slice(B // 2, B)), shares, strict=True)
            for inside in ((rows >= part.start) & (rows < part.stop),)
        ]

    def _each(self, change: Callable[[Tensor], Tensor]) -> TranslationBatch:
        return TranslationBatch(
            change(self.source),
            None if self.source_mask is None else change(self.source_mask),
            change(self.target_input),
            change(self.places),
            change(self.labels),
            self.n_source_tokens,
        )


class PreparedTranslation:
    """A translation task with its data at hand: what training asks for (zoo.tasks.task.Prepared and Starts).

    word_vectors are the files that embeddings start from, by their side; fingerprint is that of all data, these
    files included.
    """

    size_keys = ("training.tokens_per_batch", "task.max_length")

    def __init__(
        self,
        data: PreparedData,
        *,
        metric: TranslationMetric,
        word_vectors: Mapping[str, Path],
        fingerprint: str,
        tokens_per_batch: int,
        seed: int,
    ) -> None:
        self.fingerprint = fingerprint
        self.score_name = TITLES[metric.spec.score]
        self._metric = metric
        self._data = data
        self._word_vectors = word_vectors
        self._tokens_per_batch = tokens_per_batch
        self._train = data.splits["train"]
        self._plan = _plan(self._train, tokens_per_batch, seed)

    def start(self, model: nn.Module) -> None:
        """Gives embeddings their pretrained word vectors. Raises: DataError for a file that does not fit."""
        tokenizers = {"source": self._data.source_tokenizer, "target": self._data.target_tokenizer}
        for side, path in self._word_vectors.items():
            fill_embedding(model, side, tokenizers[side], path)

    def epoch(self, number: int) -> Sequence[Integers]:
        """The numbers of the pairs of each batch: a function of text, tokens_per_batch, seed and number."""
        return self._plan.epoch(number)

    def batch(self, key: Integers) -> TranslationBatch:
        """The batch of the training pairs with those numbers."""
        return _batch(self._train, key)

    def example(self) -> str:
        """The first training pair."""
        source, target = next(self._data.text("train"))
        return f"{shortened(source)} → {shortened(target)}"

    def loss(self, model: nn.Module, batch: TranslationBatch, *, label_smoothing: float) -> Loss:
        """Cross-entropy of the target's tokens and its end, and what the model's parts add to it in training.

        Only positions with a label reach the vocabulary. The decoder is given no target mask: padding stands
        after every real token, where causal attention does not look.
        """
        translator = cast(Any, model)
        memory = translator.encode(batch.source, source_mask=batch.source_mask)  # [B, S, D]
        hidden = translator.decode(batch.target_input, memory, source_mask=batch.source_mask)  # [B, T, D]
        hidden = hidden.flatten(0, 1).index_select(0, batch.places)  # [N, D]
        sums: Sums = translator.head.loss(hidden, batch.labels, label_smoothing=label_smoothing)
        loss = sums.loss
        if (auxiliary := auxiliary_loss(model)) is not None:
            loss = loss + sums.count * auxiliary
        return Loss(loss, sums.nll, sums.count, sums.count + batch.n_source_tokens)

    def validate(
        self,
        model: nn.Module,
        *,
        decoding: Spec,
        n_sentences: int,
        is_wanted: Callable[[], bool],
        report: Report | None = None,
    ) -> Validation | None:
        """Loss of a token over the whole validation set, and the score of its first n_sentences.

        Raises: DataError where BLEU's tokenizer needs what is not installed.
        """
        device = next(model.parameters()).device
        dev = self._data.splits["dev"]
        nll, n_tokens = 0.0, 0
        keys = _plan(dev, self._tokens_per_batch, 0).epoch(0)
        for number, key in enumerate(keys):
            if not is_wanted():
                return None
            if report is not None:
                report("validating, batches", number, len(keys))
            loss = self.loss(model, _batch(dev, key).to(device), label_smoothing=0.0)
            nll, n_tokens = nll + loss.nll.item(), n_tokens + loss.n_tokens
        mean = nll / n_tokens
        metrics: dict[str, float] = {
            "loss": mean,
            "perplexity": math.exp(min(mean, 700.0)),
        }  # e^710 is no float any more
        if not n_sentences:
            return Validation(mean, None, metrics)
        try:
            value = self._score(model, DECODING.build(decoding), n_sentences, is_wanted, report)
        except _UnwantedError:
            return None
        metrics[self._metric.spec.score] = value
        return Validation(mean, value, metrics, is_error=self._metric.is_error)

    def _score(
        self,
        model: nn.Module,
        decoding: Decoding,
        n_sentences: int,
        is_wanted: Callable[[], bool],
        report: Report | None,
    ) -> float:
        def decode(model: nn.Module, source: Tensor, source_mask: Tensor, *, is_token: Tensor) -> Any:
            if not is_wanted():
                raise _UnwantedError
            return decoding(model, source, source_mask, is_token=is_token)

        sources, references = unzipped(islice(self._data.text("dev"), n_sentences))
        tokenizers = self._data.source_tokenizer, self._data.target_tokenizer
        progress = None if report is None else partial(report, "validating, sentences")
        outputs = translate(model, tokenizers, sources, decode, progress=progress)
        return self._metric.chosen([output[0].text for output in outputs], references)


class _UnwantedError(Exception):
    """Ends a decoding that nobody waits for any more; never leaves this file."""


def _plan(pairs: TokenPairs, tokens_per_batch: int, seed: int) -> BatchPlan:
    # A row of a batch is a token longer than the text: BOS before it, or EOS after it.
    return BatchPlan(
        pairs.source.lengths() + 1, pairs.target.lengths() + 1, tokens_per_batch=tokens_per_batch, seed=seed
    )


def _batch(pairs: TokenPairs, key: Integers) -> TranslationBatch:
    # What a GPU would have to be waited for, which positions are real, is found out here, on the CPU.
    batch = collate(pairs, key)
    return TranslationBatch(
        batch.source,
        None if batch.source_mask.all() else batch.source_mask,
        batch.target_input,
        batch.target_mask.flatten().nonzero().squeeze(1),
        batch.labels[batch.target_mask],
        batch.n_source_tokens,
    )


def unzipped(rows: Iterable[tuple[str, ...]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Sources, and the references of each."""
    all_rows = list(rows)
    return [row[0] for row in all_rows], [row[1:] for row in all_rows]


def shortened(text: str, longest: int = 60) -> str:
    """A text's beginning, for a line."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
