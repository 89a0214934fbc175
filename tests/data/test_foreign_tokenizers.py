"""Tokenizers that come with a checkpoint of transformers: the ids and texts are its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers

from tests.checkpoints import FORMS, LINES, write_bert, write_form, write_marian
from zoo.data.coders import load_coder
from zoo.data.tokenizers import hugging_face, marian
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

TEXTS = ["the cat sees [SEP] the dog", "Old HOUSE", "a zebra", ""]


def test_a_tokenizer_json_gives_its_own_ids_and_special_ids(tmp_path: Path) -> None:
    theirs = write_bert(tmp_path)
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    rows = ours.encode(TEXTS)
    assert [ours.whole(row) for row in rows] == theirs(TEXTS)["input_ids"]
    assert (ours.pad, ours.start, ours.end, ours.unk, ours.mask) == (
        theirs.pad_token_id, theirs.cls_token_id, theirs.sep_token_id, theirs.unk_token_id, 0)  # fmt: skip
    assert ours.vocab_size == len(theirs)
    shown = ours.decode([ours.whole(row) for row in rows])
    assert shown == ["the cat sees the dog", "old house", "a [UNK]", ""]
    assert ours.decode([[ours.vocab_size, -1]]) == ["[UNK] [UNK]"]


def test_pieces_are_those_of_the_text_before_it_was_lower_cased(tmp_path: Path) -> None:
    write_bert(tmp_path)
    tokenizer = hugging_face.read_folder(tmp_path, ids={})
    assert tokenizer is not None
    text = "The OLD 漢 house"
    assert tokenizer.pieces(text) == ["The", "OLD", "漢", "house"]
    assert [number == tokenizer.unk for number in tokenizer.encode([text])[0]] == [False, False, True, False]


def test_ids_that_the_model_names_go_before_those_of_the_tokenizer(tmp_path: Path) -> None:
    write_bert(tmp_path)
    ours = hugging_face.read_folder(tmp_path, ids={"start": 3})
    assert ours is not None
    assert ours.start == 3


def test_it_is_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    write_bert(tmp_path / "bert")
    write_marian(tmp_path / "marian")
    found = [
        hugging_face.read_folder(tmp_path / "bert", ids={"end": 5}),
        marian.read_folder(tmp_path / "marian", ids={"pad": 2, "start": 2, "end": 0}),
    ]
    for tokenizer in found:
        assert tokenizer is not None
        tokenizer.save(tmp_path, "tokenizer")
        again = load_coder(tmp_path, "tokenizer")
        assert again.data == tokenizer.data
        assert vars(again)["end"] == tokenizer.end


def test_a_file_can_be_a_runs_tokenizer(tmp_path: Path) -> None:
    theirs = write_bert(tmp_path)
    spec = TOKENIZER.entry("hugging_face").spec(file=str(tmp_path / "tokenizer.json"))
    ours = TOKENIZER.build(spec).train(iter([]), vocab_size=99)
    assert ours.encode(TEXTS) == theirs(TEXTS, add_special_tokens=False)["input_ids"]
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer of the tokenizers library"):
        TOKENIZER.build(spec).train(iter([]), vocab_size=99)


def test_byte_level_bpe_knows_every_text_and_takes_no_text_for_a_special_token() -> None:
    builder = TOKENIZER.build(TOKENIZER.entry("hugging_face").spec())
    ours = builder.train(iter(LINES), vocab_size=280)
    texts = ["日本 </s> <pad>", "\x00\n  the", "⁇"]
    rows = ours.encode(texts)
    assert ours.decode(rows) == texts
    assert min(map(min, rows)) >= 4
    with pytest.raises(DataError, match="vocab_size 259 leaves no room: 4 special ids and 256 bytes"):
        builder.train(iter(LINES), vocab_size=259)
    with pytest.raises(DataError, match="lone surrogate"):
        ours.encode(["\udc80"])


@pytest.mark.parametrize("is_separate", [False, True])
def test_marians_sides_are_cut_and_numbered_as_transformers_does(tmp_path: Path, is_separate: bool) -> None:
    theirs = write_marian(tmp_path, is_separate=is_separate)
    ids = {"pad": theirs.pad_token_id, "start": theirs.pad_token_id, "end": theirs.eos_token_id}
    ours = marian.read_folder(tmp_path, ids=ids)
    assert ours is not None
    texts = [">>deu<< the dog", "the zebra is old", "sees"]
    target = ours.for_side("target")
    expected = theirs(texts, text_target=texts)
    assert [ours.whole(row) for row in ours.encode(texts)] == expected["input_ids"]
    assert [target.whole(row) for row in target.encode(texts)] == expected["labels"]
    assert expected["input_ids"] != expected["labels"]
    assert ours.unk in ours.encode(["the zebra"])[0]
    rows = target.encode(LINES[:3])
    assert target.decode(rows) == theirs.batch_decode(rows, skip_special_tokens=False)
    assert "⁇" in target.decode(target.encode(["zebra"]))[0]


def test_a_damaged_tokenizer_of_marian_is_an_error() -> None:
    with pytest.raises(RunError, match="not a tokenizer of Marian"):
        TOKENIZER.entry("marian").builder.restore(b"{}")  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="comes with a model that was imported"):
        TOKENIZER.build(TOKENIZER.entry("marian").spec()).train(iter(LINES), vocab_size=9)


FORM_TEXTS = ["The old house, Ann's!", "dogs sleep", "naïve <mask> [MASK] Ünknown 猫 ok", "a  b", "it's 34"]


@pytest.mark.parametrize("form", FORMS)
def test_texts_and_pairs_stand_in_the_frame_that_transformers_gives_them(form: str, tmp_path: Path) -> None:
    theirs = write_form(form, tmp_path)
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    rows = ours.encode(FORM_TEXTS)
    assert [ours.framed(row)[0] for row in rows] == theirs(FORM_TEXTS)["input_ids"]
    firsts, seconds = zip(*[(i, j) for i in range(len(rows)) for j in range(len(rows))], strict=True)
    expected = theirs([FORM_TEXTS[i] for i in firsts], [FORM_TEXTS[j] for j in seconds])
    found = [ours.framed(rows[i], rows[j]) for i, j in zip(firsts, seconds, strict=True)]
    assert [tokens for tokens, _ in found] == expected["input_ids"]
    if "token_type_ids" in expected:
        assert [types for _, types in found] == expected["token_type_ids"]
    assert ours.n_framing(2) == len(found[0][0]) - 2 * len(rows[0])
    ours.save(tmp_path, "again")
    again = load_coder(tmp_path, "again")
    assert vars(again)["frames"] == ours.frames
    special = {theirs.convert_tokens_to_ids(token) for token in theirs.all_special_tokens}
    assert set(ours.ordinary.tolist()) == set(range(len(theirs))) - special


def joined(rows: list[list[int]]) -> list[int]:
    return [number for row in rows for number in row]


WORDS = [["Ann", "'s", "old", "houses", "!"], ["猫", "the"], [" ", "dogs"]]


@pytest.mark.parametrize("form", ["Bert", "DebertaV2", "T5"])
def test_words_are_cut_one_by_one_as_transformers_does(form: str, tmp_path: Path) -> None:
    theirs = write_form(form, tmp_path)
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    expected = theirs(WORDS, is_split_into_words=True)
    for number, words in enumerate(ours.encode_words(WORDS)):
        assert ours.framed(joined(words))[0] == expected["input_ids"][number]
        places = [place for place in expected.word_ids(number) if place is not None]
        assert [len(pieces) for pieces in words] == [places.count(place) for place in range(len(words))]


def test_words_of_byte_level_bpe_are_cut_with_the_spaces_between_them(tmp_path: Path) -> None:
    """Where the tokenizer puts no space before a text. Its makers give words as text with spaces, or refuse them."""
    theirs = write_form("Roberta", tmp_path / "plain")
    ours = hugging_face.read_folder(tmp_path / "plain", ids={})
    assert ours is not None
    found = [joined(words) for words in ours.encode_words(WORDS[:2])]
    assert found == theirs([" ".join(words) for words in WORDS[:2]], add_special_tokens=False)["input_ids"]
    theirs = write_form("Roberta", tmp_path / "spaced", add_prefix_space=True)
    ours = hugging_face.read_folder(tmp_path / "spaced", ids={})
    assert ours is not None
    found = [ours.framed(joined(words))[0] for words in ours.encode_words(WORDS)]
    assert found == theirs(WORDS, is_split_into_words=True)["input_ids"]


@pytest.mark.parametrize("form", ["Bert", "Roberta", "GPT2"])
def test_vocabulary_files_give_the_tokenizer_that_transformers_makes_of_them(
    form: str, tmp_path: Path
) -> None:
    from tests.checkpoints import write_gpt2

    made = write_gpt2(tmp_path / "made") if form == "GPT2" else write_form(form, tmp_path / "made")
    model = json.loads((tmp_path / "made" / "tokenizer.json").read_text())["model"]
    folder, vocab = tmp_path / "older", made.get_vocab()
    folder.mkdir()
    if form == "Bert":
        words = sorted(vocab, key=vocab.__getitem__)
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    else:
        (folder / "vocab.json").write_text(json.dumps(vocab))
        merges = [" ".join(pair) for pair in model["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": f"{form}Tokenizer"}))
    theirs = getattr(transformers, f"{form}Tokenizer").from_pretrained(folder)
    ours = hugging_face.read_folder(folder, ids={})
    assert ours is not None
    rows = ours.encode(FORM_TEXTS)
    assert [ours.framed(row)[0] for row in rows] == theirs(FORM_TEXTS)["input_ids"]
    assert ours.framed(rows[0], rows[1])[0] == theirs(FORM_TEXTS[0], FORM_TEXTS[1])["input_ids"]
    assert (ours.mask, ours.end, ours.mask_text) == (
        theirs.mask_token_id if form != "GPT2" else None,
        theirs.sep_token_id if form == "Bert" else theirs.eos_token_id,
        theirs.mask_token if form != "GPT2" else None,
    )
    if form == "Bert":
        (folder / "vocab.txt").write_text("a\nb\n")
        with pytest.raises(DataError, match=r"lacks the special token|cannot be read"):
            hugging_face.read_folder(folder, ids={})
