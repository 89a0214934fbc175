"""Transcription by writing: recordings in, their text out; word error rate on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.store import Example, ExampleStore, text_array
from zoo.data.tokenizer import Tokenizer
from zoo.generation.output import Output, one_line
from zoo.kinds import METRIC, TASK, TOKENIZER, Row
from zoo.progress import Report
from zoo.special_ids import N_SPECIAL, SpecialIds
from zoo.tasks._sound import HearingTask, Sound, SoundSpec, check_hearing
from zoo.tasks._tokenizers import check_tokenizer
from zoo.tasks._transcripts import learn_transcripts, shown, side_by_side
from zoo.tasks._writing import WritingSpec, WritingTask, check_writer
from zoo.tasks.task import Batch, Rows, require


class TranscriptionSpec(WritingSpec):
    reads: ClassVar = ("waveform", "rate", "text")

    type: Literal["transcription"] = "transcription"
    sound: SoundSpec = SoundSpec()
    """How a recording becomes what the model hears."""
    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "sentencepiece"))
    """How text becomes tokens, learnt from the training text; the vocabulary's size is the model's."""
    ids: SpecialIds = SpecialIds()
    """The ids that begin and end a text in training: those of `generation.ids`."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over the vocabulary."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "transcription"))
    """How transcripts are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        check_writer(model)
        require(model, learns={"token"}, writes=True)
        check_hearing(model)

    @property
    def longest(self) -> int:
        return 0  # of the input, which is no text; what is written is bounded by max_length


@TASK.register(
    "transcription",
    spec=TranscriptionSpec,
    examples=[{"data": {"type": "tones", "n_train": 23, "n_dev": 5, "n_test": 7}, "tokenizer": "characters"}],
)
class Transcription(HearingTask, WritingTask):
    """Learns to write what is said in a recording, with an encoder-decoder that hears.

    Source: Radford et al. 2022 (Whisper).
    """

    writes_text: ClassVar = True
    answered: ClassVar = "text"
    coder_names: ClassVar = ("tokenizer",)

    def __init__(
        self,
        *,
        max_length: int,
        too_long: Literal["drop", "error"],
        label_smoothing: float,
        validation_sentences: int,
        sound: SoundSpec,
        tokenizer: Spec,
        ids: SpecialIds,
        metric: Spec,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.sound = Sound(sound, self.model)
        self.special = ids
        self.max_length = max_length
        self.too_long = too_long
        self.label_smoothing = label_smoothing
        self.validation_sentences = validation_sentences
        self.tokenizer = tokenizer
        self.metric_spec = metric

    @property
    def target_tokenizer(self) -> Tokenizer:
        return cast(Tokenizer, self.coders["tokenizer"])

    @property
    def _vocab_size(self) -> int:
        """Ids for the tokenizer: those below any special one that is not the tokenizer's own."""
        model = cast(Any, self.model)
        size: int = model.slots[model.writes].vocab_size
        given = (self.special.pad, self.special.start, *self.special.first, *self.special.ends)
        return min([size, *(number for number in given if number >= N_SPECIAL)])

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        return learn_transcripts(
            self.tokenizer, self.sound, rows, n_rows=n_rows, vocab_size=self._vocab_size, report=report
        )

    def check_coders(self, folder: Path) -> None:
        tokenizer, special = self.target_tokenizer, self.special
        is_theirs = (tokenizer.start, tokenizer.end) == (special.start, special.ends[0])
        model = cast(Any, self.model)
        room = model.slots[model.writes].vocab_size if is_theirs else self._vocab_size
        check_tokenizer(folder, "tokenizer", tokenizer, self.tokenizer, room)

    @property
    def recipe(self) -> str:
        ids = self.special.model_dump_json()
        return f"transcription {self.max_length} {ids} {self.target_tokenizer.sha256} {self.sound.recipe}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        texts = self.target_tokenizer.encode([row["text"] for row in rows])
        return [
            self._example(row, tokens, is_scored=is_scored) for row, tokens in zip(rows, texts, strict=True)
        ]

    def _example(self, row: Row, tokens: list[int], *, is_scored: bool) -> Example | Rejected:
        self.sound.require(row)
        heard = self.sound.example(row)
        if isinstance(heard, Rejected):
            return heard
        if why := self.rejection(len(tokens) + 1):
            return why
        example = {"sound": heard, "target": self.target_of(tokens)}
        return {**example, **self.compared(row)} if is_scored else example

    def compared(self, row: Row) -> Example:
        return {"text": text_array(row["text"])}

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return np.stack([self.sound.lengths(store), store.columns["target"].lengths()], axis=1)

    def sources(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor | None, int]:
        return self.sound.tensors(examples)

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[list[Output]]:
        """The transcripts of each recording, best first."""
        return self.written_outputs(model, batch, decoding)

    def written(self, answer: Any) -> dict[str, Any]:
        return {"text": answer[0].text, "score": answer[0].score}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        return side_by_side(row, answer)

    def shown(self, row: Row) -> str:
        return shown(row, one_line(row["text"]))
