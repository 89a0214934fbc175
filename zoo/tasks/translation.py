"""Translation: sentence pairs in, summed cross-entropy out; BLEU, or another score, on the validation set."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field
from torch import nn

from registry import Problem, Spec, SpecError, check_part
from zoo.data.bad_lines import BadLines
from zoo.data.parallel import prepare
from zoo.data.tokenizer import Tokenizer, load_tokenizer
from zoo.errors import DataError
from zoo.evaluation.scripts import tokenizer_advice
from zoo.evaluation.translation import Scores, TranslationMetric, TranslationMetricSpec
from zoo.generation.translate import Output, Progress, translate
from zoo.kinds import CORPUS, DECODING, TASK, TOKENIZER, Corpus
from zoo.progress import Report
from zoo.tasks.prepared_translation import PreparedTranslation, unzipped
from zoo.tasks.word_vectors import WordVectorsSpec, check_widths, sha256_of, with_sha256s

CACHE_FOLDER = "tokens"
N_LOOKED_AT = 200  # references by which a language is noticed
log = logging.getLogger(__name__)


class TranslationSpec(Spec):
    type: Literal["translation"] = "translation"
    data: Annotated[Spec, CORPUS]
    """The sentence pairs."""
    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "sentencepiece"))
    """How text becomes tokens. Learnt from the training text, one for both sides where the model's target
    shares the source's embedding; the vocabulary's size is the model's."""
    max_length: int = Field(256, ge=2, le=10**6)
    """Most tokens of a side in training, its end included."""
    too_long: Literal["drop", "error"] = "drop"
    """What happens to a longer pair: left out and counted, or an error that names it."""
    bad_lines: Literal["error", "skip"] = "error"
    """What happens to a line that is empty, no UTF-8 or the like: an error that names it, or left out and
    counted."""
    cache: str | None = None
    """Folder for the tokenized text, which many runs may share; null: one in the run folder."""
    word_vectors: WordVectorsSpec | None = None
    """Files of pretrained word vectors that a new run's embeddings start from, such as `{source: en.vec}`, and
    target for an embedding of its own; null: none."""
    metric: TranslationMetricSpec = TranslationMetricSpec()
    """How translations are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        _vocabularies(model)
        if self.word_vectors is not None:
            self.word_vectors.check(is_joint=_is_joint(model))

    def problems(self, path: str) -> list[Problem]:
        parts = {"data": self.data, "tokenizer": self.tokenizer, "metric": self.metric}
        return [problem for key, part in parts.items() for problem in check_part(part, f"{path}.{key}")]


@dataclass(frozen=True)
class Evaluation:
    """How well a model translates a set of pairs."""

    sources: list[str]
    references: list[tuple[str, ...]]
    """Of each source one or more, further ones perhaps empty."""
    hypotheses: list[str]
    """The best translation of each source; empty for one that the model cannot take."""
    refusals: dict[int, str]
    """Which sources, counted from 0, the model cannot take, and why."""
    scores: Scores


@TASK.register(
    "translation",
    spec=TranslationSpec,
    examples=[{"data": {"type": "grammar", "n_train": 23, "n_dev": 5, "n_test": 7}, "tokenizer": "words"}],
)
class Translation:
    """Learns to translate sentence pairs with an encoder-decoder over tokens.

    Source: Vaswani et al. 2017, sections 5.1 and 5.4.
    """

    def __init__(
        self,
        *,
        data: Spec,
        tokenizer: Spec,
        max_length: int,
        too_long: Literal["drop", "error"],
        bad_lines: Literal["error", "skip"],
        cache: str | None,
        word_vectors: WordVectorsSpec | None,
        metric: TranslationMetricSpec,
    ) -> None:
        self.data = data
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.too_long = too_long
        self.bad_lines = bad_lines
        self.cache = cache
        self.word_vectors = word_vectors or WordVectorsSpec()
        self.metric = metric

    def prepare(
        self,
        *,
        model: Spec,
        folder: Path,
        tokens_per_batch: int,
        seed: int,
        is_resumed: bool,
        report: Report | None = None,
    ) -> PreparedTranslation:
        """Checks text and word vectors, learns or loads the tokenizer, tokenizes.

        Raises: SpecError for a model that does not translate tokens; DataError for bad data, or where the score
            needs what is not installed; RunError where the run folder's tokenizer, or its record of the word
            vectors, is missing or damaged.
        """
        source, target = _vocabularies(model)
        metric = TranslationMetric(self.metric)
        files = self.word_vectors.files
        if not is_resumed:
            check_widths(files, model)
        data = prepare(
            self.data,
            self.tokenizer,
            source_vocab_size=source,
            target_vocab_size=target,
            joint=_is_joint(model),
            max_length=self.max_length,
            too_long=self.too_long,
            bad_lines=self.bad_lines,
            folder=folder,
            cache_folder=folder / CACHE_FOLDER if self.cache is None else Path(self.cache).expanduser(),
            is_resumed=is_resumed,
            report=report,
        )
        self._advise([row[1] for row in islice(data.text("dev"), N_LOOKED_AT)])
        sha256s = sha256_of(files, folder, is_resumed=is_resumed)
        return PreparedTranslation(
            data,
            metric=metric,
            word_vectors=files,
            fingerprint=with_sha256s(data.fingerprint, sha256s),
            tokens_per_batch=tokens_per_batch,
            seed=seed,
        )

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """Sources and references of a split, long ones included.

        Raises: DataError for a split that is not there, or for bad data.
        """
        corpus: Corpus = CORPUS.build(self.data)
        if split not in corpus.splits():
            raise DataError(f"the data has no split '{split}' (it has: {', '.join(corpus.splits())})")
        return corpus.pairs(split, bad_lines=BadLines(self.bad_lines))

    def translate(
        self,
        model: nn.Module,
        lines: Iterable[str],
        *,
        decoding: Spec,
        folder: Path,
        batch_tokens: int = 2048,
        progress: Progress | None = None,
    ) -> Iterator[list[Output]]:
        """The translations of each line, best first, by a run's model in evaluation mode; see zoo.generation.

        progress is called with how many lines are done, and of how many where that is known.
        Raises: RunError where the run folder's tokenizer is missing or damaged.
        """
        tokenizers = load_tokenizers(folder)
        return translate(
            model,
            tokenizers,
            lines,
            DECODING.build(decoding),
            batch_tokens=batch_tokens,
            progress=progress,
        )

    def evaluate(
        self,
        model: nn.Module,
        rows: Iterable[tuple[str, ...]],
        *,
        decoding: Spec,
        folder: Path,
        batch_tokens: int = 2048,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Translates the first text of each row and scores the best translation against the others.

        A source that the model cannot take counts with an empty translation.
        Raises: DataError when there are no rows, or BLEU's tokenizer needs what is not installed; RunError as
            `translate`.
        """
        metric = TranslationMetric(self.metric)
        sources, references = unzipped(rows)
        self._advise([texts[0] for texts in references[:N_LOOKED_AT]])
        outputs = self.translate(
            model, sources, decoding=decoding, folder=folder, batch_tokens=batch_tokens, progress=progress
        )
        best = [output[0] for output in outputs]
        hypotheses = [output.text for output in best]
        refusals = {number: output.refusal for number, output in enumerate(best) if output.refusal}
        scores = metric.scores(hypotheses, references)
        return Evaluation(sources, references, hypotheses, refusals, scores)

    def _advise(self, references: Sequence[str]) -> None:
        advice = tokenizer_advice(self.metric.tokenizer, references)
        if advice is not None:
            log.warning("%s", advice)  # a warning, for that is what is seen without any setting of loggers


def load_tokenizers(folder: Path) -> tuple[Tokenizer, Tokenizer]:
    """The source's and the target's tokenizer of a run, one and the same where it is joint.

    Raises: RunError where they are missing or damaged.
    """
    if (folder / "tokenizer.json").exists() or not (folder / "tokenizer.source.json").exists():
        joint = load_tokenizer(folder, "tokenizer")
        return joint, joint
    return load_tokenizer(folder, "tokenizer.source"), load_tokenizer(folder, "tokenizer.target")


def _vocabularies(model: Spec) -> tuple[int, int]:
    slots = getattr(model, "slots", {})
    sizes = [getattr(slots.get(side), "vocab_size", None) for side in ("source", "target")]
    if None in sizes:
        name = getattr(model, "type", "?")
        raise SpecError(
            [Problem("model", f"translation needs source and target tokens; {name} has not both")]
        )
    return cast(tuple[int, int], tuple(sizes))


def _is_joint(model: Any) -> bool:
    return model.slots["source"] is model.slots["target"]
