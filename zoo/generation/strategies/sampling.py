"""Sampling: each token drawn by the model's probabilities, narrowed as the spec says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.generation.constraints import ConstrainedSpec, Constraints, never_written
from zoo.generation.max_length import LengthLimit, MaxLength
from zoo.generation.search import (
    Hypothesis,
    checked,
    kept_places,
    length_limits,
    searchable,
)
from zoo.generation.streaming import Step, Steps, result_of
from zoo.kinds import DECODING
from zoo.special_ids import SpecialIds
from zoo.storage.hashing import sha256


class SamplingSpec(ConstrainedSpec):
    type: Literal["sampling"] = "sampling"
    temperature: float = Field(1.0, gt=0, le=1000)
    """What logits are divided by: below 1 the probable becomes more so."""
    top_k: int | None = Field(None, ge=1, le=10**7)
    """Drawn from so many most probable tokens; null: from all."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Drawn from the fewest most probable tokens that have this probability together."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Drawn from tokens that have at least this share of the most probable one's probability."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other outputs."""
    max_length: MaxLength = "source + 50"
    """The most tokens of an output, its end not counted: a number, or a rule such as `source * 2 + 10`."""
    ids: SpecialIds = SpecialIds()
    """The ids that begin and end an output; by default this project's own."""


@DECODING.register(
    "sampling",
    spec=SamplingSpec,
    examples=[
        {"temperature": 0.8, "top_k": 5},
        {"top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.2, "no_repeat_ngram": 2, "min_length": 3},
    ],
)
class Sampling:
    """Draws token after token until that is an end, or the maximum length is reached.

    The logits pass, in this order: the constraints (see zoo.generation.constraints), temperature, top-k, top-p, min-p.
    What is drawn depends on the seed and the input alone, not on the batch: equal inputs have equal outputs.
    Source: Fan et al. 2018 (top-k), Holtzman et al. 2020 (top-p), Nguyen et al. 2024 (min-p), in the order and details
        of transformers.
    Shapes: source [B, S], source_mask bool [B, S] or None, is_token bool [n] or None: which ids there is a token
        for, none from n on -> for each of B sentences a list of one Hypothesis, whose score is the log probability
        that the model gives it. For a decoder-only model source is the prompt.
    Raises: ValueError for a model in training mode or without a decoder; DivergedError when its logits are
        not finite.
    """

    def __init__(
        self,
        *,
        temperature: float,
        top_k: int | None,
        top_p: float,
        min_p: float,
        repetition_penalty: float,
        no_repeat_ngram: int,
        min_length: int,
        seed: int,
        max_length: int | str,
        ids: SpecialIds,
    ) -> None:
        self.temperature, self.top_k, self.top_p, self.min_p = temperature, top_k, top_p, min_p
        self.constraints = Constraints(
            repetition_penalty=repetition_penalty,
            no_repeat_ngram=no_repeat_ngram,
            min_length=min_length,
            ids=ids,
        )
        self.seed = seed
        self.limit = LengthLimit(max_length)
        self.ids = ids

    def __call__(
        self,
        model: nn.Module,
        source: Tensor,
        source_mask: Tensor | None = None,
        *,
        is_token: Tensor | None = None,
    ) -> list[list[Hypothesis]]:
        return result_of(self.steps(model, source, source_mask, is_token=is_token))

    @torch.no_grad()
    def steps(
        self,
        model: nn.Module,
        source: Tensor,
        source_mask: Tensor | None = None,
        *,
        is_token: Tensor | None = None,
    ) -> Steps[list[list[Hypothesis]]]:
        """The same token by token."""
        batch = searchable(model, source, source_mask, self.ids)
        inputs = [row if source_mask is None else row[source_mask[i]] for i, row in enumerate(source)]
        generators = [self._generator(row) for row in inputs]
        found: list[Hypothesis | None] = [None] * len(inputs)
        logits = batch.start()  # [B, V]
        device = logits.device
        never = never_written(self.ids, is_token, logits.shape[1], device)
        sentences = list(range(len(inputs)))  # which sentence each row is
        limits = length_limits(batch, self.limit, self.ids)
        written: list[list[int]] = [[] for _ in inputs]  # by sentence
        totals = [0.0] * len(inputs)
        while True:
            log_probs = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
            scores = logits.to(log_probs.dtype).index_fill(1, never, -math.inf)
            n_written = len(written[sentences[0]])
            if self.constraints.act(n_written):
                outputs = torch.tensor([written[i] for i in sentences], dtype=torch.int64)
                scores = self.constraints(scores, batch.before[sentences], outputs)
            scores = self.narrowed(scores)
            tokens = _drawn(scores, [generators[i].random() for i in sentences]).tolist()
            # At the limit only the end may follow, at its own probability.
            tokens = [
                self.ids.ends[0] if limits[i] <= n_written else token
                for i, token in zip(sentences, tokens, strict=True)
            ]
            gained = log_probs.gather(1, torch.tensor(tokens, device=device)[:, None]).squeeze(1).tolist()
            is_done = []
            for i, token, log_prob in zip(sentences, tokens, gained, strict=True):
                totals[i] += log_prob
                is_done.append(token in self.ids.ends)
                if is_done[-1]:
                    found[i] = Hypothesis(written[i], score=totals[i], log_probability=totals[i])
                else:
                    written[i].append(token)
            if any(is_done):
                places = kept_places(torch.tensor(is_done, device=device))
                if not len(places):
                    return [checked([hypothesis] if hypothesis else []) for hypothesis in found]
                kept = places.tolist()
                sentences, tokens = [sentences[place] for place in kept], [tokens[place] for place in kept]
                batch.reorder(places)
                batch.select(places)
            yield Step(sentences, tokens)
            logits = batch.step(torch.tensor(tokens, device=device))

    def narrowed(self, scores: Tensor) -> Tensor:
        """The logits that are drawn from, -inf where nothing is: scores [N, V] -> [N, V]."""
        scores = scores / self.temperature
        if self.top_k is not None and self.top_k < scores.shape[1]:
            least = scores.topk(self.top_k).values[:, -1:]
            scores = scores.masked_fill(scores < least, -math.inf)
        if self.top_p < 1:
            ordered, places = scores.sort(descending=False)
            is_out = ordered.softmax(-1).cumsum(-1) <= 1 - self.top_p
            is_out[:, -1] = False
            scores = scores.masked_fill(is_out.scatter(1, places, is_out), -math.inf)
        if self.min_p:
            probabilities = scores.softmax(-1)
            is_out = probabilities < self.min_p * probabilities.amax(-1, keepdim=True)
            scores = scores.masked_fill(is_out, -math.inf)
        return scores

    def _generator(self, row: Tensor) -> np.random.Generator:
        values = row.double() if row.is_floating_point() else row
        digest = int(sha256(values.cpu().numpy().tobytes())[:16], 16)
        return np.random.Generator(np.random.Philox(key=np.array([self.seed, digest], np.uint64)))


def _drawn(scores: Tensor, numbers: Sequence[float]) -> Tensor:
    """Of each row of logits [N, V] the token at which the probabilities sum up to a number in [0, 1): int64 [N]."""
    sums = scores.double().softmax(-1).cumsum(-1)  # in float64: those of a large vocabulary add up to 1
    wanted = torch.tensor(numbers, dtype=torch.float64, device=scores.device)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True).squeeze(1).clamp(max=scores.shape[1] - 1)
