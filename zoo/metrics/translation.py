"""How good translations are: BLEU, chrF, chrF++ and TER as sacrebleu computes them, each with its signature."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from zoo.data.store import Example, text_of
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["bleu", "chrf", "chrf++", "ter"]
BleuTokenizer = Literal["13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores101", "flores200", "none"]

_CUTS_CHARACTERS = ("zh", "ja-mecab", "char")
_EXTRAS = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


class TranslationMetricSpec(MetricSpec):
    type: Literal["translation"] = "translation"
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


@METRIC.register(
    "translation", spec=TranslationMetricSpec, examples=[{}, {"report": ["ter"], "score": "ter"}]
)
class TranslationMetric(Metric):
    """Scores detokenised hypotheses against one or more detokenised references a line.

    Examples have `references`: the text of all, a line each, of which further ones may be empty.
    Source: Papineni et al. 2002 (BLEU), Popović 2015 and 2017 (chrF, chrF++), Snover et al. 2006 (TER), Post 2018
    (sacrebleu and its signatures).
    Raises: DataError where BLEU's tokenizer needs what is not installed, or what cannot be fetched.
    """

    titles: ClassVar = {"bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "ter": "TER"}
    lower_is_better: ClassVar = frozenset({"ter"})

    def __init__(
        self, *, tokenizer: BleuTokenizer, lowercase: bool, report: Sequence[ScoreName], score: ScoreName
    ) -> None:
        super().__init__(report=report, score=score)
        self.tokenizer = tokenizer
        self.lowercase = lowercase
        self._bleu = _bleu(
            tokenizer, lowercase
        )  # at once: what is missing must not show after hours of training
        self._rows: list[tuple[str, list[str]]] = []  # each hypothesis with its references

    @property
    def n_rows(self) -> int:
        return len(self._rows)

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        texts = [answer[0].text if isinstance(answer, list) else "" for answer in answers]
        references = [text_of(example["references"]).split("\n") for example in examples]
        self._rows += zip(texts, references, strict=True)

    def state(self) -> list[tuple[str, list[str]]]:
        return self._rows

    def merge(self, state: list[tuple[str, list[str]]]) -> None:
        self._rows += state

    def scores(self, names: Sequence[str]) -> Scores:
        """All of them at once, sacrebleu's version and their signatures beside them."""
        if not self._rows:
            raise DataError("there are no sentences to score")
        import sacrebleu  # here: its import costs a noticeable part of a command's start

        # In one order, whoever counted them: TER adds fractions, whose sum depends on it in its last bits.
        rows = sorted(self._rows)
        hypotheses = [text for text, _ in rows]
        # sacrebleu wants all first references, then all second ones, None for those that are not there.
        first, *further = zip_longest(*(references for _, references in rows))
        streams = [list(first), *([text or None for text in stream] for stream in further)]
        metrics = {name: self.of_sacrebleu(name) for name in names}
        values = {name: metric.corpus_score(hypotheses, streams).score for name, metric in metrics.items()}
        signatures = {f"{name}_signature": str(metric.get_signature()) for name, metric in metrics.items()}
        about = {"sacrebleu": sacrebleu.__version__, "n_sentences": len(hypotheses), **signatures}
        return Scores(values, len(hypotheses), {name: self.titles[name] for name in names}, about)

    def of_sacrebleu(self, name: str) -> Any:
        """sacrebleu's own metric of that name, as it is set here."""
        import sacrebleu

        if name == "bleu":
            return self._bleu
        if name == "ter":
            cuts = self.tokenizer in _CUTS_CHARACTERS
            return sacrebleu.TER(normalized=cuts, asian_support=cuts)
        return sacrebleu.CHRF(word_order=2 if name == "chrf++" else 0, lowercase=self.lowercase)


def _bleu(tokenizer: BleuTokenizer, lowercase: bool) -> Any:
    import sacrebleu

    try:
        # force only silences a warning about text that looks tokenised; the score is the same.
        return sacrebleu.BLEU(tokenize=tokenizer, lowercase=lowercase, force=True)
    except (ImportError, OSError, RuntimeError) as error:
        if extra := _EXTRAS.get(tokenizer):
            how = f"needs packages that are not installed: pip install '{extra}'"
        else:
            how = f"cannot be had: {' '.join(str(error).split())}"
        raise DataError(f"task.metric.tokenizer: {tokenizer} {how}; or choose another one") from None
