"""Small tokenizers as checkpoints of transformers have them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import MarianTokenizer, PreTrainedTokenizerFast

LINES = ["the dog sees the old house", "a cat sleeps", "the house is old"] * 9


def write_bert(folder: Path) -> PreTrainedTokenizerFast:
    """A tokenizer with BERT's shape: ids that are not ours, something before and after a text."""
    words = sorted({word for line in LINES for word in line.split()})
    tokens = ["[MASK]", *words, "[SEP]", "[CLS]", "[PAD]", "[UNK]"]
    ids = {token: number for number, token in enumerate(tokens)}
    inner = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    theirs = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]",
        mask_token="[MASK]",
    )  # fmt: skip
    theirs.save_pretrained(folder)
    return theirs


def write_marian(folder: Path, *, is_separate: bool = False) -> MarianTokenizer:
    folder.mkdir(exist_ok=True)
    pieces = {}
    for side, lines in (("source", LINES), ("target", [line[::-1] for line in LINES])):
        model = io.BytesIO()
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=30, minloglevel=2, num_threads=1,
            hard_vocab_limit=False,
        )  # fmt: skip
        (folder / f"{side}.spm").write_bytes(model.getvalue())
        processor = SentencePieceProcessor(model_proto=model.getvalue())
        pieces[side] = [processor.id_to_piece(i) for i in range(processor.get_piece_size())][3:]

    def number(tokens: list[str]) -> str:
        return json.dumps(
            {token: i for i, token in enumerate(dict.fromkeys(["</s>", "<unk>", *tokens, "<pad>"]))}
        )

    if is_separate:
        (folder / "vocab.json").write_text(number(pieces["source"]))
        (folder / "target_vocab.json").write_text(number([*pieces["target"], "further"]))
    else:
        (folder / "vocab.json").write_text(number([">>deu<<", *pieces["source"], *pieces["target"]]))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"separate_vocabs": is_separate, "tokenizer_class": "MarianTokenizer"})
    )
    return MarianTokenizer.from_pretrained(folder)


def write_gpt2(folder: Path) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose only special token ends a text, as GPT-2 has it."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(iter(LINES), trainer)
    end = "<|endoftext|>"
    inner.add_special_tokens([end])
    theirs = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=end, eos_token=end, unk_token=end)
    theirs.save_pretrained(folder)
    return theirs


TEXT = [
    *LINES,
    "The old house sees nothing, said Ann; it's big!",
    "Ann's dogs sleep in houses? Yes: 3 of 4.",
    "Der Hund schläft, naïve café",
] * 3


def write_form(form: str, folder: Path, **further: Any) -> Any:
    """A tokenizer trained here, in the class of transformers that reads this form's, and saved by that."""
    class_ = getattr(transformers, f"{form}Tokenizer")
    theirs = class_(**FORMS[form](), model_max_length=64, **further)
    theirs.save_pretrained(folder)
    return theirs


def _word_pieces() -> dict[str, Any]:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=110, special_tokens=special, show_progress=False)
    )
    return {"vocab": inner.get_vocab()}


def _byte_pairs(special: list[str], n: int = 300) -> dict[str, Any]:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=n,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(TEXT, trainer)
    found = json.loads(inner.to_str())["model"]
    return {"vocab": found["vocab"], "merges": [tuple(pair) for pair in found["merges"]]}


def _unigrams(special: list[str]) -> dict[str, Any]:
    """Half of the words, and all letters: written down, for what the library trains differs from run to run."""
    words = sorted({f"▁{word}" for line in TEXT for word in line.split()})[::2]
    letters = sorted({"▁", *(letter for line in TEXT for letter in line if letter != " ")})
    pieces = [*words, *letters]
    return {
        "vocab": [*((token, 0.0) for token in special), *((piece, -2.0 - 3 / len(piece)) for piece in pieces)]
    }


_ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
FORMS: dict[str, Callable[[], dict[str, Any]]] = {
    "Bert": _word_pieces,
    "DistilBert": _word_pieces,
    "Roberta": lambda: _byte_pairs(_ROBERTA),
    "Bart": lambda: _byte_pairs(_ROBERTA),
    "DebertaV2": lambda: _unigrams(["[PAD]", "[CLS]", "[SEP]", "[UNK]"]),
    "T5": lambda: {**_unigrams(["<pad>", "</s>", "<unk>"]), "extra_ids": 9},
}


_NO_RULES = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
_BYTES = {"vocab_size": 360, "model_type": "bpe", "byte_fallback": True}
SENTENCEPIECE_FORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "deberta-v2": (
        "spm.model",
        {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
         "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
        {"model_type": "deberta-v2"},
        {"do_lower_case": False, "vocab_type": "spm"},
    ),
    "deberta-v2 in lower case": (
        "spm.model",
        {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
         "eos_piece": "[SEP]", "unk_piece": "[UNK]", "normalization_rule_name": "identity"},
        {"model_type": "deberta-v2"},
        {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": True, "split_by_punct": True},
    ),
    "t5": (
        "spiece.model",
        {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        {"model_type": "t5"},
        {"extra_ids": 9, "additional_special_tokens": [f"<extra_id_{i}>" for i in range(9)]},
    ),
    "xlm-roberta": (
        "sentencepiece.bpe.model",
        {},
        {"model_type": "roberta"},
        {"tokenizer_class": "XLMRobertaTokenizer"},
    ),
    "llama": (
        "tokenizer.model",
        {**_BYTES, **_NO_RULES, "split_digits": True},
        {"model_type": "llama"},
        {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": True},
    ),
    "llama with an end": (
        "tokenizer.model",
        {**_BYTES, **_NO_RULES},
        {"model_type": "llama"},
        {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True, "add_eos_token": True, "legacy": False,
         "pad_token": "<pad>"},
    ),
    "mistral": (
        "tokenizer.model",
        {**_BYTES, **_NO_RULES},
        {"model_type": "mistral"},
        {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True},
    ),
    "mixtral with SentencePiece's rules": (
        "tokenizer.model",
        _BYTES,
        {"model_type": "mixtral"},
        {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": True},
    ),
    "gemma": (
        "tokenizer.model",
        {**_BYTES, **_NO_RULES, "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "bos_piece": "<bos>",
         "eos_piece": "<eos>", "add_dummy_prefix": False, "user_defined_symbols": ["<mask>", "<turn>"]},
        {"model_type": "gemma"},
        {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True},
    ),
}  # fmt: skip
"""Folders with a SentencePiece model: its file, how it is trained, config.json and tokenizer_config.json."""


def sentencepiece_model(**further: Any) -> bytes:
    """A small model, trained on TEXT: unigrams, unless said otherwise."""
    model = io.BytesIO()
    fields = {"vocab_size": 120, "hard_vocab_limit": False, "minloglevel": 2, "num_threads": 1, **further}
    SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=model, **fields)
    return model.getvalue()


def write_sentencepiece(form: str, folder: Path) -> Any:
    """A folder with a SentencePiece model and no tokenizer.json; the tokenizer that transformers makes of it."""
    file, training, config, said = SENTENCEPIECE_FORMS[form]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(sentencepiece_model(**training))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({**said, "model_max_length": 64}))
    return transformers.AutoTokenizer.from_pretrained(folder)
