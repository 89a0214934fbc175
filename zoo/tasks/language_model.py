"""Causal language modelling: text in, summed cross-entropy of each next token out; a prompt's continuation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.data.arrangement import Arrangement
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.collate import padded
from zoo.data.packing import Packing, Sampling
from zoo.data.store import Example, ExampleStore
from zoo.data.tokenizer import Tokenizer
from zoo.generation.output import Output, one_line
from zoo.generation.search import n_positions
from zoo.kinds import TASK, TOKENIZER, Row, mask_name
from zoo.progress import Report
from zoo.tasks._tokenizers import check_tokenizer, learn_tokenizer
from zoo.tasks.task import (
    Batch,
    Loss,
    Refusal,
    Rows,
    Searched,
    Task,
    TaskSpec,
    broken_text,
    ids,
    require,
    search_with,
    shortened,
    total,
)


class LanguageModelSpec(TaskSpec):
    reads: ClassVar = ("text",)
    longest_key: ClassVar = "length"

    type: Literal["language_model"] = "language_model"
    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "sentencepiece"))
    """How text becomes tokens, learnt from the training text; the vocabulary's size is the model's."""
    length: int = Field(256, ge=1, le=10**6)
    """Tokens of a block, the context that is learnt from."""
    documents: Literal["packed", "joined"] = "packed"
    """What the documents are that lie in one block: packed, none sees another, and positions begin anew with each; or
    joined to one text, in which attention goes across, as GPT-2 and nanoGPT have it."""
    sampling: Sampling = "epochs"
    """epochs: blocks one after the other, shuffled, so that an epoch predicts every token once; random: each block from
    anywhere, as nanoGPT draws them."""
    stride: int | None = Field(None, ge=1, le=10**6)
    """Tokens by which the window of an evaluation moves on: all tokens scored have at least length - stride before
    them, but for those of a document's beginning. null: length, so that windows do not overlap."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over the vocabulary."""

    def check(self, *, model: Spec) -> None:
        require(model, learns={"token"}, reads_tokens=True, writes=True, has_one_input=True)
        if self.stride is not None and self.stride > self.length:
            raise ValueError(f"stride ({self.stride}) must be at most length ({self.length})")

    @property
    def longest(self) -> int:
        return self.length


