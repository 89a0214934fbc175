"""Letters of a CTC model that was imported: vocab.json of wav2vec 2.0, where a mark stands for the space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from registry import Spec
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER
from zoo.special_ids import UNKNOWN_TEXT
from zoo.storage.records import read_json

FILE = "vocab.json"
CLASS = "Wav2Vec2CTCTokenizer"


class CTCLettersSpec(Spec):
    type: Literal["ctc_letters"] = "ctc_letters"


@TOKENIZER.register("ctc_letters", spec=CTCLettersSpec)
class CTCLetters:
    """The letters that come with a CTC model; none are learnt here.

    Source: Baevski et al. 2020; transformers' Wav2Vec2CTCTokenizer, whose ids it gives.
    """

    def train(self, lines: Iterable[str], *, vocab_size: int) -> Tokenizer:
        """Raises: DataError, always."""
        raise DataError(
            "letters 'ctc_letters' come with a model that was imported; choose characters to be trained"
        )

    @staticmethod
    def restore(data: bytes) -> TrainedCTCLetters:
        """The tokenizer of those bytes."""
        return TrainedCTCLetters(data)


class TrainedCTCLetters(Tokenizer):
    """Numbers of letters, of the mark between words, and of special tokens, whose ids pad and unk are the checkpoint's.

    A text is cut into its letters. Of a checkpoint that says do_lower_case it becomes capitals, which its vocabulary
    has only, and what is read off is small again.
    """

    type = "ctc_letters"
    suffix = ".ctc_letters.json"

    def __init__(self, data: bytes) -> None:
        try:
            found = json.loads(data)
            self._ids: dict[str, int] = {str(token): int(number) for token, number in found["vocab"].items()}
            self._space, self._is_upper = str(found["space"]), bool(found["has_capitals_only"])
            self.pad = self.start = self.end = self._ids[found["pad"]]
            self.unk = self._ids.get(found["unk"])
            special = {self._ids[token] for token in found["special"] if token in self._ids}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"not the letters of a CTC model: {error!r}") from None
        super().__init__(data, 1 + max(self._ids.values(), default=-1))
        self.after = ()
        self.frames = (((None, 0),), ((None, 0), (None, 0)))
        self._letters = {number: token for token, number in self._ids.items()}
        self._is_token = [
            number in self._letters and number not in special for number in range(self.vocab_size)
        ]
        self._is_token[self.pad] = True
        self._silent = special - {self.unk}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text; a letter that is none of the vocabulary is left out where no id means that."""
        found = []
        for text in texts:
            spaced = (text.upper() if self._is_upper else text).replace(" ", self._space)
            numbers = [self._ids.get(letter, self.unk) for letter in spaced]
            found.append([number for number in numbers if number is not None])
        return found

    def _texts(self, rows: list[list[int]]) -> list[str]:
        shown = {
            number: UNKNOWN_TEXT if number == self.unk else token for number, token in self._letters.items()
        }
        joined = ("".join(shown[number] for number in row if number not in self._silent) for row in rows)
        texts = [text.replace(self._space, " ").strip() for text in joined]
        return [text.lower() for text in texts] if self._is_upper else texts

    def words(self) -> list[str]:
        """None: letters stand for no words."""
        return [""] * self.vocab_size


def read_folder(folder: Path) -> TrainedCTCLetters | None:
    """The letters of a checkpoint of transformers; None where it has none.

    Raises: DataError for a vocabulary of several languages; RunError for files that are none.
    """
    file = folder / "tokenizer_config.json"
    if not (folder / FILE).is_file() or not file.is_file():
        return None
    said, vocab = read_json(file), read_json(folder / FILE)
    if said.get("tokenizer_class") != CLASS:
        return None
    if any(isinstance(value, Mapping) for value in vocab.values()):
        raise DataError(f"{folder / FILE}: holds a vocabulary for each of several languages; one is needed")
    if (older := folder / "special_tokens_map.json").is_file():
        said = {**read_json(older), **said}
    names = {role: _text(said.get(f"{role}_token", f"<{role}>")) for role in ("pad", "unk")}
    ends = [_text(said.get("bos_token", "<s>")), _text(said.get("eos_token", "</s>"))]
    about = {
        "vocab": vocab,
        "space": _text(said.get("word_delimiter_token", "|")),
        "has_capitals_only": bool(said.get("do_lower_case", False)),
        "pad": names["pad"],
        "unk": names["unk"],
        "special": [*names.values(), *ends],
    }
    return TrainedCTCLetters(json.dumps(about, ensure_ascii=False).encode())


def _text(token: Any) -> str:
    return str(token.get("content") if isinstance(token, Mapping) else token)
