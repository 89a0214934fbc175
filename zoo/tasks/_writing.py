"""What the tasks have in common whose model reads something and writes tokens: an encoder-decoder's loss and search."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.store import Example
from zoo.data.tokenizer import Tokenizer
from zoo.generation.output import Output
from zoo.kinds import DECODING
from zoo.special_ids import SpecialIds
from zoo.tasks._sequence_pairs import pair_loss, with_targets
from zoo.tasks.task import Batch, Loss, Searched, Task, TaskSpec, ids

TOO_LONG = "over max_length"


class WritingSpec(TaskSpec):
    searches: ClassVar = True

    max_length: int = Field(256, ge=2, le=10**6)
    """Most tokens that are written in training, the end included."""
    too_long: Literal["drop", "error"] = "drop"
    """What happens to a longer row: left out and counted, or an error that names it."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target probability that is spread over the vocabulary."""
    validation_sentences: int = Field(500, ge=0, le=10**9)
    """Validation rows whose output is searched for, as `generation` says, for the score; 0 for none."""


def check_writer(model: Spec) -> None:
    """Raises: ValueError for a model that does not read one input and write another."""
    slots: Mapping[str, Spec] = model.slots  # type: ignore[attr-defined]
    if model.writes is None or len(slots) != 2:  # type: ignore[attr-defined]
        name: str = model.type
        raise ValueError(f"this task needs a model that reads one input and writes another; {name} does not")


class WritingTask(Task):
    """Examples have what is read, and `target`, the ids to be written with their end.

    Batches are as zoo.tasks._sequence_pairs.pair_batch has them, but that source is what the model reads.
    """

    is_likely: ClassVar = True
    size_keys: ClassVar = ("training.tokens_per_batch", "task.max_length")

    special: SpecialIds
    max_length: int
    too_long: str
    label_smoothing: float
    validation_sentences: int

    @abstractmethod
    def sources(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor | None, int]:
        """What is read, as a tensor [B, S, ...] with its mask bool [B, S], and its real places."""

    @property
    @abstractmethod
    def target_tokenizer(self) -> Tokenizer:
        """That of what is written."""

    def rejection(self, length: int) -> Rejected | None:
        """Why there is no example of a row whose longest side, its end included, has so many tokens."""
        if length <= self.max_length:
            return None
        detail = (
            f"{length} tokens with the end, over max_length {self.max_length} (task.too_long=drop leaves such rows out "
            "and counts them)"
        )
        return Rejected(TOO_LONG, detail)

    def target_of(self, tokens: Sequence[int]) -> NDArray[Any]:
        """What is to be written: the ids that every output begins with, the text's, the end."""
        written = [*self.special.first, *tokens, self.special.ends[0]]
        return ids(written, max(self.target_tokenizer.vocab_size, *(number + 1 for number in written)))

    @property
    def is_strict(self) -> bool:
        return self.too_long == "error"

    def collate(self, examples: Sequence[Example]) -> Batch:
        source, mask, n_source = self.sources(examples)
        S = source.shape[1] if mask is None else mask.shape[1]
        tensors = {"source": source, "source_mask": mask}
        return with_targets(tensors, examples, S, n_source, pad=self.special.pad, start=self.special.start)

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        return pair_loss(model, batch, label_smoothing=self.label_smoothing if is_training else 0.0)

    @property
    def n_scored(self) -> int:
        return self.validation_sentences

    def written_outputs(self, model: nn.Module, batch: Batch, decoding: Spec | None) -> list[list[Output]]:
        """What the search finds for each row, best first."""
        assert decoding is not None
        tokenizer = self.target_tokenizer
        search = DECODING.build(decoding)
        return Searched(search, batch["source"], batch.get("source_mask"), tokenizer).outputs(model)
