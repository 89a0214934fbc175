"""Notices text whose words no space parts, which BLEU's usual tokenizers would take for one word a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from zoo.metrics.translation import BleuTokenizer

_CUT_AT_SPACES = ("13a", "intl")
_MOST = 0.5
"""Share of the letters that belong to such scripts in text of such a language, at least."""
_HARDLY = 0.1
"""Spaces a letter, at most; in English there is one to every four or five, in Thai one to twenty or more."""
_JAPANESE = 0.05
"""Share of kana among Chinese characters by which Japanese is told from Chinese."""

# First and last code point of the blocks, by what they are called.
_BLOCKS: dict[str, tuple[tuple[int, int], ...]] = {
    "Chinese": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)),
    "Japanese": ((0x3041, 0x3096), (0x309D, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D)),
    "Thai": ((0x0E01, 0x0E3A), (0x0E40, 0x0E4E)),
    "Lao": ((0x0E81, 0x0EDF),),
    "Tibetan": ((0x0F00, 0x0FFF),),
    "Burmese": ((0x1000, 0x109F), (0xA9E0, 0xA9FE), (0xAA60, 0xAA7F)),
    "Khmer": ((0x1780, 0x17D3),),
}
_TOKENIZERS = {"Chinese": "zh", "Japanese": "ja-mecab, or char"}


def unspaced_script(texts: Iterable[str]) -> str | None:
    """The script of text that is mostly of one without spaces between words, and has hardly any; else None."""
    counts: Counter[str] = Counter()
    n_letters = n_spaces = 0
    for text in texts:
        for character in text.strip():
            n_spaces += character.isspace()
            script = _script(character)
            if script:
                counts[script] += 1
            n_letters += bool(script) or character.isalpha()
    n_unspaced = counts.total()
    if not n_unspaced or n_unspaced < _MOST * n_letters or n_spaces > _HARDLY * n_letters:
        return None
    if counts["Japanese"] >= _JAPANESE * (counts["Chinese"] + counts["Japanese"]) > 0:
        counts["Japanese"] += counts.pop("Chinese", 0)
    return counts.most_common(1)[0][0]


def tokenizer_advice(tokenizer: BleuTokenizer, references: Iterable[str]) -> str | None:
    """One line about references that BLEU's tokenizer cannot cut, and what would; None where it can."""
    if tokenizer not in _CUT_AT_SPACES or (script := unspaced_script(references)) is None:
        return None
    return (
        f"the references are in {script} script, with hardly a space between words: BLEU's tokenizer {tokenizer} takes "
        f"a line for one word; set task.metric.tokenizer={_TOKENIZERS.get(script, 'char, or flores200')}"
    )


def _script(character: str) -> str | None:
    code = ord(character)
    if code < 0x0E00:  # all of Europe: most text ends here
        return None
    return next((name for name, blocks in _BLOCKS.items() if any(a <= code <= b for a, b in blocks)), None)
