"""Test sets of sacrebleu beside a corpus to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from registry import Spec
from zoo.data.bad_lines import BadLines
from zoo.data.corpora.text import PairedFiles, PairsSpec
from zoo.data.sacrebleu_sets import files_of_test_set
from zoo.kinds import CORPUS, Corpus, CorpusSpec, Row


class SacrebleuSpec(PairsSpec):
    type: Literal["sacrebleu"] = "sacrebleu"
    test_set: str = Field(min_length=1)
    """What is tested on, by sacrebleu's name: `wmt14/full` is newstest2014 whole, 3,003 sentences, as papers report it;
    `wmt14` are the 2,737 of them that the shared task was judged by. `sacrebleu --list` names all."""
    dev_set: str | None = Field(None, min_length=1)
    """What is validated on, likewise, such as `wmt13` for newstest2013; null: the corpus's own dev."""
    source_language: str = Field(min_length=1)
    """Language translated from, such as `en`."""
    target_language: str = Field(min_length=1)
    """Language translated to."""
    corpus: Annotated[Spec, CORPUS]
    """What is learnt from: the train of another corpus of source and target. Its dev is read where there is no dev_set,
    and else may name anything that is there; its test is not read."""

    def check(self) -> None:
        if self.source_language == self.target_language:
            raise ValueError(f"source_language and target_language are both {self.source_language!r}")
        given = self.corpus.fields if isinstance(self.corpus, CorpusSpec) else self.fields
        if missing := [name for name in self.fields if name not in given]:
            raise ValueError(f"corpus gives rows of {', '.join(given)}: {' and '.join(missing)} is missing")


@CORPUS.register(
    "sacrebleu",
    spec=SacrebleuSpec,
    examples=[
        {
            "test_set": "wmt14/full",
            "dev_set": "wmt13",
            "source_language": "en",
            "target_language": "de",
            "corpus": {"type": "grammar", "source_language": "en", "n_train": 23, "n_dev": 5, "n_test": 7},
        }
    ],
)
class Sacrebleu:
    """Learns from one corpus, and is tested on what others are tested on.

    sacrebleu keeps its test sets in ~/.sacrebleu, or where the environment's SACREBLEU says, and downloads what is not
    there. Several references are all compared with.
    Source: Post 2018, "A Call for Clarity in Reporting BLEU Scores".
    """

    def __init__(
        self,
        *,
        test_set: str,
        dev_set: str | None,
        source_language: str,
        target_language: str,
        corpus: Spec,
        max_characters: int,
    ) -> None:
        self._sets = {"test": test_set} | ({} if dev_set is None else {"dev": dev_set})
        self._pair = (source_language, target_language)
        self._corpus: Corpus = CORPUS.build(corpus)
        self._max_characters = max_characters
        self._found: dict[str, Any] = {}

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return ["train", "dev", "test"]

    def where(self, split: str) -> str:
        """The corpus's file, or that of the test set, for messages."""
        return self._of(split).where(split)

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The corpus's rows, or source, target and further references of the test set.

        Raises: DataError as the corpus; for a test set that sacrebleu does not know, has not in these languages, or can
            not download.
        """
        return self._of(split).rows(split, bad_lines=bad_lines)

    def fingerprint(self, split: str) -> str:
        """The corpus's, or SHA-256 of the test set's files."""
        return self._of(split).fingerprint(split)

    def _of(self, split: str) -> Corpus:
        """What a split is read from; a test set is looked for when it is first asked for."""
        if split not in self._sets:
            return self._corpus
        if split not in self._found:
            files = files_of_test_set(self._sets[split], *self._pair)
            self._found[split] = PairedFiles({split: files}, self._max_characters)
        found: Corpus = self._found[split]
        return found
