"""Checkpoint folders that have a SentencePiece model and no tokenizer.json: the ids are transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import SENTENCEPIECE_FORMS, sentencepiece_model, write_sentencepiece
from zoo.data.coders import load_coder
from zoo.data.tokenizers import hugging_face
from zoo.errors import DataError

pytest.importorskip("google.protobuf")

TEXTS = [
    "The old house, Ann's!", "Der Hund schläft, naïve café", "cafe\u0301 nai\u0308ve", "a  b   c", " leading", "  two",
    "trailing  ", "emoji 🙂🙃 ok", "q猫x?!;:", "</s> in <s>the text", "[SEP] and [MASK] the <mask> <pad> dog",
    "\tthe\ncat\r\n sees", "ﬁne ① Ⅷ ½", "", "dog", "1234 houses", "<extra_id_0> the <extra_id_3>",
    "<unk> [UNK]", "▁the cat", "a <bos> b<eos><turn>",
]  # fmt: skip


@pytest.mark.parametrize("form", SENTENCEPIECE_FORMS)
def test_a_sentencepiece_model_gives_the_ids_and_frames_of_transformers(form: str, tmp_path: Path) -> None:
    theirs = write_sentencepiece(form, tmp_path)
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    rows = ours.encode(TEXTS)
    assert [ours.framed(row)[0] for row in rows] == [theirs(text)["input_ids"] for text in TEXTS]
    assert len({len(row) for row in rows}) > 5
    for first, second in [(0, 1), (4, 9), (13, 2)]:
        expected = theirs(TEXTS[first], TEXTS[second])
        tokens, types = ours.framed(rows[first], rows[second])
        assert tokens == expected["input_ids"]
        assert types == expected.get("token_type_ids", types)
    plain = [row for row, text in zip(rows, TEXTS, strict=True) if "<" not in text and "[" not in text]
    assert ours.decode(plain) == [theirs.decode(row, clean_up_tokenization_spaces=False) for row in plain]
    ids = (ours.end, ours.unk, ours.mask, ours.vocab_size)
    assert ids == (theirs.eos_token_id, theirs.unk_token_id, theirs.mask_token_id, len(theirs))
    if theirs.bos_token is not None:
        assert ours.start == theirs.bos_token_id
    if theirs.pad_token is not None:
        assert ours.pad == theirs.pad_token_id
    special = {
        theirs.convert_tokens_to_ids(token) for token in theirs.all_special_tokens if token != "<turn>"
    }
    assert set(range(ours.vocab_size)) - set(ours.ordinary.tolist()) == special
    ours.save(tmp_path, "again")
    assert load_coder(tmp_path, "again").data == ours.data


def said(folder: Path, **fields: Any) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_a_text_of_llama_begins_with_its_begin_where_nothing_else_is_said(tmp_path: Path) -> None:
    theirs = write_sentencepiece("llama", tmp_path)
    expected = theirs("the dog")["input_ids"]
    (tmp_path / "tokenizer_config.json").write_text('{"legacy": true}')
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    assert ours.framed(ours.encode(["the dog"])[0])[0] == expected
    assert expected[0] == theirs.bos_token_id == ours.start
    said(tmp_path, add_bos_token=False)
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    assert ours.framed(ours.encode(["the dog"])[0])[0] == expected[1:]


def test_tokens_that_a_folder_adds_have_the_ids_that_it_says(tmp_path: Path) -> None:
    theirs = write_sentencepiece("deberta-v2", tmp_path)
    size = len(theirs)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[MASK]": size - 1}))
    said(tmp_path, added_tokens_decoder={str(size): {"content": "[ASK]", "special": False, "lstrip": True}})
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    assert (ours.mask, ours.vocab_size) == (size - 1, size + 1)
    assert ours.encode(["the  [ASK]"])[0] == [*ours.encode(["the"])[0], size]
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[MASK]": size + 7}))
    with pytest.raises(DataError, match=rf"spm\.model: the folder says that '\[MASK\]' is {size + 7}"):
        hugging_face.read_folder(tmp_path, ids={})


def test_what_no_form_here_gives_is_refused_in_one_line(tmp_path: Path) -> None:
    write_sentencepiece("deberta-v2", tmp_path)
    said(tmp_path, tokenizer_class="AlbertTokenizer")
    with pytest.raises(
        DataError, match=r"spm\.model: a tokenizer of class AlbertTokenizer is not read from such"
    ):
        hugging_face.read_folder(tmp_path, ids={})
    said(tmp_path, tokenizer_class="LlamaTokenizer")
    with pytest.raises(DataError, match=r"the pieces of a LlamaTokenizer are merged pairs \(BPE\)"):
        hugging_face.read_folder(tmp_path, ids={})
    said(tmp_path, tokenizer_class=None)
    (tmp_path / "config.json").write_text('{"model_type": "xlnet"}')
    with pytest.raises(DataError, match=r"the tokenizer of a xlnet is not read"):
        hugging_face.read_folder(tmp_path, ids={})
    (tmp_path / "config.json").write_text('{"model_type": "deberta-v2"}')
    said(tmp_path, cls_token="[FIRST]", bos_token="[FIRST]")
    assert hugging_face.read_folder(tmp_path, ids={}) is not None
    for content in (b"", b"IQ== 0\nIg== 1\n", b"\xff\xfe nothing"):
        (tmp_path / "spm.model").write_bytes(content)
        with pytest.raises(DataError, match=r"spm\.model: .*SentencePiece model"):
            hugging_face.read_folder(tmp_path, ids={})


def test_pieces_that_a_user_defined_are_refused_where_they_would_be_cut_otherwise(tmp_path: Path) -> None:
    write_sentencepiece("mistral", tmp_path)
    training = SENTENCEPIECE_FORMS["mistral"][1]
    data = sentencepiece_model(**training, user_defined_symbols=["[INST]"])
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(DataError, match="pieces that a user defined"):
        hugging_face.read_folder(tmp_path, ids={})
