"""What the tasks have in common that hide something of a text and learn to say what it was.

Ids at the end of the model's vocabulary are theirs: a mask, or the sentinels of spans. A tokenizer trained here, which
knows no such tokens, is trained to the rest; one that came with a checkpoint may have its own, which are taken then. A
user's text may hold them by the marks they are written as.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.store import Example, ExampleStore
from zoo.data.tokenizer import Tokenizer
from zoo.kinds import TOKENIZER, Row
from zoo.progress import Report
from zoo.special_ids import N_SPECIAL
from zoo.tasks._tokenizers import check_tokenizer, learn_tokenizer
from zoo.tasks.task import Refusal, Rows, Task, TaskSpec, broken_text, ids, require, shortened

Ids = NDArray[np.integer]


class TextSpec(TaskSpec):
    reads: ClassVar = ("text",)

    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "sentencepiece"))
    """How text becomes tokens. Learnt from the training text; its vocabulary is the model's without the ids that the
    task needs for itself, which are the last ones."""
    max_length: int = Field(512, ge=8, le=10**6)
    """Most tokens of an input, begin and end included. A longer text gives a stretch of it: in training another one
    each time, where it is measured its beginning."""
    rate: float = Field(0.15, gt=0, lt=1)
    """Share of a text's tokens that are hidden; at least one is."""

    @property
    def longest(self) -> int:
        return self.max_length

    @property
    def n_reserved(self) -> int:
        """Ids at the end of the vocabulary that the task needs for itself."""
        return 1

    def check_model(self, model: Spec, *, writes: bool) -> None:
        """Raises: ValueError for a model that does not predict the vocabulary that it reads, or has no room in it."""
        require(model, learns={"token"}, reads_tokens=True, writes=writes)
        predicted = getattr(model.head, "predicts", None)  # type: ignore[attr-defined]
        if predicted is None:
            raise ValueError(f"this task needs a head that predicts a vocabulary; {model.head.type} does not")  # type: ignore[attr-defined]
        slots: Mapping[str, Any] = model.slots  # type: ignore[attr-defined]
        sizes = {slot.vocab_size for slot in slots.values() if hasattr(slot, "vocab_size")}
        if len(sizes) > 1:
            raise ValueError(
                "this task needs one vocabulary for what is read and written, such as by {share: source}"
            )
        if min(sizes) <= (needed := N_SPECIAL + self.n_reserved):
            raise ValueError(
                f"this task needs {self.n_reserved} of the vocabulary's ids for itself, and {N_SPECIAL} are special: "
                f"vocab_size ({min(sizes)}) must be above {needed}"
            )


