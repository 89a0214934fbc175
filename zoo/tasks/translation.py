"""Translation: sentence pairs in, summed cross-entropy out; BLEU on the validation set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Problem, Spec, SpecError, check_part
from zoo.data.bad_lines import BadLines
from zoo.data.batches import BatchPlan, Integers
from zoo.data.collate import collate
from zoo.data.corpus import Corpus
from zoo.data.parallel import PreparedData, prepare
from zoo.data.rows import TokenPairs
from zoo.data.tokenizer import Tokenizer, load_tokenizer
from zoo.errors import DataError
from zoo.evaluation.translation import Scores, score
from zoo.generation.translate import Decoding, Output, translate
from zoo.kinds import CORPUS, DECODING, TASK, TOKENIZER
from zoo.tasks.task import Loss, Validation

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

    def check(self, *, model: Spec) -> None:
        _vocabularies(model)

    def problems(self, path: str) -> list[Problem]:
        return [*check_part(self.data, f"{path}.data"), *check_part(self.tokenizer, f"{path}.tokenizer")]


class TranslationBatch:
    """B pairs in tensors, padded on the right.

    Shapes: source int64 [B, S], source_mask bool [B, S] or None where nothing is padded, target_input int64
        [B, T] beginning with BOS; of the N labels that are no padding, labels int64 [N] and places int64 [N],
        where they stand in a flattened [B, T].
    """

    def __init__(
        self,
        source: Tensor,
        source_mask: Tensor | None,
        target_input: Tensor,
        places: Tensor,
        labels: Tensor,
        n_source_tokens: int,
    ) -> None:
        self.source = source
        self.source_mask = source_mask
        self.target_input = target_input
        self.places = places
        self.labels = labels
        self.n_source_tokens = n_source_tokens

    def to(self, device: torch.device) -> TranslationBatch:
        """The same on a device, not waiting for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> TranslationBatch:
        """The same in memory from which a GPU copies while it computes."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> TranslationBatch:
        return TranslationBatch(
            change(self.source),
            None if self.source_mask is None else change(self.source_mask),
            change(self.target_input),
            change(self.places),
            change(self.labels),
            self.n_source_tokens,
        )


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
    ) -> None:
        self.data = data
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.too_long = too_long
        self.bad_lines = bad_lines
        self.cache = cache

    def prepare(
        self, *, model: Spec, folder: Path, tokens_per_batch: int, seed: int, is_resumed: bool
    ) -> PreparedTranslation:
        """Checks the text, learns or loads the tokenizer, tokenizes.

        Raises: SpecError for a model that does not translate tokens; DataError for bad data; RunError where
            the run folder's tokenizer is missing or damaged.
        """
        source, target = _vocabularies(model)
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
        return PreparedTranslation(data, tokens_per_batch=tokens_per_batch, seed=seed)

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
        sources, references = _unzipped(pairs)
        outputs = self.translate(model, sources, decoding=decoding, folder=folder, batch_tokens=batch_tokens)
        hypotheses = [output[0].text for output in outputs]
        return Evaluation(sources, references, hypotheses, score(hypotheses, references))


class PreparedTranslation:
    """A translation task with its data at hand: what training asks for (zoo.tasks.task.Prepared)."""

    score_name = "BLEU"

    def __init__(self, data: PreparedData, *, tokens_per_batch: int, seed: int) -> None:
        self.fingerprint = data.fingerprint
        self._data = data
        self._tokens_per_batch = tokens_per_batch
        self._train = data.splits["train"]
        self._plan = _plan(self._train, tokens_per_batch, seed)

    def epoch(self, number: int) -> Sequence[Integers]:
        """The numbers of the pairs of each batch: a function of text, tokens_per_batch, seed and number."""
        return self._plan.epoch(number)

    def batch(self, key: Integers) -> TranslationBatch:
        """The batch of the training pairs with those numbers."""
        return _batch(self._train, key)

    def loss(self, model: nn.Module, batch: TranslationBatch, *, label_smoothing: float) -> Loss:
        """Cross-entropy of the target's tokens and its end.

        Only positions with a label reach the vocabulary. The decoder is given no target mask: padding stands
        after every real token, where causal attention does not look.
        """
        translator = cast(Any, model)
        memory = translator.encode(batch.source, source_mask=batch.source_mask)  # [B, S, D]
        hidden = translator.decode(batch.target_input, memory, source_mask=batch.source_mask)  # [B, T, D]
        hidden = hidden.flatten(0, 1).index_select(0, batch.places)  # [N, D]
        loss, nll = translator.head.loss(hidden, batch.labels, label_smoothing=label_smoothing)
        n_tokens = len(batch.labels)
        return Loss(loss, nll, n_tokens, n_tokens + batch.n_source_tokens)

    def validate(
        self, model: nn.Module, *, decoding: Spec, n_sentences: int, is_wanted: Callable[[], bool]
    ) -> Validation | None:
        """Loss of a token over the whole validation set, and BLEU of its first n_sentences."""
        device = next(model.parameters()).device
        dev = self._data.splits["dev"]
        nll, n_tokens = 0.0, 0
        for key in _plan(dev, self._tokens_per_batch, 0).epoch(0):
            if not is_wanted():
                return None
            loss = self.loss(model, _batch(dev, key).to(device), label_smoothing=0.0)
            nll, n_tokens = nll + loss.nll.item(), n_tokens + loss.n_tokens
        mean = nll / n_tokens
        metrics = {"loss": mean, "perplexity": math.exp(min(mean, 700.0))}  # e^710 is no float any more
        if not n_sentences:
            return Validation(mean, None, metrics)
        try:
            bleu = self._bleu(model, DECODING.build(decoding), n_sentences, is_wanted)
        except _UnwantedError:
            return None
        return Validation(mean, bleu, {**metrics, "bleu": bleu})

    def _bleu(
        self, model: nn.Module, decoding: Decoding, n_sentences: int, is_wanted: Callable[[], bool]
    ) -> float:
        def decode(model: nn.Module, source: Tensor, mask: Tensor) -> Any:
            if not is_wanted():
                raise _UnwantedError
            return decoding(model, source, mask)

        sources, references = _unzipped(islice(self._data.text("dev"), n_sentences))
        tokenizers = self._data.source_tokenizer, self._data.target_tokenizer
        outputs = translate(model, tokenizers, sources, decode)
        return score([output[0].text for output in outputs], references)["bleu"]


class _UnwantedError(Exception):
    """Ends a decoding that nobody waits for any more; never leaves this file."""


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


def _plan(pairs: TokenPairs, tokens_per_batch: int, seed: int) -> BatchPlan:
    # A row of a batch is a token longer than the text: BOS before it, or EOS after it.
    return BatchPlan(
        pairs.source.lengths() + 1, pairs.target.lengths() + 1, tokens_per_batch=tokens_per_batch, seed=seed
    )


def _batch(pairs: TokenPairs, key: Integers) -> TranslationBatch:
    # What a GPU would have to be waited for, which positions are real, is found out here, on the CPU.
    batch = collate(pairs, key)
    return TranslationBatch(
        batch.source,
        None if batch.source_mask.all() else batch.source_mask,
        batch.target_input,
        batch.target_mask.flatten().nonzero().squeeze(1),
        batch.labels[batch.target_mask],
        batch.n_source_tokens,
    )


def _unzipped(pairs: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    both = list(pairs)
    return [source for source, _ in both], [target for _, target in both]
