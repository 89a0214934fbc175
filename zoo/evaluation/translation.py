"""How good translations are: BLEU and chrF as sacrebleu computes them, with the signatures that say how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from zoo.errors import DataError


class Scores(TypedDict):
    """Corpus scores of a system against one reference per sentence."""

    bleu: float
    """0 to 100: cased, 13a tokenisation, exponential smoothing: sacrebleu's defaults."""
    chrf: float
    """0 to 100: chrF2, characters only."""
    signatures: dict[str, str]
    """`bleu` and `chrf` to the signature that says how the score was computed."""
    sacrebleu: str
    """Version of the library."""
    n_sentences: int


def score(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """Scores detokenised hypotheses against detokenised references, line by line.

    Source: Papineni et al. 2002 (BLEU), Popović 2015 (chrF), Post 2018 (sacrebleu and its signatures).
    Raises: DataError when the counts differ or there is nothing to score.
    """
    if len(hypotheses) != len(references):
        raise DataError(f"{len(hypotheses)} hypotheses cannot be scored against {len(references)} references")
    if not references:
        raise DataError("there are no sentences to score")
    import sacrebleu  # here: its import costs a noticeable part of a command's start

    # force only silences a warning about text that looks tokenised; the score is the same.
    bleu, chrf = sacrebleu.BLEU(force=True), sacrebleu.CHRF()
    return Scores(
        bleu=bleu.corpus_score(hypotheses, [references]).score,
        chrf=chrf.corpus_score(hypotheses, [references]).score,
        signatures={"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())},
        sacrebleu=sacrebleu.__version__,
        n_sentences=len(references),
    )