class TextTask(Task):
    """Examples are `text`: the ids of a whole text, without begin and end. What is hidden is drawn by `vary`."""

    varies: ClassVar = True
    coder_names: ClassVar = ("tokenizer",)
    size_keys: ClassVar = ("training.tokens_per_batch", "task.max_length")
    n_least: ClassVar[int] = 1
    """The fewest tokens that an example can be made of."""
    n_reserved: int = 1
    """Ids at the end of the vocabulary that the task needs for itself."""

    def __init__(self, *, tokenizer: Spec, max_length: int, rate: float, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.tokenizer_spec = tokenizer
        self.max_length = max_length
        self.rate = rate
        self.vocab_size: int = next(iter(self.model.slots.values())).vocab_size  # type: ignore[attr-defined]

    @property
    def n_added(self) -> int:
        """Tokens that stand before and after the text's own in an input."""
        raise NotImplementedError

    @property
    def has_own_marks(self) -> bool:
        """Whether the tokenizer has ids for what the task marks, so that none at the end of the vocabulary are."""
        return self.tokenizer.mask is not None

    @property
    def mask(self) -> int:
        """The id of the mask: the tokenizer's, or else the last of the model's vocabulary."""
        return self.vocab_size - 1 if self.tokenizer.mask is None else self.tokenizer.mask

    def with_own_marks(self, text: str) -> str | None:
        """A text with marks as the tokenizer writes them; None where it reads none from text."""
        if (own := self.tokenizer.mask_text) is None:
            return None
        for mark in self.marks:
            text = text.replace(mark, own)
        return text

    def mask_marks(self, mark: str) -> dict[str, int]:
        """How the mask is written in a text: by that mark, and as the tokenizer writes its own."""
        return dict.fromkeys((mark, self.tokenizer.mask_text or mark), self.mask)

    @property
    def marks(self) -> Mapping[str, int]:
        """The ids that are the task's own, by how they are written in a text."""
        raise NotImplementedError

    # What is learnt from the data before training

    @property
    def tokenizer(self) -> Tokenizer:
        return cast(Tokenizer, self.coders["tokenizer"])

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        tokenizer = learn_tokenizer(
            self.tokenizer_spec,
            rows,
            lambda row: (row["text"],),
            vocab_size=self.vocab_size - self.n_reserved,
            n_rows=n_rows,
            report=report,
        )
        return {"tokenizer": tokenizer}

    def check_coders(self, folder: Path) -> None:
        room = self.vocab_size  # beside those that the task needs for itself
        if not self.has_own_marks:
            room -= self.n_reserved
        check_tokenizer(folder, "tokenizer", self.coders["tokenizer"], self.tokenizer_spec, room)

    # From rows to examples

    @property
    def recipe(self) -> str:
        return f"text of at least {self.n_least} tokens {self.tokenizer.sha256}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        found = self.tokenizer.encode([row["text"] for row in rows])
        return [self._example(tokens) for tokens in found]

    def _example(self, tokens: Sequence[int]) -> Example | Rejected:
        if len(tokens) < self.n_least:
            return Rejected("too short", f"{len(tokens)} tokens, and the least is {self.n_least}")
        return {"text": ids(tokens, self.vocab_size)}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        """What the task hides of a text, or where that has marks, those."""
        return [self._read(row["text"]) for row in rows]

    def _read(self, text: str) -> Example | Refusal:
        if why := broken_text(text):
            return Refusal(why)
        if any(mark in text for mark in self.marks):
            tokens = self._marked(text)
            if len(tokens) + self.n_added > self.max_length:
                detail = f"{len(tokens) + self.n_added} tokens, begin and end included"
                return Refusal(f"{detail}, over task.max_length {self.max_length}")
            return {"marked": ids(tokens, self.vocab_size)}
        example = self._example(self.tokenizer.encode([text])[0])
        return Refusal(f"{example.reason}: {example.detail}") if isinstance(example, Rejected) else example

    def _marked(self, text: str) -> list[int]:
        """The ids of a text with marks."""
        if (whole := self.with_own_marks(text)) is not None:
            return self.tokenizer.encode([whole])[
                0
            ]  # the tokenizer knows how to cut what stands beside its tokens
        found: list[int] = []
        while text:
            nearest = min(self.marks, key=lambda mark: (text.find(mark) % (len(text) + 1), -len(mark)))
            piece, mark, text = text.partition(nearest)
            found += self._piece(piece)
            if mark:
                found.append(self.marks[mark])
        return found

    def _piece(self, text: str) -> list[int]:
        """The ids of what stands between marks: its outer spaces may belong to tokens, or be implied by them."""
        forms = dict.fromkeys((text.rstrip(" "), text.strip(" ")))
        encoded = self.tokenizer.encode([form for form in forms if form.strip()])
        unk = -1 if self.tokenizer.unk is None else self.tokenizer.unk
        return min(encoded, key=lambda tokens: (tokens.count(unk), len(tokens)), default=[])

    def cropped(self, text: Ids, random: np.random.Generator, *, is_training: bool) -> NDArray[np.int64]:
        """A text's ids, of too long a one a stretch."""
        excess = len(text) + self.n_added - self.max_length
        if excess <= 0:
            return text.astype(np.int64)
        first = int(random.integers(excess + 1)) if is_training else 0
        return text[first : first + len(text) - excess].astype(np.int64)

    def beginning(self, example: Example) -> NDArray[np.int64]:
        """The ids of a text as it was given, marks included; of too long a one its beginning."""
        return (
            example["marked"] if "marked" in example else example["text"][: self.max_length - self.n_added]
        ).astype(np.int64)

    @property
    def cut_to(self) -> int:
        return self.max_length

    def n_cut(self, example: Example) -> int:
        return max(0, len(example["text"]) + self.n_added - self.max_length) if "text" in example else 0

    def cuts(self, store: ExampleStore) -> NDArray[np.integer]:
        return np.maximum(store.columns["text"].lengths() + self.n_added - self.max_length, 0)

    @cached_property
    def token_texts(self) -> tuple[list[str], list[str]]:
        """What each id of the tokenizer says, alone and twice in a row, outer spaces left out."""
        n = self.tokenizer.vocab_size
        alone = self.tokenizer.decode([[number] for number in range(n)])
        twice = self.tokenizer.decode([[number, number] for number in range(n)])
        return [text.strip() for text in alone], [text.strip() for text in twice]

    def shown(self, row: Row) -> str:
        return shortened(row["text"], 120)
