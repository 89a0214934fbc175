"""Tokenizers of the `tokenizers` library: tokenizer.json as a checkpoint has it, or byte-level BPE trained here.

A tokenizer.json does not say which of its tokens pads, begins and ends: that stands in tokenizer_config.json, in older
folders in special_tokens_map.json. Both are kept here in one file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from registry import Spec
from zoo.data.sentencepiece_files import FILES as SENTENCEPIECE_FILES
from zoo.data.sentencepiece_files import from_sentencepiece
from zoo.data.tokenizer import Frame, Tokenizer
from zoo.data.vocabulary_files import from_vocabulary
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER
from zoo.special_ids import N_SPECIAL, UNKNOWN_TEXT
from zoo.storage.records import read_json

FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
_ROLES = {
    "pad": ("pad_token",),
    "start": ("bos_token", "cls_token"),
    "end": ("eos_token", "sep_token"),
    "unk": ("unk_token",),
    "mask": ("mask_token",),
}
"""What an id means, and what tokenizer_config.json calls such a token."""
_PROBES = ("a", "e", "A", "E", "0", "the", ".", "的")
"""Texts of which every vocabulary knows one."""
_MARKS = ("Ġ", "▁")  # a space before a word: of byte-level BPE, of sentencepiece
_OWN = ("<pad>", UNKNOWN_TEXT, "<s>", "</s>")  # the tokens of the ids of zoo.special_ids


class HuggingFaceSpec(Spec):
    type: Literal["hugging_face"] = "hugging_face"
    file: str | None = None
    """A tokenizer.json to be used as it is, its tokenizer_config.json beside it; null: byte-level BPE, learnt from the
    text."""


@TOKENIZER.register("hugging_face", spec=HuggingFaceSpec, examples=[{}])
class HuggingFace:
    """A tokenizer.json, or byte-level BPE, which knows every text, trained to at most the vocabulary size asked for.

    Source: Radford et al. 2019, section 2.2; the `tokenizers` library.
    """

    def __init__(self, *, file: str | None) -> None:
        self._file = None if file is None else Path(file).expanduser()

    def train(self, lines: Iterable[str], *, vocab_size: int) -> TrainedHuggingFace:
        """Learns the merges, or reads the file.

        Raises: DataError where there is no text, no room for the 256 bytes, or a file that holds no tokenizer.
        """
        if self._file is not None:
            return _from_file(self._file)
        library = imported()
        from tokenizers import decoders, models, pre_tokenizers, trainers

        alphabet = pre_tokenizers.ByteLevel.alphabet()
        if vocab_size < N_SPECIAL + len(alphabet):
            raise DataError(
                f"vocab_size {vocab_size} leaves no room: {N_SPECIAL} special ids and {len(alphabet)} bytes are needed"
            )
        tokenizer = library.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        counted = _Counted(lines)
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(_OWN),
            initial_alphabet=sorted(alphabet),
            show_progress=False,
        )
        tokenizer.train_from_iterator(iter(counted), trainer)
        if not counted.n:
            raise DataError("a tokenizer cannot be trained without text")
        about = {
            "ids": {"pad": 0, "unk": 1, "start": 2, "end": 3},
            "before": [],
            "after": [3],
            "opening": [2],
            # In text of ours "</s>" is four characters, not the end.
            "reads_special_tokens": False,
        }
        return TrainedHuggingFace.of(json.loads(tokenizer.to_str()), about)

    @staticmethod
    def restore(data: bytes) -> TrainedHuggingFace:
        """The trained tokenizer of those bytes."""
        return TrainedHuggingFace(data)


class TrainedHuggingFace(Tokenizer):
    """A tokenizer.json with what its special ids mean, in one file: {"about": ..., "tokenizer": ...}."""

    type = "hugging_face"
    suffix = ".hugging_face.json"

    def __init__(self, data: bytes) -> None:
        library = imported()
        try:
            found = json.loads(data)
            about = found["about"]
            self._tokenizer = library.Tokenizer.from_str(json.dumps(found["tokenizer"], ensure_ascii=False))
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            self._tokenizer.encode_special_tokens = not about["reads_special_tokens"]
            known = {role: int(number) for role, number in about["ids"].items() if number is not None}
            if "frames" in about:
                self.frames = _frame(about["frames"][0]), _frame(about["frames"][1])
            self.before, self.after, self.opening = (
                tuple(map(int, about[name])) for name in ("before", "after", "opening")
            )
        except Exception as error:  # the library raises nothing narrower
            raise RunError(f"not a tokenizer of the tokenizers library: {error}") from None
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        super().__init__(data, 1 + max(vocabulary.values(), default=-1))
        used = set(vocabulary.values())
        self._is_token = [number in used for number in range(self.vocab_size)]
        self.end = known.get("end", known.get("pad", 0))
        self.pad = known.get("pad", self.end)
        self.start = known.get("start", self.end)
        self.mask = known.get("mask")
        # Byte-level vocabularies call their end unknown too, for they know everything.
        self.unk = unk if (unk := known.get("unk")) not in (self.end, self.start, self.pad) else None
        special = {
            number for number, token in self._tokenizer.get_added_tokens_decoder().items() if token.special
        }
        self._silent = special - {self.unk}
        self._special = special | {self.pad, self.start, self.end, self.unk, self.mask}
        if self.mask is not None and about["reads_special_tokens"]:
            self.mask_text = self._tokenizer.id_to_token(self.mask)
        self._reads_special = bool(about["reads_special_tokens"])

    @classmethod
    def of(cls, tokenizer: Mapping[str, Any], about: Mapping[str, Any]) -> TrainedHuggingFace:
        """The tokenizer of a tokenizer.json, and what its ids mean."""
        return cls(json.dumps({"about": about, "tokenizer": tokenizer}, ensure_ascii=False).encode())

    def write_files(self, folder: Path) -> None:
        """Writes tokenizer.json and, with the special tokens' names, tokenizer_config.json, for transformers."""
        found = json.loads(self.data)
        ids: dict[str, int | None] = dict(found["about"]["ids"])
        first, last = [*self.before, self.start][0], [*self.after, self.end][-1]
        # What a text begins and ends with; a search may begin with another token, such as T5's with padding.
        ids |= {"start": None if first == self.pad != last else first, "end": last}
        names = {
            name: self._tokenizer.id_to_token(number)
            for role, number in ids.items()
            if number is not None
            for name in _ROLES[role]
        }
        said = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
        for name, data in ((FILE, found["tokenizer"]), (CONFIG_FILE, said)):
            text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
            (folder / name).write_text(text, encoding="utf-8")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without what stands before and after it. Raises: DataError for a lone surrogate."""
        try:
            found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        except TypeError:
            raise DataError("text with a lone surrogate cannot be encoded; it is no valid Unicode") from None
        return [each.ids for each in found]

    def pieces(self, text: str) -> list[str]:
        """What of the text each id was made of, before anything in it was lower-cased or normalised."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [text[start:end] for start, end in encoding.offsets]

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """The ids of each word, as of text whose words have spaces between them, each word cut by itself."""
        if self._needs_spaces:
            spaced = [[word if i == 0 else f" {word}" for i, word in enumerate(words)] for words in sentences]
            return super().encode_words(spaced)
        try:
            encodings = self._tokenizer.encode_batch(
                [list(words) for words in sentences], is_pretokenized=True, add_special_tokens=False
            )
        except TypeError:
            raise DataError("text with a lone surrogate cannot be encoded; it is no valid Unicode") from None
        found: list[list[list[int]]] = [[[] for _ in words] for words in sentences]
        for pieces, encoding in zip(found, encodings, strict=True):
            for place, number in zip(encoding.word_ids, encoding.ids, strict=True):
                pieces[place].append(number)
        return found

    @cached_property
    def _needs_spaces(self) -> bool:
        """Whether a word is cut in another way behind a space, which is no part of the words of a sentence."""
        first, second, both = self.encode(["a", " a", "a a"])
        return both == first + second != first + first

    def id_of(self, token: str) -> int | None:
        number: int | None = self._tokenizer.token_to_id(token) if self._reads_special else None
        return number if number in self._special else None

    @property
    def ordinary(self) -> NDArray[np.int64]:
        ids = [
            number
            for number, is_token in enumerate(self._is_token)
            if is_token and number not in self._special
        ]
        return np.array(ids)

    def _texts(self, rows: list[list[int]]) -> list[str]:
        shown = [[number for number in row if number not in self._silent] for row in rows]
        texts: list[str] = self._tokenizer.decode_batch(shown, skip_special_tokens=False)
        return texts

    @property
    def _unknown(self) -> list[int]:
        return self.encode([UNKNOWN_TEXT])[0] if self.unk is None else [self.unk]

    def _name(self, number: int) -> str:
        return self._tokenizer.id_to_token(number) or super()._name(number)

    def words(self) -> list[str]:
        """The word that each id stands for: of a token that begins one, what follows its mark, where that is ASCII."""
        tokens = [self._tokenizer.id_to_token(number) or "" for number in range(self.vocab_size)]
        return [token[1:] if token.startswith(_MARKS) and token[1:].isascii() else "" for token in tokens]


