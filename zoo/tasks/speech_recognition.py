"""Speech recognition by CTC: recordings in, a label or a blank for each frame out; word error rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.collate import padded
from zoo.data.store import Example, text_array
from zoo.data.tokenizer import Tokenizer
from zoo.generation.output import Output, one_line
from zoo.kinds import METRIC, TASK, TOKENIZER, Row
from zoo.progress import Report
from zoo.tasks._sound import HearingTask, Sound, SoundSpec, check_hearing
from zoo.tasks._tokenizers import check_tokenizer
from zoo.tasks._transcripts import learn_transcripts, shown, side_by_side
from zoo.tasks.task import Batch, Loss, Rows, TaskSpec, ids, require, total


class SpeechRecognitionSpec(TaskSpec):
    reads: ClassVar = ("waveform", "rate", "text")

    type: Literal["speech_recognition"] = "speech_recognition"
    sound: SoundSpec = SoundSpec()
    """How a recording becomes what the model hears."""
    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "characters"))
    """How text becomes labels, learnt from the training text; their number is the head's."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "transcription"))
    """How transcripts are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        require(model, learns={"transcript"}, writes=False)
        check_hearing(model)
        head: Any = model.head  # type: ignore[attr-defined]
        if head.blank not in (0, 2, 3, head.vocab_size - 1):
            raise ValueError(
                f"the head's blank ({head.blank}) must be no label of the tokenizer: 0, or the last id, "
                f"{head.vocab_size - 1}"
            )


@TASK.register(
    "speech_recognition",
    spec=SpeechRecognitionSpec,
    examples=[{"data": {"type": "tones", "n_train": 23, "n_dev": 5, "n_test": 7}}],
)
class SpeechRecognition(HearingTask):
    """Learns to transcribe without being told where in the recording each label is.

    A transcript is read off the most probable label of each frame: equal neighbours are one, blanks none.
    Source: Graves et al. 2006, section 3.2 (best path decoding); Baevski et al. 2020, section 3.3.
    Batches: sound and its mask, as the model's input takes them, labels int64 [B, L] and label_mask bool [B, L].
    """

    writes_text: ClassVar = True
    answered: ClassVar = "text"
    size_keys: ClassVar = ("training.tokens_per_batch", "task.sound.max_seconds")
    coder_names: ClassVar = ("tokenizer",)

    def __init__(self, *, sound: SoundSpec, tokenizer: Spec, metric: Spec, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.sound = Sound(sound, self.model)
        self.tokenizer_spec = tokenizer
        self.metric_spec = metric
        head: Any = self.model.head  # type: ignore[attr-defined]
        self.blank: int = head.blank
        self._vocab_size: int = head.vocab_size - (head.blank == head.vocab_size - 1)

    @property
    def tokenizer(self) -> Tokenizer:
        """That of the labels."""
        return cast(Tokenizer, self.coders["tokenizer"])

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        return learn_transcripts(
            self.tokenizer_spec, self.sound, rows, n_rows=n_rows, vocab_size=self._vocab_size, report=report
        )

    def check_coders(self, folder: Path) -> None:
        room = max(self._vocab_size, self.blank + 1 if self.tokenizer.pad == self.blank else 0)
        check_tokenizer(folder, "tokenizer", self.tokenizer, self.tokenizer_spec, room)

    @property
    def recipe(self) -> str:
        return f"speech_recognition {self.tokenizer.sha256} {self.sound.recipe}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        texts = self.tokenizer.encode([row["text"] for row in rows])
        return [
            self._example(row, labels, is_scored=is_scored) for row, labels in zip(rows, texts, strict=True)
        ]

    def _example(self, row: Row, labels: list[int], *, is_scored: bool) -> Example | Rejected:
        self.sound.require(row)
        heard = self.sound.example(row)
        if isinstance(heard, Rejected):
            return heard
        n_frames = self.sound.n_vectors(heard)
        needed = len(labels) + sum(one == next_one for one, next_one in pairwise(labels))
        if needed > n_frames:
            detail = f"{len(labels)} labels need {needed} frames, and there are {n_frames}"
            return Rejected("too short for its text", detail)
        example = {"sound": heard, "labels": ids(labels, self.tokenizer.vocab_size)}
        return {**example, **self.compared(row)} if is_scored else example

    def compared(self, row: Row) -> Example:
        return {"text": text_array(row["text"])}

    def collate(self, examples: Sequence[Example]) -> Batch:
        sound, mask, n_real = self.sound.tensors(examples)
        tensors = {"sound": sound, "mask": mask}
        size = f"{len(examples)} × {max(self.length(example) for example in examples)} frames"
        if "labels" in examples[0]:
            labels, label_mask = padded([example["labels"] for example in examples])
            tensors |= {"labels": labels, "label_mask": label_mask}
        return Batch(tensors, size=size, n_processed=n_real)

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """-log of the probability of all ways to say the labels within the frames."""
        recognizer = cast(Any, model)
        hidden, mask = recognizer.hidden(batch["sound"], mask=batch.get("mask"))  # [B, T, D]
        label_mask = batch.get("label_mask")
        return total(
            recognizer.head.loss(hidden, batch["labels"], mask=mask, label_mask=label_mask), model, batch
        )

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[list[Output]]:
        """The transcript of each recording, with the log probability of the frames' best labels."""
        recognizer = cast(Any, model)
        hidden, mask = recognizer.hidden(batch["sound"], mask=batch.get("mask"))
        logits = recognizer.head(hidden)  # [B, T, V]
        known = torch.tensor(self.tokenizer.is_token(), device=logits.device)
        never = torch.ones(logits.shape[-1], dtype=torch.bool, device=logits.device)
        never[: len(known)] = ~known
        if self.tokenizer.unk is not None:
            never[self.tokenizer.unk] = True
        never[self.blank] = False
        log_p = logits.log_softmax(-1, dtype=torch.float32).masked_fill(never, float("-inf"))
        scores, labels = log_p.max(-1)  # [B, T]
        n_frames = [labels.shape[1]] * len(labels) if mask is None else mask.sum(1).tolist()
        rows = [row[:n] for row, n in zip(labels.tolist(), n_frames, strict=True)]
        tokens = [collapsed(row, self.blank) for row in rows]
        sums = [float(row[:n].sum()) for row, n in zip(scores, n_frames, strict=True)]
        return [
            [Output(one_line(text), score, found)]
            for text, score, found in zip(self.tokenizer.decode(tokens), sums, tokens, strict=True)
        ]

    def written(self, answer: Any) -> dict[str, Any]:
        return {"text": answer[0].text, "score": answer[0].score}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        return side_by_side(row, answer)

    def shown(self, row: Row) -> str:
        return shown(row, one_line(row["text"]))


def collapsed(frames: Sequence[int], blank: int) -> list[int]:
    """The labels of frames: equal neighbours once, without blanks."""
    return [label for label, _ in groupby(frames) if label != blank]
