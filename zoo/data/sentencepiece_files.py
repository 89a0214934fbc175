"""Tokenizers of checkpoints that carry a SentencePiece model, as the tokenizer.json that they would have.

The model has the pieces; what stands around a text, which ids come before the pieces and how spaces are treated is said
by nothing in the folder but the class of its tokenizer in transformers, whose ids these forms give.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.vocabulary_files import ROBERTA, Found, named
from zoo.errors import DataError
from zoo.storage.records import read_json

FILES = ("spm.model", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
_SPACE = "▁"
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # what a piece is, in SentencePiece's file
_UNIGRAM, _BPE = 1, 2  # how it was learnt
_CLASSES = {
    "deberta-v2": "DebertaV2Tokenizer",
    "t5": "T5Tokenizer",
    "llama": "LlamaTokenizer",
    "mistral": "LlamaTokenizer",
    "mixtral": "LlamaTokenizer",
    "gemma": "GemmaTokenizer",
    "gemma2": "GemmaTokenizer",
}
"""The tokenizer's class of a model whose folder names none, by model_type."""
_AS_LEARNT = ("mistral", "mixtral")
"""Models whose texts transformers cuts as SentencePiece does to the letter, whatever class is named."""
_FLAGS = ("lstrip", "rstrip", "single_word", "normalized")  # of an added token
_DEBERTA = {
    "bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]",
    "cls_token": "[CLS]", "mask_token": "[MASK]",
}  # fmt: skip
_T5 = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_GEMMA = {
    "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip


@dataclass(frozen=True)
class _Source:
    """A SentencePiece model and what its folder says."""

    proto: Any
    said: Mapping[str, Any]
    names: Mapping[str, str]
    """The special tokens' texts."""
    is_as_learnt: bool
    library: Any

    @property
    def pieces(self) -> list[tuple[str, float]]:
        return [(piece.piece, piece.score) for piece in self.proto.pieces]

    @property
    def charsmap(self) -> bytes:
        """How characters are unified before anything else; empty where they are not."""
        return bytes(self.proto.normalizer_spec.precompiled_charsmap)


def from_sentencepiece(folder: Path, said: Mapping[str, Any], library: Any) -> Found | None:
    """A tokenizer.json by a SentencePiece model, and the special tokens; None where there is no such file.

    said is what tokenizer_config.json and special_tokens_map.json say; library is `tokenizers`.
    Raises: DataError for a file that is none, for a class of tokenizer that has no form here, and where the ids would
        not be those that the folder says.
    """
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        return None
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    model_type = config.get("model_type")
    name = said.get("tokenizer_class") or config.get("tokenizer_class") or _CLASSES.get(str(model_type))
    form = _FORMS.get(str(name).removesuffix("Fast"))
    if form is None:
        what = f"a tokenizer of class {name}" if name else f"the tokenizer of a {model_type}"
        raise DataError(f"{file}: {what} is not read from such a file (known: {', '.join(_FORMS)})")
    proto = _read(file)
    if proto.trainer_spec.model_type != form.algorithm:
        wanted = "merged pairs (BPE)" if form.algorithm == _BPE else "unigrams"
        raise DataError(f"{file}: the pieces of a {name} are {wanted}, those of this model are not")
    further = [key for key in said if key.endswith("_token") and isinstance(said[key], str | dict)]
    names = named({**dict.fromkeys(further, ""), **form.usual}, said)
    source = _Source(proto, said, names, model_type in _AS_LEARNT, library)
    try:
        inner = form.make(source)
        _add_tokens(inner, source, _ids_said(folder, said))
        single, pair = form.frames(source)
        around = [(token, inner.token_to_id(token)) for token in dict.fromkeys(names.values())]
        inner.post_processor = library.processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=around
        )
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{file}: no {name} can be made of it: {error}") from None
    found: dict[str, Any] = json.loads(inner.to_str())
    return found, dict(names)


def _read(file: Path) -> Any:
    try:
        from sentencepiece import sentencepiece_model_pb2
    except ImportError:
        message = (
            "protobuf is not installed; a SentencePiece model is read with it: pip install "
            "'architecture-zoo[tokenizers]'"
        )
        raise DataError(message) from None
    messages: Any = sentencepiece_model_pb2  # its classes are made when it is loaded
    proto = messages.ModelProto()
    try:
        proto.ParseFromString(file.read_bytes())
    except Exception:  # DecodeError, which is protobuf's
        raise DataError(f"{file}: not a SentencePiece model") from None
    if not proto.pieces:
        raise DataError(f"{file}: a SentencePiece model without pieces")
    return proto