def read_folder(folder: Path, *, ids: Mapping[str, int]) -> TrainedHuggingFace | None:
    """The tokenizer of a checkpoint of transformers, by its tokenizer.json, its vocabulary files or its SentencePiece
    model; None where it has none of them.

    ids are those that the model itself names, such as {"start": 0}, which go before the tokenizer's own.
    Raises: DataError for a file that holds none; RunError for one that is no JSON.
    """
    if (folder / FILE).is_file():
        return _from_file(folder / FILE, ids=ids)
    if not any((folder / name).is_file() for name in ("vocab.txt", "merges.txt", *SENTENCEPIECE_FILES)):
        return None
    said, library = _said(folder), imported()
    found = from_vocabulary(folder, said, library) or from_sentencepiece(folder, said, library)
    return None if found is None else _of(folder, found[0], {**said, **found[1]}, ids)


def _from_file(path: Path, *, ids: Mapping[str, int] | None = None) -> TrainedHuggingFace:
    return _of(path, read_json(path), _said(path.parent), ids)


def _said(folder: Path) -> dict[str, Any]:
    """What a folder says of its tokenizer."""
    named: dict[str, Any] = {}
    for name in ("special_tokens_map.json", CONFIG_FILE):
        if (file := folder / name).is_file():
            named |= read_json(file)
    return named


