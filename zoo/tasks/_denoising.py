"""What the tasks have in common that damage a text and learn to mend it, by an encoder-decoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.data.store import Example, ExampleStore
from zoo.generation.output import Output, outputs
from zoo.kinds import METRIC, Row
from zoo.tasks._sequence_pairs import pair_batch, pair_loss
from zoo.tasks._text import TextSpec, TextTask
from zoo.tasks.task import Batch, Loss, Refusal, search_with

IDS = NDArray[np.int64]


class DenoisingSpec(TextSpec):
    searches: ClassVar = True

    mean_span: float = Field(3.0, ge=1, le=1000)
    """Tokens of a hidden span on average."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over the vocabulary."""
    validation_texts: int = Field(100, ge=0, le=10**9)
    """Validation texts that are mended by a search, as `generation` says, for the score; 0 for none."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "reconstruction"))
    """How mended texts are scored."""

    def check(self, *, model: Spec) -> None:
        self.check_model(model, writes=True)
        if set(model.slots) != {"source", "target"}:  # type: ignore[attr-defined]
            name: str = model.type
            raise ValueError(
                f"this task needs a model that reads a source and writes a target; {name} does not"
            )


class DenoisingTask(TextTask):
    """A text is damaged by `vary` anew in each epoch, and always alike where it is measured.

    Shapes: of a batch as zoo.tasks._sequence_pairs.pair_batch has them.
    """

    is_likely: ClassVar = True
    writes_text: ClassVar = True

    @property
    def n_added(self) -> int:
        return len(self.tokenizer.whole(()))

    def __init__(
        self,
        *,
        mean_span: float,
        label_smoothing: float,
        validation_texts: int,
        metric: Spec,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.mean_span = mean_span
        self.label_smoothing = label_smoothing
        self.validation_texts = validation_texts
        self.metric_spec = metric

    @abstractmethod
    def damaged(self, text: IDS, random: np.random.Generator) -> tuple[Sequence[int], Sequence[int]]:
        """A text's ids as the model reads them, and what it is to write, both without their end."""

    @property
    def writable(self) -> Sequence[int]:
        """Ids of the task's own that the model may write."""
        return ()

    # From examples to batches

    def vary(self, example: Example, random: np.random.Generator, *, is_training: bool) -> Example:
        """source and target, with their ends; only a source of a text that came damaged."""
        if "marked" in example:
            return {"source": np.array(self.tokenizer.whole(example["marked"].tolist()))}
        text = self.cropped(example["text"], random, is_training=is_training)
        source, target = self.damaged(text, random)
        sides = {"source": source, "target": target}
        return {side: np.array(self.tokenizer.whole(tokens)) for side, tokens in sides.items()}

    def unvaried(self, example: Example) -> Example:
        return {"source": np.array(self.tokenizer.whole(self.beginning(example).tolist()))}

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        whole = np.minimum(store.columns["text"].lengths() + self.n_added, self.max_length)
        return np.stack([whole, whole], axis=1)

    def length(self, example: Example) -> int:
        if "source" in example:
            return len(example["source"])
        tokens = next(example[name] for name in ("marked", "text") if name in example)
        return min(len(tokens) + self.n_added, self.max_length)

    def collate(self, examples: Sequence[Example]) -> Batch:
        tokenizer = self.tokenizer
        return pair_batch(examples, source_pad=tokenizer.pad, target_pad=tokenizer.pad, start=tokenizer.start)

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        return pair_loss(model, batch, label_smoothing=self.label_smoothing if is_training else 0.0)

    @property
    def n_scored(self) -> int:
        return self.validation_texts

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[list[Output]]:
        """What the model writes for each source, best first.

        Special ids are the tokenizer's: see zoo.tasks.task.search_with.
        """
        assert decoding is not None
        is_token = torch.zeros(self.vocab_size, dtype=torch.bool)
        is_token[: self.tokenizer.vocab_size] = torch.tensor(self.tokenizer.is_token(), dtype=torch.bool)
        is_token[list(self.writable)] = True
        found = search_with(decoding, self.tokenizer)(
            model, batch["source"], batch.get("source_mask"), is_token=is_token
        )
        return [outputs(hypotheses, self) for hypotheses in found]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids, the task's own as they are marked."""
        return self.tokenizer.decode(rows)

    def written(self, answer: Any) -> dict[str, Any]:
        return {"text": answer[0].text, "score": answer[0].score}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        return {"text": row["text"], "written": "" if isinstance(answer, Refusal) else answer[0].text}


def placed(lengths: Sequence[int], n: int, random: np.random.Generator) -> list[int]:
    """Where spans of those lengths begin in n tokens, at random: in order, at least one token between two.

    Every such placing is as probable. There must be room for it.
    """
    n_kept = n - sum(lengths)
    # Before, between and after the n_kept tokens are n_kept + 1 gaps: each span falls in one, no two in the same.
    gaps = np.sort(random.permutation(n_kept + 1)[: len(lengths)])
    before = np.cumsum([0, *lengths[:-1]])
    return [int(gap + taken) for gap, taken in zip(gaps, before, strict=True)]
