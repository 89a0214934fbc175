"""Bytes as tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from registry import Spec
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER
from zoo.special_ids import N_SPECIAL, UNK, UNKNOWN_TEXT

N_BYTES = 256
_MARK = b"tokens are the bytes of UTF-8, behind the special ids\n"


class BytesSpec(Spec):
    type: Literal["bytes"] = "bytes"


@TOKENIZER.register("bytes", spec=BytesSpec, examples=[{}])
class Bytes:
    """The bytes of a text in UTF-8 are its tokens: any text, no unknown one, with 256 ids and the special ones.

    Source: Xue et al. 2022 (ByT5), section 3.
    """

    def train(self, lines: Iterable[str], *, vocab_size: int) -> TrainedBytes:
        """Learns nothing. Raises: DataError where there is no text, or no room for all bytes."""
        if next(iter(lines), None) is None:
            raise DataError("a tokenizer cannot be trained without text")
        if vocab_size < N_SPECIAL + N_BYTES:
            raise DataError(f"vocab_size {vocab_size} leaves no room: bytes need {N_SPECIAL + N_BYTES} ids")
        return TrainedBytes(_MARK)

    @staticmethod
    def restore(data: bytes) -> TrainedBytes:
        """The tokenizer. Raises: RunError for another one's file."""
        if data != _MARK:
            raise RunError("not the file of a tokenizer of bytes")
        return TrainedBytes(data)


class TrainedBytes(Tokenizer):
    """Byte b has the id b + 4."""

    type = "bytes"
    suffix = ".bytes.txt"

    def __init__(self, data: bytes) -> None:
        super().__init__(data, N_SPECIAL + N_BYTES)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without BOS and EOS."""
        return [[byte + N_SPECIAL for byte in text.encode()] for text in texts]

    def _texts(self, rows: list[list[int]]) -> list[str]:
        """Bytes that are no UTF-8 together say "⁇" as well."""
        return [
            b"".join(
                UNKNOWN_TEXT.encode() if number == UNK else bytes([number - N_SPECIAL])
                for number in row
                if number == UNK or number >= N_SPECIAL
            ).decode("utf-8", "replace").replace("\ufffd", UNKNOWN_TEXT)
            for row in rows
        ]  # fmt: skip

    def words(self) -> list[str]:
        """None: a byte is no word."""
        return [""] * self.vocab_size