@TASK.register(
    "language_model",
    spec=LanguageModelSpec,
    examples=[
        {"data": {"type": "grammar_text", "n_train": 11, "n_dev": 3, "n_test": 3}, "tokenizer": "characters"},
        {
            "data": {"type": "grammar_text", "n_train": 11, "n_dev": 3, "n_test": 3},
            "tokenizer": "words",
            "length": 7,
            "documents": "joined",
            "sampling": "random",
            "stride": 3,
        },
    ],
)
class LanguageModelling(Task):
    """Learns to predict each token of a text from those before it, with a model that reads and writes one input.

    A document is its tokens and EOS; its first token is predicted from BOS, and EOS is predicted like any token. So
    a prompt begins with BOS. Perplexity is a token's, ends included; bits per byte those of the text alone, which no
    choice of tokens makes smaller, and the bits of ends are counted among them.
    Source: Radford et al. 2018 and 2019 (GPT, GPT-2); packing without attention across documents: Grattafiori et al.
        2024 (Llama 3), section 3.2; overlapping windows: Baevski and Auli 2019, section 5.4.
    Shapes: of a batch to learn from, tokens int64 [B, T], mask bool [B, T] or None where nothing is padded, documents
        int64 [B, T] or None where attention may go everywhere; of the N tokens that are predicted, labels int64 [N]
        and places int64 [N], where they stand in a flattened [B, T]. A batch of prompts has tokens and mask.
    """

    is_likely: ClassVar = True
    writes_text: ClassVar = True
    coder_names: ClassVar = ("tokenizer",)
    size_keys: ClassVar = ("training.tokens_per_batch", "task.length")

    def __init__(
        self,
        *,
        tokenizer: Spec,
        length: int,
        documents: Literal["packed", "joined"],
        sampling: Sampling,
        stride: int | None,
        label_smoothing: float,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.tokenizer_spec = tokenizer
        self.block_length = length
        self.is_packed = documents == "packed"
        self.sampling: Sampling = sampling
        self.stride = stride or length
        self.label_smoothing = label_smoothing

    # What is learnt from the data before training

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer."""
        return cast(Tokenizer, self.coders["tokenizer"])

    @property
    def vocab_size(self) -> int:
        """The model's."""
        (slot,) = self.model.slots.values()  # type: ignore[attr-defined]
        size: int = slot.vocab_size
        return size

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        tokenizer = learn_tokenizer(
            self.tokenizer_spec,
            rows,
            lambda row: (row["text"],),
            vocab_size=self.vocab_size,
            n_rows=n_rows,
            report=report,
        )
        return {"tokenizer": tokenizer}

    def check_coders(self, folder: Path) -> None:
        check_tokenizer(folder, "tokenizer", self.coders["tokenizer"], self.tokenizer_spec, self.vocab_size)

    # From rows to batches

    @property
    def recipe(self) -> str:
        return f"language_model {self.tokenizer.sha256}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        texts = [row["text"] for row in rows]
        found: list[Example | Rejected] = []
        for text, tokens in zip(texts, self.tokenizer.encode(texts), strict=True):
            if not tokens:
                found.append(Rejected("no token", "there is no token in this text"))
                continue
            example = {"tokens": ids([*tokens, self.tokenizer.end], self.tokenizer.vocab_size)}
            found.append({**example, "bytes": np.array([len(text.encode())])} if is_scored else example)
        return found

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        """The prompts: what begins one, and the tokens of each, perhaps none."""
        longest = n_positions(model)
        faults = [broken_text(row["text"]) for row in rows]
        texts = ["" if fault else row["text"] for row, fault in zip(rows, faults, strict=True)]
        found: list[Example | Refusal] = []
        for fault, tokens in zip(faults, self.tokenizer.encode(texts), strict=True):
            whole = self.tokenizer.prompt(tokens)
            n = len(whole)
            if not fault and longest is not None and n > longest:
                fault = f"{n} tokens, its beginning included, but the model has positions for {longest}"
            prompt = {"tokens": ids(whole, self.tokenizer.vocab_size)}
            found.append(Refusal(fault) if fault else prompt)
        return found

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return np.minimum(store.columns["tokens"].lengths(), self.block_length)[:, None]

    def arranged(
        self,
        store: ExampleStore,
        *,
        is_training: bool,
        tokens_per_batch: int,
        rows_per_batch: int | None,
        seed: int,
    ) -> Arrangement:
        return Packing(
            store,
            start=self.tokenizer.start,
            length=self.block_length,
            stride=self.stride,
            sampling=self.sampling,
            is_training=is_training,
            tokens_per_batch=tokens_per_batch,
            rows_per_batch=rows_per_batch,
            seed=seed,
        )

    def length(self, example: Example) -> int:
        return len(example["tokens"])

    def collate(self, examples: Sequence[Example]) -> Batch:
        tokens, mask = padded([example["tokens"] for example in examples], fill=self.tokenizer.pad)
        B, T = tokens.shape
        n_tokens = sum(len(example["tokens"]) for example in examples)
        tensors = {"tokens": tokens, "mask": mask}
        size = f"{B} × {T} tokens"
        if "labels" not in examples[0]:
            return Batch(tensors, size=size, n_processed=n_tokens)
        # Padding stands behind what is real, and what is not scored before what is.
        places = [
            np.arange(len(example["labels"]) - int(example["scored"][0]), len(example["labels"])) + row * T
            for row, example in enumerate(examples)
        ]
        labels = np.concatenate([example["labels"][-int(example["scored"][0]) :] for example in examples])
        documents = None
        if self.is_packed and any(
            example["documents"][0] != example["documents"][-1] for example in examples
        ):
            documents = padded([example["documents"] for example in examples], fill=-1)[0]
        tensors |= {
            "documents": documents,
            "places": torch.from_numpy(np.concatenate(places)),
            "labels": torch.from_numpy(labels.astype(np.int64)),
            "bytes": None,
        }
        if "bytes" in examples[0]:
            tensors["bytes"] = torch.from_numpy(sum(example["bytes"] for example in examples))
        return Batch(tensors, size=size, n_processed=n_tokens)

    # Learning

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Cross-entropy of the tokens that are predicted, and what the model's parts add to it in training."""
        learner = cast(Any, model)
        given = {mask_name(learner, learner.writes): batch.get("mask"), "documents": batch.get("documents")}
        given = {name: tensor for name, tensor in given.items() if tensor is not None}
        hidden, _ = learner.hidden(batch["tokens"], **given)  # [B, T, D]
        hidden = hidden.flatten(0, 1)
        if len(batch["places"]) < len(hidden):  # ascending: as many as there are, they are all of them
            hidden = hidden.index_select(0, batch["places"])  # [N, D]
        smoothing = self.label_smoothing if is_training else 0.0
        sums = learner.head.loss(hidden, batch["labels"], label_smoothing=smoothing)
        n_bytes = batch.get("bytes")
        if n_bytes is None:
            return total(sums, model, batch)
        return total(sums, model, batch, tokens=sums.count, bytes=int(n_bytes))

    def derived(self, mean_nll: float, sums: Mapping[str, float]) -> dict[str, float]:
        found = super().derived(mean_nll, sums)
        if sums.get("bytes"):
            found["bits_per_byte"] = mean_nll * sums["tokens"] / sums["bytes"] / math.log(2)
        return found

    # Predicting

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[list[Output]]:
        """The continuations of each prompt, best first, without it.

        Special ids are the tokenizer's: see zoo.tasks.task.search_with.
        """
        assert decoding is not None
        return self.searched(batch, decoding).outputs(model)

    def searched(self, batch: Batch, decoding: Spec) -> Searched:
        search = search_with(decoding, self.tokenizer)
        return Searched(search, batch["tokens"], batch.get("mask"), self.tokenizer)

    def written(self, answer: Any) -> dict[str, Any]:
        return {"text": answer[0].text, "score": answer[0].score}

    def shown(self, row: Row) -> str:
        return shortened(one_line(row["text"]))
