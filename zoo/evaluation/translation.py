"""How good translations are: BLEU, chrF, chrF++ and TER as sacrebleu computes them, each with its signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import Field

from registry import Spec
from zoo.errors import DataError

ScoreName = Literal["bleu", "chrf", "chrf++", "ter"]
BleuTokenizer = Literal["13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores101", "flores200", "none"]

TITLES: dict[ScoreName, str] = {"bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "ter": "TER"}
"""What each score is called where it is shown."""
_CUTS_CHARACTERS = ("zh", "ja-mecab", "char")
_EXTRAS = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


class TranslationMetricSpec(Spec):
    """How translations are scored; sacrebleu computes it, and its signatures stand beside the scores."""

    tokenizer: BleuTokenizer = "13a"
    """What BLEU takes for words. 13a cuts at spaces and punctuation, for most languages the customary way; zh,
    ja-mecab (needs `sacrebleu[ja]`), ko-mecab (`sacrebleu[ko]`), char, flores101 and flores200 (sentencepiece
    models, which sacrebleu fetches once) suit languages without spaces; none cuts at spaces only."""
    lowercase: bool = False
    """Whether case is ignored by BLEU and chrF. TER ignores it always, as is its custom."""
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("bleu", "chrf")
    """The scores of an evaluation, in the order they are shown in: bleu, chrf, chrf++ (words count too), ter (an
    error rate: the less, the better; with tokenizer zh, ja-mecab or char Chinese characters and stretches of kana
    count as its words)."""
    score: ScoreName = "bleu"
    """The one that is measured in validations and chooses the best checkpoint."""

    def check(self) -> None:
        if len(set(self.report)) < len(self.report):
            raise ValueError(f"report names a score twice: {', '.join(self.report)}")


@dataclass(frozen=True)
class Scores:
    """Corpus scores of a system."""

    values: dict[ScoreName, float]
    """By name, 0 to 100; ter may be above."""
    signatures: dict[ScoreName, str]
    """By name, the signature that says how the score was computed."""
    sacrebleu: str
    """Version of the library."""
    n_sentences: int


class TranslationMetric:
    """Scores detokenised hypotheses against detokenised references, line by line.

    Source: Papineni et al. 2002 (BLEU), Popović 2015 and 2017 (chrF, chrF++), Snover et al. 2006 (TER), Post 2018
    (sacrebleu and its signatures).
    Raises: DataError where BLEU's tokenizer needs what is not installed, or what cannot be fetched.
    """

    def __init__(self, spec: TranslationMetricSpec) -> None:
        self.spec = spec
        self._bleu = _bleu(spec)  # at once: what is missing must not show after hours of training

    @property
    def is_error(self) -> bool:
        """Whether the score that chooses counts errors, so that less is better: TER does."""
        return self.spec.score == "ter"

    def chosen(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """The score that chooses the best checkpoint. Raises: as `scores`."""
        return self._scores(hypotheses, references, [self.spec.score]).values[self.spec.score]

    def scores(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
        """All scores of a report; each hypothesis has one or more references, of which further ones may be "".

        Raises: DataError when the counts differ or there is nothing to score.
        """
        return self._scores(hypotheses, references, self.spec.report)

    def _scores(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], names: Sequence[ScoreName]
    ) -> Scores:
        if len(hypotheses) != len(references):
            raise DataError(
                f"{len(hypotheses)} hypotheses cannot be scored against {len(references)} references"
            )
        if not references:
            raise DataError("there are no sentences to score")
        import sacrebleu  # here: its import costs a noticeable part of a command's start

        # sacrebleu wants all first references, then all second ones, None for those that are not there.
        first, *further = zip_longest(*references)
        streams = [first, *([text or None for text in stream] for stream in further)]
        metrics = {name: self._metric(name) for name in names}
        values = {name: metric.corpus_score(hypotheses, streams).score for name, metric in metrics.items()}
        signatures = {name: str(metric.get_signature()) for name, metric in metrics.items()}
        return Scores(values, signatures, sacrebleu=sacrebleu.__version__, n_sentences=len(references))

    def _metric(self, name: ScoreName) -> Any:
        import sacrebleu

        if name == "bleu":
            return self._bleu
        if name == "ter":
            cuts = self.spec.tokenizer in _CUTS_CHARACTERS
            return sacrebleu.TER(normalized=cuts, asian_support=cuts)
        return sacrebleu.CHRF(word_order=2 if name == "chrf++" else 0, lowercase=self.spec.lowercase)


def _bleu(spec: TranslationMetricSpec) -> Any:
    import sacrebleu

    try:
        # force only silences a warning about text that looks tokenised; the score is the same.
        return sacrebleu.BLEU(tokenize=spec.tokenizer, lowercase=spec.lowercase, force=True)
    except (ImportError, OSError, RuntimeError) as error:
        if extra := _EXTRAS.get(spec.tokenizer):
            how = f"needs packages that are not installed: pip install '{extra}'"
        else:
            how = f"cannot be had: {' '.join(str(error).split())}"
        raise DataError(f"task.metric.tokenizer: {spec.tokenizer} {how}; or choose another one") from None
