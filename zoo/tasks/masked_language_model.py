"""Masked language model: text in, the tokens that are hidden in it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.data.collate import padded
from zoo.data.store import Example, ExampleStore
from zoo.kinds import METRIC, TASK, Metric, Row
from zoo.kinds.model import mask_name
from zoo.metrics.masked_tokens import Guesses
from zoo.tasks._text import TextSpec, TextTask
from zoo.tasks.task import Batch, Loss, Refusal, total

MARK = "[MASK]"
UNKNOWN = -1
"""The label of a token that only the user knows."""
PSEUDO_TOKENS = 2048
"""Tokens of a batch of copies of one text, in each of which another token is hidden."""


class MaskedLanguageModelSpec(TextSpec):
    type: Literal["masked_language_model"] = "masked_language_model"
    masked: float = Field(0.8, ge=0, le=1)
    """Share of the hidden tokens in whose place stands the mask: the tokenizer's, or else the last id of the model's
    vocabulary."""
    replaced: float = Field(0.1, ge=0, le=1)
    """Share of them in whose place stands a token drawn at random; the others stay, and are guessed like all."""
    whole_words: bool = False
    """Whether words are hidden as a whole, rather than tokens."""
    pseudo_perplexity: bool = False
    """Whether what is measured reports pseudo-perplexity as well: each token hidden alone, which takes as many passes
    as there are tokens. Ask for it in an evaluation: `zoo evaluate RUN task.pseudo_perplexity=true`."""
    validation_texts: int = Field(1000, ge=0, le=10**9)
    """Validation texts whose hidden tokens are guessed for the score; 0 for none. The loss is that of all."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "masked_tokens"))
    """How guesses are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        self.check_model(model, writes=False)
        if self.masked + self.replaced > 1:
            raise ValueError(
                f"masked ({self.masked}) and replaced ({self.replaced}) must be at most 1 together"
            )


@TASK.register(
    "masked_language_model",
    spec=MaskedLanguageModelSpec,
    examples=[
        {"data": {"type": "grammar_text", "n_train": 11, "n_dev": 3, "n_test": 3}, "tokenizer": "words"}
    ],
)
class MaskedLanguageModelling(TextTask):
    """Learns to guess tokens that are hidden in a text, from both sides.

    A row is hidden anew in each epoch, and always alike where it is measured. An input is BOS, the text, EOS,
    or what a tokenizer that came with a checkpoint puts around it.
    Source: Devlin et al. 2019, section 3.1 and appendix A.1; whole words: their code's later release; anew in each
        epoch: Liu et al. 2019, section 4.1; pseudo-perplexity: Salazar et al. 2020.
    Shapes: of a batch, tokens int64 [B, T], mask bool [B, T] or None where nothing is padded, original int64 [B, T]
        with nothing hidden; of the M hidden tokens labels int64 [M] and places int64 [M], where they stand in a
        flattened [B, T].
    """

    is_likely: ClassVar = True

    @property
    def n_added(self) -> int:
        return self.tokenizer.n_framing()

    def __init__(
        self,
        *,
        masked: float,
        replaced: float,
        whole_words: bool,
        pseudo_perplexity: bool,
        validation_texts: int,
        metric: Spec,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.masked = masked
        self.replaced = replaced
        self.whole_words = whole_words
        self.pseudo_perplexity = pseudo_perplexity
        self.validation_texts = validation_texts
        self.metric_spec = metric

    @property
    def mask_id(self) -> int:
        """The token that stands for a hidden one: the tokenizer's, or else the last of the model's vocabulary."""
        return self.mask

    @property
    def marks(self) -> Mapping[str, int]:
        return self.mask_marks(MARK)

    # From examples to batches

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return np.minimum(store.columns["text"].lengths() + self.n_added, self.max_length)[:, None]

    def length(self, example: Example) -> int:
        tokens = next(example[name] for name in ("tokens", "marked", "text") if name in example)
        return min(len(tokens) + self.n_added, self.max_length)

    def vary(self, example: Example, random: np.random.Generator, *, is_training: bool) -> Example:
        """tokens, places and labels of the hidden ones, and original, the same with nothing hidden."""
        if "marked" in example:
            tokens = example["marked"].astype(np.int64)
            places = (tokens == self.mask_id).nonzero()[0]
            return {
                "tokens": tokens,
                "original": tokens,
                "places": places,
                "labels": np.full(len(places), UNKNOWN),
            }
        original = self.cropped(example["text"], random, is_training=is_training)
        places = np.sort(self._hidden(original, random))
        draws, tokens = random.random(len(places)), original.copy()
        tokens[places[draws < self.masked]] = self.mask_id
        replaced = places[(draws >= self.masked) & (draws < self.masked + self.replaced)]
        tokens[replaced] = self._ordinary[random.integers(len(self._ordinary), size=len(replaced))]
        return {"tokens": tokens, "original": original, "places": places, "labels": original[places]}

    def unvaried(self, example: Example) -> Example:
        tokens, none = self.beginning(example), np.empty(0, np.int64)
        return {"tokens": tokens, "original": tokens, "places": none, "labels": none}

    @cached_property
    def _ordinary(self) -> NDArray[np.int64]:
        """The ids that may stand in the place of another."""
        return self.tokenizer.ordinary

    def _hidden(self, tokens: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """The places of the tokens to hide: the share that the rate says, and at least one."""
        n = max(1, round(self.rate * len(tokens)))
        if not self.whole_words:
            return random.permutation(len(tokens))[:n]
        begins, is_word = self._word_parts
        starts = begins[tokens] | ~is_word[tokens]
        starts[1:] |= ~is_word[tokens[:-1]]
        starts[0] = True
        words = np.split(np.arange(len(tokens)), starts.nonzero()[0][1:])
        hidden: list[int] = []
        for number in random.permutation(len(words)):
            # As in the authors' code: a word that is too much is passed over. The first may be the only one.
            if not hidden or len(hidden) + len(words[number]) <= n:
                hidden += words[number].tolist()
        return np.array(hidden)

    @cached_property
    def _word_parts(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For each id whether it begins a word, as a space before it tells, and whether it is of a word at all."""
        alone, twice = self.token_texts
        pairs = zip(alone, twice, strict=True)
        begins = [len(both.split()) > 2 * len(one.split()) - 1 for one, both in pairs]
        return np.array(begins), np.array([any(map(str.isalnum, one)) for one in alone])

    @property
    def _edges(self) -> tuple[int, int]:
        """How many ids stand before the text's own, and how many behind them."""
        before = [number for number, _ in self.tokenizer.frames[0]].index(None)
        return before, self.n_added - before

    def collate(self, examples: Sequence[Example]) -> Batch:
        tokenizer = self.tokenizer
        first = self._edges[0]

        def rows(name: str) -> tuple[Tensor, Tensor | None]:
            framed = [np.array(tokenizer.framed(example[name].tolist())[0]) for example in examples]
            return padded(framed, fill=tokenizer.pad)

        tokens, mask = rows("tokens")
        B, T = tokens.shape
        places = np.concatenate([row * T + first + example["places"] for row, example in enumerate(examples)])
        tensors = {
            "tokens": tokens,
            "mask": mask,
            "original": rows("original")[0],
            "places": torch.from_numpy(places),
            "labels": torch.from_numpy(np.concatenate([example["labels"] for example in examples])),
        }
        return Batch(
            tensors, size=f"{B} × {T} tokens", n_processed=B * T if mask is None else int(mask.sum())
        )

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Cross-entropy of the hidden tokens, and what the model's parts add to it in training."""
        hidden = self._vectors(model, batch["tokens"], batch.get("mask"), batch["places"])  # [M, D]
        sums = cast(Any, model).head.loss(hidden, batch["labels"], label_smoothing=0.0)
        return total(sums, model, batch)

    def _vectors(self, model: nn.Module, tokens: Tensor, mask: Tensor | None, places: Tensor) -> Tensor:
        """The model's vectors [M, D] at places int64 [M] of flattened tokens [B, T]."""
        reader = cast(Any, model)
        hidden, _ = reader.hidden(tokens, **{mask_name(reader, next(iter(reader.slots))): mask})  # [B, T, D]
        return hidden.flatten(0, 1).index_select(0, places)

    def hidden(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The vectors of texts in which nothing is hidden but what came so [B, T, D], and which are of real tokens."""
        reader, mask = cast(Any, model), batch.get("mask")
        named = {mask_name(reader, next(iter(reader.slots))): mask}
        found: tuple[Tensor, Tensor | None] = reader.hidden(batch["original"], **named)
        return found

    @property
    def n_scored(self) -> int:
        return self.validation_texts

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[Guesses]:
        """Guesses at the hidden tokens of each row."""
        tokens, mask, places, labels = batch["tokens"], batch.get("mask"), batch["places"], batch["labels"]
        vectors = self._vectors(model, tokens, mask, places)
        log_probs = cast(Any, model).head(vectors[None])[0].float().log_softmax(-1)  # [M, V]
        best, guesses = log_probs.max(-1)
        nll = -log_probs.gather(1, labels.clamp(min=0)[:, None])[:, 0] * (labels != UNKNOWN)
        filled = batch["original"].flatten().scatter(0, places, guesses).view_as(tokens).cpu()
        found = []
        for row in range(len(tokens)):
            here = places // tokens.shape[1] == row
            inside = slice(None) if mask is None else mask[row].cpu()
            whole = self._inner(filled[row][inside]).tolist()
            text, *words = self.tokenizer.decode([whole, *([guess] for guess in guesses[here].tolist())])
            pseudo = self._pseudo(model, batch["original"][row][inside]) if self.pseudo_perplexity else None
            found.append(
                Guesses(
                    guesses[here].tolist(),
                    best[here].exp().tolist(),
                    float(nll[here].double().sum()),
                    text,
                    [word.strip() for word in words],
                    pseudo,
                    len(whole) if self.pseudo_perplexity else 0,
                )
            )
        return found

    def _inner(self, row: Tensor) -> Tensor:
        """What a row has [T] but for what stands around its text."""
        before, behind = self._edges
        return row[before : len(row) - behind]

    def _pseudo(self, model: nn.Module, original: Tensor) -> float:
        """Surprise at the tokens of one text [T], but for what stands around it, each hidden alone, in nats."""
        T = len(original)
        total_nll = 0.0
        for some in self._inner(torch.arange(T, device=original.device)).split(max(1, PSEUDO_TOKENS // T)):
            copies = original.repeat(len(some), 1)
            rows = torch.arange(len(some), device=original.device)
            copies[rows, some] = self.mask_id
            vectors = self._vectors(model, copies, None, rows * T + some)
            total_nll += float(cast(Any, model).head.loss(vectors, original[some], label_smoothing=0.0).nll)
        return total_nll

    def written(self, answer: Any) -> dict[str, Any]:
        """The text with the guesses in it, each guess, and its probability."""
        found = asdict(answer)
        return {name: found[name] for name in ("text", "words", "probabilities")}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        filled = "" if isinstance(answer, Refusal) else answer.text
        guesses = "" if isinstance(answer, Refusal) else " | ".join(answer.words)
        return {"text": row["text"], "filled": filled, "guesses": guesses}

    def metric(self) -> Metric:
        metric = super().metric()
        assert metric is not None
        if self.pseudo_perplexity and "pseudo_perplexity" not in metric.report:
            metric.report = (*metric.report, "pseudo_perplexity")
        return metric
