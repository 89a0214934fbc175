"""Marian's tokenizers in OPUS-MT's folders: sentencepiece cuts the text, and a list of pieces numbers them.

The two sides are cut by a model each and numbered by one list, or, where the folder says separate_vocabs, by two.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from registry import Spec
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER
from zoo.storage.records import read_json

FILES = ("source.spm", "target.spm", "vocab.json")
_LANGUAGE = re.compile(r">>.*?<<", re.DOTALL)
SPACE = "▁"


class MarianSpec(Spec):
    type: Literal["marian"] = "marian"


@TOKENIZER.register("marian", spec=MarianSpec)
class Marian:
    """The tokenizer that comes with a Marian model; none is trained here.

    Source: Tiedemann and Thottingal 2020; transformers' MarianTokenizer, whose ids it gives.
    """

    def train(self, lines: Iterable[str], *, vocab_size: int) -> Tokenizer:
        """Raises: DataError, always."""
        raise DataError(
            "a tokenizer 'marian' comes with a model that was imported; choose another to be trained"
        )

    @staticmethod
    def restore(data: bytes) -> TrainedMarian:
        """The tokenizer of those bytes."""
        return TrainedMarian(data)


class TrainedMarian(Tokenizer):
    """Both sides in one file: of each its sentencepiece model and its pieces with their ids.

    It is that of the source; `for_side` gives the target's.
    """

    type = "marian"
    suffix = ".marian.json"

    def __init__(self, data: bytes, side: str = "source") -> None:
        from sentencepiece import SentencePieceProcessor

        try:
            found = json.loads(data)
            proto, pieces = found["spm"][side], found["pieces"]
            self._ids: dict[str, int] = {str(piece): int(number) for piece, number in pieces[side].items()}
            self._processor = SentencePieceProcessor(model_proto=base64.b64decode(proto))
            ids = {role: int(found["ids"][role]) for role in ("pad", "start", "end")}
            self._unk = self._ids["<unk>"]
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise RunError(f"not a tokenizer of Marian: {error!r}") from None
        super().__init__(data, 1 + max(self._ids.values()))
        self._side = side
        self.pad, self.start, self.end = ids["pad"], ids["start"], ids["end"]
        self.unk, self.after = self._unk, (self.end,)
        self.frames = (((None, 0), (self.end, 0)), ((None, 0), (None, 0), (self.end, 0)))
        self._pieces = {number: piece for piece, number in self._ids.items()}
        self._is_token = [number in self._pieces for number in range(self.vocab_size)]
        self._silent = {self.pad, self.start, self.end} - {self._unk}

    def for_side(self, side: str) -> Tokenizer:
        """The tokenizer of a side."""
        return self if side == self._side else TrainedMarian(self.data, side)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, which may begin with a language's code, such as ">>deu<<".

        Raises: DataError for a lone surrogate.
        """
        try:
            return [[self._ids.get(piece, self._unk) for piece in self._split(text)] for text in texts]
        except TypeError:
            raise DataError("text with a lone surrogate cannot be encoded; it is no valid Unicode") from None

    def pieces(self, text: str) -> list[str]:
        """What of the normalised text each id stands for."""
        return [piece.replace(SPACE, " ") for piece in self._split(text)]

    def _split(self, text: str) -> list[str]:
        code = _LANGUAGE.match(text)
        rest = text[code.end() :] if code else text
        pieces: list[str] = self._processor.encode(rest, out_type=str)
        return [code[0], *pieces] if code else pieces

    def _texts(self, rows: list[list[int]]) -> list[str]:
        # Pieces that the side's own model does not know are joined as they are: it is their text that counts.
        return [
            self._processor.decode_pieces([self._pieces[i] for i in row if i not in self._silent])
            .replace(SPACE, " ")
            .strip()
            for row in rows
        ]

    def words(self) -> list[str]:
        """The word that each id stands for: of a piece that begins one, what follows its mark."""
        pieces = [self._pieces.get(number, "") for number in range(self.vocab_size)]
        return [piece[1:] if piece.startswith(SPACE) else "" for piece in pieces]


def read_folder(folder: Path, *, ids: Mapping[str, int]) -> TrainedMarian | None:
    """The tokenizer of a checkpoint of transformers; None where its files are not there.

    ids are those that the model names: pad, start and end.
    Raises: RunError for files that are none.
    """
    if not all((folder / name).is_file() for name in FILES):
        return None
    config = folder / "tokenizer_config.json"
    is_separate = config.is_file() and bool(read_json(config).get("separate_vocabs"))
    source = read_json(folder / FILES[2])
    target = read_json(folder / "target_vocab.json") if is_separate else source
    spm = {
        side: base64.b64encode((folder / f"{side}.spm").read_bytes()).decode()
        for side in ("source", "target")
    }
    about: dict[str, Any] = {"ids": dict(ids), "spm": spm, "pieces": {"source": source, "target": target}}
    return TrainedMarian(json.dumps(about, ensure_ascii=False).encode())
