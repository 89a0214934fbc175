"""Translation: sentence pairs in, summed cross-entropy out; BLEU on the validation set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field
from torch import nn

from registry import Problem, Spec, SpecError, check_part
from zoo.data.bad_lines import BadLines
from zoo.data.corpus import Corpus
from zoo.data.parallel import prepare
from zoo.data.tokenizer import Tokenizer, load_tokenizer
from zoo.errors import DataError
from zoo.evaluation.translation import Scores, score
from zoo.generation.translate import Output, translate
from zoo.kinds import CORPUS, DECODING, TASK, TOKENIZER
from zoo.tasks.prepared_translation import PreparedTranslation, unzipped
from zoo.tasks.word_vectors import WordVectorsSpec, check_widths, sha256_of, with_sha256s

CACHE_FOLDER = "tokens"


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

    def check(self, *, model: Spec) -> None:
        _vocabularies(model)
        if self.word_vectors is not None:
            self.word_vectors.check(is_joint=_is_joint(model))

    def problems(self, path: str) -> list[Problem]:
        return [*check_part(self.data, f"{path}.data"), *check_part(self.tokenizer, f"{path}.tokenizer")]


@dataclass(frozen=True)
class Evaluation:
    """How well a model translates a set of pairs."""

    sources: list[str]
    references: list[str]
    hypotheses: list[str]
    """The best translation of each source."""
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
    ) -> None:
        self.data = data
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.too_long = too_long
        self.bad_lines = bad_lines
        self.cache = cache
        self.word_vectors = word_vectors or WordVectorsSpec()

    def prepare(
        self, *, model: Spec, folder: Path, tokens_per_batch: int, seed: int, is_resumed: bool
    ) -> PreparedTranslation:
        """Checks text and word vectors, learns or loads the tokenizer, tokenizes.

        Raises: SpecError for a model that does not translate tokens; DataError for bad data; RunError where
            the run folder's tokenizer, or its record of the word vectors, is missing or damaged.
        """
        source, target = _vocabularies(model)
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
        )
        sha256s = sha256_of(files, folder, is_resumed=is_resumed)
        return PreparedTranslation(
            data,
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
    ) -> Iterator[list[Output]]:
        """The translations of each line, best first, by a run's model in evaluation mode; see zoo.generation.

        Raises: RunError where the run folder's tokenizer is missing or damaged.
        """
        tokenizers = load_tokenizers(folder)
        return translate(model, tokenizers, lines, DECODING.build(decoding), batch_tokens=batch_tokens)

    def evaluate(
        self,
        model: nn.Module,
        pairs: Iterable[tuple[str, str]],
        *,
        decoding: Spec,
        folder: Path,
        batch_tokens: int = 2048,
    ) -> Evaluation:
        """Translates the sources of some pairs and scores the best translations against the references.

        Raises: DataError when there are no pairs; RunError as `translate`.
        """
        sources, references = unzipped(pairs)
        outputs = self.translate(model, sources, decoding=decoding, folder=folder, batch_tokens=batch_tokens)
        hypotheses = [output[0].text for output in outputs]
        return Evaluation(sources, references, hypotheses, score(hypotheses, references))


def load_tokenizers(folder: Path) -> tuple[Tokenizer, Tokenizer]:
    """The source's and the target's tokenizer of a run, one and the same where it is joint.

    Raises: RunError where they are missing or damaged.
    """
    if (folder / "tokenizer.json").exists() or not (folder / "tokenizer.source.json").exists():
        joint = load_tokenizer(folder, "tokenizer")
        return joint, joint
    return load_tokenizer(folder, "tokenizer.source"), load_tokenizer(folder, "tokenizer.target")


def _vocabularies(model: Spec) -> tuple[int, int]:
    embeddings = getattr(model, "embeddings", {})
    sizes = [getattr(embeddings.get(side), "vocab_size", None) for side in ("source", "target")]
    if None in sizes:
        name = getattr(model, "type", "?")
        raise SpecError(
            [Problem("model", f"translation needs source and target tokens; {name} has not both")]
        )
    return cast(tuple[int, int], tuple(sizes))


def _is_joint(model: Any) -> bool:
    return model.embeddings["source"] is model.embeddings["target"]
