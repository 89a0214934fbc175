"""Tokenizers of older checkpoints, as the tokenizer.json that they would have: BERT's vocab.txt, GPT-2's and RoBERTa's
vocab.json with merges.txt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import DataError
from zoo.storage.records import read_json

Found = tuple[dict[str, Any], dict[str, Any]]
_BERT = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ROBERTA = {
    "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip
_GPT2 = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
"""The special tokens of each form where tokenizer_config.json does not say others, as transformers has them."""


def from_vocabulary(folder: Path, said: Mapping[str, Any], library: Any) -> Found | None:
    """A tokenizer.json by vocabulary files, and the special tokens; None where there are no such files.

    said is what tokenizer_config.json and special_tokens_map.json say; library is `tokenizers`.
    Raises: DataError for files that are none, or lack a special token.
    """
    try:
        if (folder / "vocab.txt").is_file():
            return _word_pieces(folder / "vocab.txt", said, library)
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return _byte_pairs(folder, said, library)
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise DataError(f"{folder}: its vocabulary files cannot be read: {error!r}") from None
    return None


def _word_pieces(file: Path, said: Mapping[str, Any], library: Any) -> Found:
    tokens = file.read_text(encoding="utf-8").split("\n")
    vocab = {token: number for number, token in enumerate(tokens if tokens[-1] else tokens[:-1])}
    names = named(_BERT, said)
    inner = library.Tokenizer(library.models.WordPiece(vocab, unk_token=names["unk_token"]))
    inner.normalizer = library.normalizers.BertNormalizer(
        lowercase=bool(said.get("do_lower_case", True)),
        strip_accents=said.get("strip_accents"),
        handle_chinese_chars=bool(said.get("tokenize_chinese_chars", True)),
    )
    inner.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    inner.decoder = library.decoders.WordPiece()
    first, last = names["cls_token"], names["sep_token"]
    inner.post_processor = library.processors.TemplateProcessing(
        single=f"{first}:0 $A:0 {last}:0",
        pair=f"{first}:0 $A:0 {last}:0 $B:1 {last}:1",
        special_tokens=[(first, vocab[first]), (last, vocab[last])],
    )
    return _finished(inner, names, vocab, said), names


def _byte_pairs(folder: Path, said: Mapping[str, Any], library: Any) -> Found:
    vocab = read_json(folder / "vocab.json")
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    inner = library.Tokenizer(library.models.BPE(vocab, merges))
    with_space = bool(said.get("add_prefix_space", False))
    inner.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=with_space)
    inner.decoder = library.decoders.ByteLevel()
    is_framed = "</s>" in vocab and "<s>" in vocab
    names = named(ROBERTA if is_framed else _GPT2, said)
    if is_framed:
        first, last = names["cls_token"], names["sep_token"]
        inner.post_processor = library.processors.RobertaProcessing(
            (last, vocab[last]), (first, vocab[first]), add_prefix_space=with_space
        )
    return _finished(inner, names, vocab, said), names


def named(usual: Mapping[str, str], said: Mapping[str, Any]) -> dict[str, str]:
    """The text of each special token: what a folder says, or what is usual."""
    texts = {name: said.get(name) or usual[name] for name in usual}
    return {name: text["content"] if isinstance(text, dict) else text for name, text in texts.items()}


def _finished(
    inner: Any, names: Mapping[str, str], vocab: Mapping[str, int], said: Mapping[str, Any]
) -> dict[str, Any]:
    """The tokenizer with its special tokens, which may take spaces beside them along where that is said, as JSON."""
    from tokenizers import AddedToken

    missing = [token for token in names.values() if token not in vocab]
    if missing:
        raise DataError(f"the vocabulary lacks the special token {missing[0]!r}")
    tokens = []
    for name, token in names.items():
        entry = said.get(name)
        strips = {side: isinstance(entry, dict) and bool(entry.get(side)) for side in ("lstrip", "rstrip")}
        tokens.append(AddedToken(token, normalized=False, special=True, **strips))
    inner.add_special_tokens(tokens)
    found: dict[str, Any] = json.loads(inner.to_str())
    return found
