"""From the spec of a corpus and of a tokenizer to token ids on disk: all that is done before training."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from registry import Spec
from zoo.amounts import amount
from zoo.data.bad_lines import BadLines, Policy
from zoo.data.cache import Recipe, token_pairs
from zoo.data.corpus import referenced
from zoo.data.rows import TokenPairs
from zoo.data.tokenizer import Tokenizer, load_tokenizer
from zoo.errors import DataError, RunError
from zoo.kinds import CORPUS, TOKENIZER, Corpus
from zoo.progress import Report, counted
from zoo.storage.hashing import sha256_of_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PreparedData:
    """A corpus's splits as token ids, its text, and the tokenizers between them.

    fingerprint changes with the text, the tokenizers and what is left out: a run cannot go on with another
    one.
    """

    corpus: Corpus
    splits: dict[str, TokenPairs]
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    fingerprint: str
    _bad_lines: Policy

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By split, how many pairs were left out for which reason; a split without any is empty."""
        return {split: dict(pairs.counts) for split, pairs in self.splits.items()}

    def text(self, split: str) -> Iterator[tuple[str, ...]]:
        """Source and references of each pair of a split, as the corpus has them, in the order of its rows."""
        left_out = frozenset(self.splits[split].left_out.tolist())
        pairs = referenced(self.corpus, split, bad_lines=BadLines(self._bad_lines))
        return (pair for number, pair in enumerate(pairs) if number not in left_out)


def prepare(
    corpus: Spec,
    tokenizer: Spec,
    *,
    source_vocab_size: int,
    target_vocab_size: int,
    joint: bool,
    max_length: int,
    too_long: Literal["drop", "error"],
    bad_lines: Policy,
    folder: Path,
    cache_folder: Path,
    is_resumed: bool = False,
    report: Report | None = None,
) -> PreparedData:
    """Checks a corpus, trains the tokenizers (or loads those in `folder`), and tokenizes every split.

    joint: one tokenizer for both sides, learnt from both. max_length counts EOS or BOS. folder is the run's;
    a resumed run must find its tokenizers there. cache_folder may be shared by any number of runs. report is told
    what is going on, in pairs.

    Raises: DataError for bad data; RunError for tokenizers that are damaged, missing or not of the spec.
    """
    if joint and source_vocab_size != target_vocab_size:
        raise ValueError(
            f"a joint tokenizer needs equal sizes, got {source_vocab_size} and {target_vocab_size}"
        )
    reader: Corpus = CORPUS.build(corpus)
    sizes = {"tokenizer": source_vocab_size}
    if not joint:
        sizes = {"tokenizer.source": source_vocab_size, "tokenizer.target": target_vocab_size}
    n_pairs: dict[str, int] = {}  # of each split, where they were counted
    if is_resumed or all((folder / f"{stem}.json").exists() for stem in sizes):
        tokenizers = [_stored(folder, stem, tokenizer, size) for stem, size in sizes.items()]
    else:
        log.info("checking the text and training the tokenizer")
        n_pairs = _check(reader, bad_lines, report)
        tokenizers = _train(reader, tokenizer, list(sizes.values()), bad_lines, report, n_pairs["train"])
        for trained, stem in zip(tokenizers, sizes, strict=True):
            trained.save(folder, stem)
    recipe = Recipe(tokenizers[0], tokenizers[-1], max_length, too_long, bad_lines)
    splits = {
        split: token_pairs(reader, split, recipe, cache_folder, report=report, n_pairs=n_pairs.get(split))
        for split in reader.splits()
    }
    for split, pairs in splits.items():
        for reason, count in sorted(pairs.counts.items()):
            log.warning("%s: %s left out: %s", reader.where(split), amount(count, "pair"), reason)
    names = "\n".join(f"{split} {pairs.folder.name}" for split, pairs in splits.items())
    fingerprint = sha256_of_text(names)
    return PreparedData(reader, splits, tokenizers[0], tokenizers[-1], fingerprint, bad_lines)


def _check(corpus: Corpus, policy: Policy, report: Report | None) -> dict[str, int]:
    """Reads every split once, so that what is wrong is said before a tokenizer is trained for minutes.

    Gives the number of pairs of each.
    """
    n_pairs = {}
    for split in reversed(corpus.splits()):
        bad_lines = BadLines(policy)
        pairs = corpus.pairs(split, bad_lines=bad_lines)
        n_pairs[split] = sum(1 for _ in counted(pairs, report, f"reading {split}"))
        if not n_pairs[split]:
            counts: Counter[str] = bad_lines.counts
            raise DataError(f"{corpus.where(split)}: no pair is left; left out: {dict(counts)}")
    return n_pairs


def _train(
    corpus: Corpus, spec: Spec, sizes: list[int], policy: Policy, report: Report | None, n_pairs: int
) -> list[Tokenizer]:
    def pairs() -> Iterator[tuple[str, str]]:
        read = corpus.pairs("train", bad_lines=BadLines(policy))
        yield from counted(read, report, "reading text for the tokenizer", n_pairs)
        if report is not None:
            report("training the tokenizer", 0, None)

    builder = TOKENIZER.build(spec)
    if len(sizes) == 1:
        return [builder.train(chain.from_iterable(pairs()), vocab_size=sizes[0])]
    return [
        builder.train((source for source, _ in pairs()), vocab_size=sizes[0]),
        builder.train((target for _, target in pairs()), vocab_size=sizes[1]),
    ]


def _stored(folder: Path, stem: str, spec: Spec, vocab_size: int) -> Tokenizer:
    tokenizer = load_tokenizer(folder, stem)
    wanted = getattr(spec, "type", "")
    if tokenizer.type != wanted:
        raise RunError(
            f"{folder / stem}.json: holds a {tokenizer.type} tokenizer; the spec asks for {wanted}"
        )
    if tokenizer.vocab_size > vocab_size:
        raise RunError(
            f"{folder / stem}.json: holds {tokenizer.vocab_size} ids; the model has room for {vocab_size}"
        )
    return tokenizer