def _of(
    path: Path, data: Mapping[str, Any], named: Mapping[str, Any], ids: Mapping[str, int] | None
) -> TrainedHuggingFace:
    library = imported()
    try:
        tokenizer = library.Tokenizer.from_str(json.dumps(data, ensure_ascii=False))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path}: not a tokenizer of the tokenizers library: {error}") from None
    found = {role: _number(tokenizer, [named.get(name) for name in names]) for role, names in _ROLES.items()}
    single, pair = _frames(tokenizer)
    text = [number for number, _ in single].index(None)
    before, after = ([number for number, _ in part] for part in (single[:text], single[text + 1 :]))
    about = {
        "ids": {**found, **(ids or {})},
        "before": before,
        "after": after,
        "opening": before,
        "frames": [single, pair],
        "reads_special_tokens": not named.get("split_special_tokens", False),
    }
    return TrainedHuggingFace.of(data, about)


def _number(tokenizer: Any, tokens: Sequence[Any]) -> int | None:
    """The id of the first of these that is a token: a text, or an entry with a content."""
    for token in tokens:
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and (number := tokenizer.token_to_id(text)) is not None:
            return int(number)
    return None


def _frames(tokenizer: Any) -> tuple[Frame, Frame]:
    """What the tokenizer puts around one text, and around and between two."""
    word = next((each for each in _PROBES if tokenizer.encode(each, add_special_tokens=False).ids), None)
    if word is None:
        raise DataError(
            f"the tokenizer knows none of {', '.join(_PROBES)}, by which its special tokens are found"
        )
    found = []
    for texts in ((word,), (word, word)):
        encoding = tokenizer.encode(*texts)
        frame: list[tuple[int | None, int]] = []
        seen = None
        for number, place, kind in zip(encoding.ids, encoding.sequence_ids, encoding.type_ids, strict=True):
            if place is None or place != seen:
                frame.append((number if place is None else None, kind))
            seen = place
        found.append(tuple(frame))
    return found[0], found[1]


def _frame(data: Sequence[Sequence[int | None]]) -> Frame:
    """A frame as it was saved."""
    return tuple((None if number is None else int(number), int(kind or 0)) for number, kind in data)


def imported() -> Any:
    """The library. Raises: DataError where it is not installed."""
    try:
        import tokenizers
    except ModuleNotFoundError:
        message = (
            "tokenizers is not installed; this tokenizer needs it: pip install 'architecture-zoo[tokenizers]'"
        )
        raise DataError(message) from None
    return tokenizers


class _Counted:
    """Lines, counted as they are read."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.n = 0

    def __iter__(self) -> Any:
        for line in self._lines:
            self.n += 1
            yield line
