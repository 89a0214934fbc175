"""Subword units learnt from the text by sentencepiece.

Ids are fixed (PAD 0, UNK 1, BOS 2, EOS 3). Training runs on one thread: the pieces of the unigram model, and
the bytes of both, depend on the number of threads.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import Field

from registry import Spec
from zoo.amounts import amount
from zoo.data.tokenizer import WHITE, Tokenizer
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER
from zoo.special_ids import BOS, EOS, PAD, UNK, UNKNOWN_TEXT

SPACE = "▁"  # sentencepiece's own sign for a space, here that before a word


class SentencePieceSpec(Spec):
    type: Literal["sentencepiece"] = "sentencepiece"
    algorithm: Literal["bpe", "unigram"] = "bpe"
    """Byte-pair encoding, as in the paper, or a unigram language model (Kudo 2018)."""
    normalization: Literal["identity", "nmt_nfkc"] = "identity"
    """What happens to text before it is split. identity: nothing, and decoding gives every text back as it
    was; nmt_nfkc: sentencepiece's own rules, which unify characters and spaces and so change references and
    scores."""
    character_coverage: float = Field(1.0, ge=0.98, le=1)
    """Share of the text's characters that the vocabulary knows; 0.9995 suits scripts of many characters."""
    byte_fallback: bool = False
    """Whether an unknown character becomes its UTF-8 bytes (256 ids more) rather than UNK."""
    max_training_lines: int = Field(1_000_000, ge=1, le=10**9)
    """Lines learnt from at most; of more lines every k-th is taken, k a power of two."""


@TOKENIZER.register(
    "sentencepiece", spec=SentencePieceSpec, examples=[{}, {"algorithm": "unigram", "byte_fallback": True}]
)
class SentencePiece:
    """Subword tokenizer, trained on the training text to exactly the vocabulary size asked for."""

    def __init__(
        self,
        *,
        algorithm: str,
        normalization: str,
        character_coverage: float,
        byte_fallback: bool,
        max_training_lines: int,
    ) -> None:
        self._max_lines = max_training_lines
        self._settings: dict[str, Any] = {
            "model_type": algorithm,
            "normalization_rule_name": normalization,
            "remove_extra_whitespaces": normalization != "identity",
            "character_coverage": character_coverage,
            "byte_fallback": byte_fallback,
        }

    def train(self, lines: Iterable[str], *, vocab_size: int) -> TrainedSentencePiece:
        """Learns the pieces.

        Raises: DataError where the text has too few different pieces, or too many characters, for vocab_size.
        """
        from sentencepiece import SentencePieceTrainer  # here, so that checking a spec does not load it

        sample = thinned(lines, self._max_lines)
        model = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(sample),
                model_writer=model,
                vocab_size=vocab_size,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                unk_surface=UNKNOWN_TEXT,
                max_sentence_length=1 << 30,  # the corpus has its own limit; none is left out here unsaid
                num_threads=1,
                minloglevel=2,
                **self._settings,
            )
        except RuntimeError as error:
            raise DataError(_explain(str(error), len(sample), vocab_size)) from None
        return TrainedSentencePiece(model.getvalue())

    @staticmethod
    def restore(data: bytes) -> TrainedSentencePiece:
        """The trained tokenizer of those bytes."""
        return TrainedSentencePiece(data)


class TrainedSentencePiece(Tokenizer):
    """A sentencepiece model."""

    type = "sentencepiece"
    suffix = ".model"

    def __init__(self, data: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        try:
            self._processor = SentencePieceProcessor(model_proto=data)
        except RuntimeError as error:
            raise RunError(f"not a sentencepiece model: {error}") from None
        super().__init__(data, self._processor.get_piece_size())
        # A vocabulary may hold places that are not in use.
        self._is_token = [not self._processor.is_unused(number) for number in range(self.vocab_size)]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without BOS and EOS. Raises: DataError for a lone surrogate."""
        try:
            rows: list[list[int]] = self._processor.encode(list(texts))
        except TypeError:
            raise DataError("text with a lone surrogate cannot be encoded; it is no valid Unicode") from None
        return rows

    def pieces(self, text: str) -> list[str]:
        """What of the normalised text each id stands for; a byte of a character as <0xE6>."""
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return [piece.replace(SPACE, " ") for piece in pieces]

    def _texts(self, rows: list[list[int]]) -> list[str]:
        texts: list[str] = self._processor.decode(rows)
        return texts

    def _name(self, number: int) -> str:
        is_space = self._processor.id_to_piece(number) == SPACE
        return WHITE[" "] if is_space else super()._name(number)

    def words(self) -> list[str]:
        """The word that each id stands for: of a piece that begins a word, what follows its mark.

        A piece may also be the beginning of a longer word, which nothing about it tells; one that only goes on with
        a word stands for none.
        """
        pieces = [self._processor.id_to_piece(number) for number in range(self.vocab_size)]
        return [piece[1:] if piece.startswith(SPACE) and SPACE not in piece[1:] else "" for piece in pieces]


def thinned(lines: Iterable[str], limit: int) -> list[str]:
    """At most `limit` of the lines, evenly spread: all, or every second, or every fourth, and so on."""
    kept: list[str] = []
    step = 1
    for number, line in enumerate(lines):
        if number % step:
            continue
        if len(kept) == limit:
            kept = kept[::2]
            step *= 2
            if number % step:
                continue
        kept.append(line)
    return kept


def _explain(error: str, n_lines: int, vocab_size: int) -> str:
    if n_lines == 0:
        return "a tokenizer cannot be trained without text"
    if most := re.search(r"value <= (\d+)", error):
        return (
            f"the embedding's vocab_size ({vocab_size}) is more than the training text can fill ("
            f"{amount(n_lines, 'line')}); set it to {most.group(1)} at most, or give more text"
        )
    if least := re.search(r"required_chars\. \d+ vs (\d+)", error):
        return (
            f"vocab_size {vocab_size} is too small for the training text's characters alone; "
            f"it must be above {least.group(1)}, or task.tokenizer.character_coverage lower"
        )
    return f"sentencepiece cannot be trained on the training text: {error}"