def _ids_said(folder: Path, said: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The tokens that the folder says beside its model, by their ids."""
    older = folder / "added_tokens.json"
    found = {int(i): _entry(text) for text, i in read_json(older).items()} if older.is_file() else {}
    return found | {int(i): _entry(each) for i, each in said.get("added_tokens_decoder", {}).items()}


def _entry(said: Any) -> dict[str, Any]:
    """A token as an entry with its content, whether it is one or a text."""
    return dict(said) if isinstance(said, dict) else {"content": said}


def _add_tokens(inner: Any, source: _Source, ids: Mapping[int, dict[str, Any]]) -> None:
    """Tokens that no text is cut into: the model's own that are no pieces, those named, those with ids of their own.

    Raises: DataError where one gets another id than is said.
    """
    names, said, token_of = set(source.names.values()), source.said, source.library.AddedToken
    for piece in source.proto.pieces:
        if piece.type in (_CONTROL, _USER_DEFINED) and inner.token_to_id(piece.piece) is not None:
            is_special = piece.type == _CONTROL or piece.piece in names
            inner.add_tokens([token_of(piece.piece, normalized=False, special=is_special)])
    lists = [said.get(key) or [] for key in ("additional_special_tokens", "extra_special_tokens")]
    further = [each for found in lists for each in (found.values() if isinstance(found, dict) else found)]
    named_ones = [said.get(name) or text for name, text in source.names.items()]
    for entry in [*(ids[i] for i in sorted(ids)), *map(_entry, [*named_ones, *further])]:
        is_special = entry["content"] in names or bool(entry.get("special", True))
        flags = {name: bool(entry[name]) for name in _FLAGS if name in entry}
        inner.add_tokens([token_of(entry["content"], special=is_special, **flags)])
    for number, entry in ids.items():
        if (found := inner.token_to_id(text := entry["content"])) != number:
            raise DataError(f"the folder says that {text!r} is {number}, but by this model it is {found}")


def _merging(source: _Source) -> Any:
    """The pieces as byte-pair encoding, which joins two wherever a piece is what both make, the likeliest first."""
    pieces = source.proto.pieces
    ids = {piece.piece: i for i, piece in enumerate(pieces)}
    scores = {piece.piece: piece.score for piece in pieces if piece.type == _NORMAL}
    ranked = sorted((-scores[both], ids[both], place) for both, place in _joints(scores))
    merges = [(pieces[i].piece[:place], pieces[i].piece[place:]) for _, i, place in ranked]
    return source.library.models.BPE(
        ids, merges, unk_token=source.names["unk_token"], fuse_unk=True, byte_fallback=True
    )


def _joints(pieces: Mapping[str, float]) -> Iterator[tuple[str, int]]:
    """Each piece that two others make, and where they meet in it."""
    for both in pieces:
        for place in range(1, len(both)):
            if both[:place] in pieces and both[place:] in pieces:
                yield both, place


# The forms


def _deberta(source: _Source) -> Any:
    """[CLS] A [SEP] B [SEP]. Differs from SentencePiece: the model's own rules of unifying characters are not used."""
    library, said, names = source.library, source.said, source.names
    numbers = [i for i, piece in enumerate(source.proto.pieces) if piece.piece == names["unk_token"]]
    unknown = numbers[0] if numbers else source.proto.trainer_spec.unk_id
    inner = library.Tokenizer(library.models.Unigram(source.pieces, unk_id=unknown))
    rules = library.normalizers
    inner.normalizer = rules.Sequence(
        [
            *([rules.Lowercase()] if said.get("do_lower_case") else []),
            rules.Replace(library.Regex(r"\s\s+|[\n\r\t]"), " "),
            rules.NFC(),
            rules.Strip(left=False, right=True),
        ]
    )
    before = library.pre_tokenizers
    spaces = before.Metaspace(prepend_scheme="always" if said.get("add_prefix_space", True) else "first")
    cuts = [before.Punctuation(behavior="isolated")] if said.get("split_by_punct") else []
    inner.pre_tokenizer = before.Sequence([*cuts, spaces])
    inner.decoder = library.decoders.Metaspace()
    return inner


def _t5(source: _Source) -> Any:
    """A </s> B </s>; the sentinels come behind the pieces, the last one first."""
    sentinels = [f"<extra_id_{i}>" for i in reversed(range(source.said.get("extra_ids", 100)))]
    pieces = [*source.pieces, *((text, 0.0) for text in sentinels)]
    inner = _split_at_spaces(source, pieces, source.proto.trainer_spec.unk_id)
    inner.add_special_tokens(sentinels)
    return inner


def _xlm_roberta(source: _Source) -> Any:
    """<s> A </s> </s> B </s>; fairseq's four ids stand for the first three pieces, and <mask> behind the last."""
    names = source.names
    first = [(names[name], 0.0) for name in ("bos_token", "pad_token", "eos_token", "unk_token")]
    return _split_at_spaces(source, [*first, *source.pieces[3:], (names["mask_token"], 0.0)], 3)


def _split_at_spaces(source: _Source, pieces: list[tuple[str, float]], unknown: int) -> Any:
    library = source.library
    inner = library.Tokenizer(library.models.Unigram(pieces, unk_id=unknown))
    if source.charsmap:
        inner.normalizer = library.normalizers.Precompiled(source.charsmap)
    before = library.pre_tokenizers
    inner.pre_tokenizer = before.Sequence([before.WhitespaceSplit(), before.Metaspace()])
    inner.decoder = library.decoders.Metaspace()
    return inner


def _llama(source: _Source) -> Any:
    """<s> A: a space before the text, all others kept."""
    library, said = source.library, source.said
    inner = library.Tokenizer(_merging(source))
    before, rules = library.pre_tokenizers, library.normalizers
    is_legacy = bool(said.get("legacy", source.is_as_learnt))
    scheme = "always" if is_legacy else "first"
    has_prefix = said.get("add_prefix_space") in (None, True)
    if source.is_as_learnt:
        spec = source.proto.normalizer_spec
        has_prefix = spec.add_dummy_prefix
        if any(piece.type == _USER_DEFINED for piece in source.proto.pieces):
            raise DataError(
                "it has pieces that a user defined, which are never merged: no form here keeps that"
            )
        steps = [rules.Precompiled(source.charsmap)] if source.charsmap else []
        if spec.remove_extra_whitespaces:
            steps += [rules.Strip(), rules.Replace(library.Regex(" {2,}"), " ")]
        steps.append(rules.Replace(" ", _SPACE))
        if has_prefix and is_legacy:
            # The space before the text is one more where the text begins with one.
            steps.append(rules.Replace(library.Regex(rf"\A{_SPACE}"), 2 * _SPACE))
        inner.normalizer = rules.Sequence(steps)
    inner.pre_tokenizer = before.Metaspace(prepend_scheme=scheme if has_prefix else "never", split=False)
    after = library.decoders
    strips = [after.Strip(content=" ", left=1)] if has_prefix else []
    inner.decoder = after.Sequence([after.Replace(_SPACE, " "), after.ByteFallback(), after.Fuse(), *strips])
    return inner


def _gemma(source: _Source) -> Any:
    """<bos> A: no space before the text, all others kept."""
    library = source.library
    inner = library.Tokenizer(_merging(source))
    inner.normalizer = library.normalizers.Replace(" ", _SPACE)
    after = library.decoders
    inner.decoder = after.Sequence([after.Replace(_SPACE, " "), after.ByteFallback(), after.Fuse()])
    return inner


def _framed_once(source: _Source) -> tuple[str, str]:
    first, last = source.names["cls_token"], source.names["sep_token"]
    return f"{first}:0 $A:0 {last}:0", f"{first}:0 $A:0 {last}:0 $B:1 {last}:1"


def _framed_twice(source: _Source) -> tuple[str, str]:
    first, last = source.names["bos_token"], source.names["eos_token"]
    return f"{first} $A {last}", f"{first} $A {last} {last} $B {last}"


def _ended(source: _Source) -> tuple[str, str]:
    last = source.names["eos_token"]
    return f"$A {last}", f"$A {last} $B {last}"


def _begun(source: _Source) -> tuple[str, str]:
    """An end too where add_eos_token says so, and no beginning where add_bos_token says so."""
    says, names = source.said, source.names
    first = [names["bos_token"]] if says.get("add_bos_token", True) else []
    last = [names["eos_token"]] if says.get("add_eos_token", False) else []
    single, second = (
        [f"{token}:{i}" for token in [*first, text, *last]] for i, text in enumerate(("$A", "$B"))
    )
    return " ".join(single), " ".join([*single, *second])


@dataclass(frozen=True)
class _Form:
    usual: Mapping[str, str]
    """The special tokens where the folder says no others."""
    algorithm: int
    """How its pieces were learnt."""
    make: Callable[[_Source], Any]
    frames: Callable[[_Source], tuple[str, str]]
    """What stands around one text, and around and between two."""


_FORMS = {
    "DebertaV2Tokenizer": _Form(_DEBERTA, _UNIGRAM, _deberta, _framed_once),
    "T5Tokenizer": _Form(_T5, _UNIGRAM, _t5, _ended),
    "XLMRobertaTokenizer": _Form(ROBERTA, _UNIGRAM, _xlm_roberta, _framed_twice),
    "LlamaTokenizer": _Form(_LLAMA, _BPE, _llama, _begun),
    "GemmaTokenizer": _Form(_GEMMA, _BPE, _gemma, _begun),
}
"""By the class that transformers has for them."""
