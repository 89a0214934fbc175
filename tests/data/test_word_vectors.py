"""Word vectors from files of the three forms, written here by hand."""

import gzip
import pickle
import struct

import numpy as np
import pytest
import torch

from zoo.components.embedding.tokens import TokenEmbedding
from zoo.data import word_vectors
from zoo.data.word_vectors import fill, read, read_header
from zoo.errors import DataError
from zoo.kinds import TOKENIZER

WORDS = [
    "</s>",
    "haus",
    "straße",
    "집",
    "a\u00a0b",
    "x\u0085y",
]  # the last two: no spaces or line ends of the format
MATRIX = np.array(
    [[0.5, -1.25, 3e-7], [1, 2, 3], [-0.1, 0.2, 7], [9, 8, 1e30], [4, 4, 5], [6, 0, -6]], np.float32
)


def text(words=WORDS, matrix=MATRIX, header=None, end="\n"):
    first = f"{len(words)} {matrix.shape[1]}" if header is None else header
    rows = [f"{word} {' '.join(str(x) for x in row)}" for word, row in zip(words, matrix, strict=True)]
    return "".join(line + end for line in [first, *rows]).encode()


def binary(words=WORDS, matrix=MATRIX, header=None, end=b"\n"):
    first = f"{len(words)} {matrix.shape[1]}" if header is None else header
    rows = [
        word.encode() + b" " + struct.pack(f"<{len(row)}f", *row) + end
        for word, row in zip(words, matrix, strict=True)
    ]
    return first.encode() + b"\n" + b"".join(rows)


FORMS = {
    "word2vec.txt": text(),
    "fasttext.vec": text(end=" \n"),
    "windows.txt": b"\xef\xbb\xbf" + text(end="\r\n"),
    "windows.vec": text(end=" \r\n"),
    "no_last_newline.txt": text().removesuffix(b"\n"),
    "word2vec.bin": binary(),
    "gensim.bin": binary(end=b""),
    "fasttext.vec.gz": gzip.compress(text(end=" \n")),
    "word2vec.bin.gz": gzip.compress(binary()),
    "packed_without_saying_so.txt": gzip.compress(text()),
}


@pytest.fixture
def path(request, tmp_path):
    file = tmp_path / request.param
    file.write_bytes(FORMS[request.param])
    return file


@pytest.mark.parametrize("path", FORMS, indirect=True)
def test_every_form_gives_its_words_and_numbers(path):
    words, matrix = read(path, None)
    assert words == WORDS
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, MATRIX)
    assert read_header(path) == (6, 3)


@pytest.mark.parametrize("path", FORMS, indirect=True)
def test_only_the_wanted_words_are_given_in_the_files_order(path):
    words, matrix = read(path, ["집", "nowhere", "haus"])
    assert words == ["haus", "집"]
    np.testing.assert_array_equal(matrix, MATRIX[[1, 3]])
    words, matrix = read(path, [])
    assert words == []
    assert matrix.shape == (0, 3)


def test_rows_that_cross_the_pieces_a_file_is_read_in_are_whole(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    words = [f"w{i}" * rng.integers(1, 9) for i in range(300)]
    matrix = rng.normal(size=(300, 7)).astype(np.float32)
    monkeypatch.setattr(word_vectors, "CHUNK", 11)
    monkeypatch.setattr(word_vectors, "MAX_WORD", 40)
    for name, data in (("a.bin", binary(words, matrix)), ("b.bin", binary(words, matrix, end=b""))):
        (tmp_path / name).write_bytes(data)
        found, numbers = read(tmp_path / name, None)
        assert found == words
        np.testing.assert_array_equal(numbers, matrix)


BROKEN = {
    "empty.txt": (b"", r"empty\.txt: the file is empty"),
    "empty.bin": (b"", r"empty\.bin: the file is empty"),
    "glove.txt": (text().split(b"\n", 1)[1], r"glove\.txt:1: must be '<number of words> <width>', not b'</s> "),
    "floats.txt": (text(header="6.0 3"), r"floats\.txt:1: must be"),
    "none.txt": (b"0 3\n", r"none\.txt:1: says 0 words of width 3"),
    "flat.txt": (b"2 0\na\nb\n", r"flat\.txt:1: says 2 words of width 0"),
    "giant.txt": (b"2 9999999999\n", r"giant\.txt:1: says 2 words of width 9999999999"),
    "pickle.bin": (pickle.dumps({"a": 1}), r"pickle\.bin:1: must be"),
    "model.bin": (b"\xba\x16\x4f\x2f\x0c\x00", r"model\.bin: a fastText model rather than word vectors"),
    "few.txt": (text(header="7 3"), r"few\.txt:8: the file ends after 6 words; its first line says 7"),
    "few.bin": (binary(header="7 3"), r"few\.bin: byte \d+: the file ends after 6 words; its first line says 7"),
    "many.txt": (text(header="5 3"), r"many\.txt:7: a surplus line; the first one says 5 words"),
    "many.bin": (binary(header="5 3"), r"many\.bin: byte \d+: surplus bytes after the 5 words"),
    "blank.txt": (text() + b"\n", r"blank\.txt:8: a surplus line"),
    "narrow.txt": (text(header="6 4"), r"narrow\.txt:2: 3 numbers after '</s>'; the first line says 4"),
    "wide.txt": (text(header="6 2"), r"wide\.txt:2: 3 numbers after '</s>'; the first line says 2"),
    "bare.txt": (b"1 1\nhaus\n", r"bare\.txt:2: 0 numbers after 'haus'"),
    "double.txt": (text().replace(b"haus ", b"haus  "), r"double\.txt:3: 4 numbers after 'haus'"),
    "nameless.txt": (text().replace(b"haus", b""), r"nameless\.txt:3: no word before the numbers"),
    "words.txt": (text().replace(b"haus 1.0", b"haus one"), r"words\.txt:3: not a number after 'haus': .*one"),
    "nan.txt": (text().replace(b"haus 1.0", b"haus nan"), r"nan\.txt:3: a number of 'haus' is not finite"),
    "large.txt": (text().replace(b"haus 1.0", b"haus 1e40"), r"large\.txt:3: a number of 'haus' .* too large"),
    "nan.bin": (binary(WORDS, np.where(MATRIX == 2, np.nan, MATRIX)), r"byte 23: a number of 'haus' is not finite"),
    "twice.txt": (text([*WORDS[:5], "haus"]), r"twice\.txt:7: the word 'haus' is there a second time"),
    "twice.bin": (binary([*WORDS[:5], "haus"]), r"byte \d+: the word 'haus' is there a second time"),
    "utf8.txt": (text().replace(b"haus", b"ha\xffs"), r"utf8\.txt:3: broken UTF-8 in a word: b'ha\\xffs'"),
    "utf8.bin": (binary().replace(b"haus", b"ha\xffs"), r"byte 23: broken UTF-8 in a word"),
    "nameless.bin": (binary().replace(b"haus", b""), r"byte 23: no word before the numbers"),
    "cut.bin": (binary(end=b"")[:-1], r"byte \d+: the file ends within the numbers of 'x\\x85y'"),
    "spaceless.bin": (b"2 3\n" + b"a" * 9000, r"byte 5: no space within 4096 bytes"),
    "endless.txt": (b"1 2\n" + b"a" * 90000, r"endless\.txt:2: over 4226 bytes"),
    "binary_named_otherwise.txt": (binary(), r"txt:2: .*(must be named \.bin|broken UTF-8)"),
    "cut.vec.gz": (gzip.compress(text(), mtime=0)[:-20], r"cut\.vec\.gz: the compressed data is damaged or cut off"),
    "spoilt.bin.gz": (gzip.compress(binary(), mtime=0)[:-8] + bytes(8), r"gz: the compressed data is damaged or cut"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_the_place(tmp_path, name):
    data, message = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, None)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.vec: cannot be read: No such file"):
        read(tmp_path / "nowhere.vec", None)
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read(tmp_path, None)


def test_numbers_of_words_that_are_not_wanted_are_not_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(text().replace(b"haus 1.0", b"haus nan"))
    words, _ = read(tmp_path / "a.txt", {"집"})
    assert words == ["집"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("path", ["word2vec.txt", "word2vec.bin.gz"], indirect=True)
def test_an_embedding_takes_the_vectors_of_its_words_and_keeps_the_others(path, dtype):
    torch.manual_seed(0)
    embedding = TokenEmbedding(
        d_model=8,
        vocab_size=7,
        scale="none",
        n_types=0,
        d_embedding=3,
        projection_bias=False,
        trained=False,
        padding_id=None,
    ).to(dtype)
    before = embedding.weight.detach().clone()
    n_found = fill(embedding.weight, ["", "", "집", "haus", "unheard-of", "haus"], path)
    assert n_found == 3
    expected = before.clone()
    for number, row in ((2, 3), (3, 1), (5, 1)):
        expected[number] = torch.tensor(MATRIX[row]).to(dtype)
    assert torch.equal(embedding.weight.detach(), expected)
    assert not embedding.weight.requires_grad


@pytest.mark.parametrize("path", ["word2vec.txt"], indirect=True)
def test_a_trained_embedding_stays_a_leaf_with_a_gradient(path):
    embedding = torch.nn.Embedding(5, 3)
    assert fill(embedding.weight, ["집"], path) == 1
    embedding(torch.tensor([0])).sum().backward()
    assert embedding.weight.grad[0].tolist() == [1, 1, 1]
    assert fill(embedding.weight, ["unheard-of"], path) == 0


@pytest.mark.parametrize("path", ["word2vec.bin"], indirect=True)
def test_vectors_of_another_width_or_too_many_words_are_refused(path):
    with pytest.raises(
        DataError, match=r"3 numbers, but the embedding's 4: give the embedding d_embedding=3"
    ):
        fill(torch.zeros(5, 4), ["haus"], path)
    with pytest.raises(ValueError, match="there are 3 words for the 2 rows"):
        fill(torch.zeros(2, 3), ["haus", "집", ""], path)


LINES = ["Haus: Das Haus ist alt.", "Ein Haus, das Haus  und die Haustür"] * 50


def trained(vocab_size, **spec):
    builder = TOKENIZER.build(TOKENIZER.entry(spec["type"]).spec.model_validate(spec))
    return builder.train(iter(LINES), vocab_size=vocab_size)


def test_words_as_tokens_stand_for_themselves_without_the_space_before():
    tokenizer = trained(99, type="words")
    words = tokenizer.words()
    assert words[:4] == [""] * 4
    assert len(words) == tokenizer.vocab_size
    (row,) = tokenizer.encode([LINES[1]])
    assert [words[number] for number in row] == [
        "Ein",
        "Haus",
        ",",
        "das",
        "Haus",
        "",
        "und",
        "die",
        "Haustür",
    ]
    assert [words[number] for number in tokenizer.encode(["Haus Haus"])[0]] == ["Haus", "Haus"]


def test_characters_stand_for_themselves():
    tokenizer = trained(99, type="characters")
    words = tokenizer.words()
    (row,) = tokenizer.encode(["Haus alt"])
    assert [words[number] for number in row] == ["H", "a", "u", "s", "", "a", "l", "t"]
    assert words[:4] == [""] * 4


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
@pytest.mark.parametrize("bytes_", [False, True])
def test_of_sentencepieces_pieces_those_that_begin_a_word_stand_for_it(algorithm, bytes_):
    size = {"bpe": 60, "unigram": 26}[algorithm] + 256 * bytes_
    tokenizer = trained(size, type="sentencepiece", algorithm=algorithm, byte_fallback=bytes_)
    words = tokenizer.words()
    assert len(words) == tokenizer.vocab_size == size
    first, second = tokenizer.encode(["Haus", "x Haus"])
    assert [words[number] for number in first] == ["Haus"]
    assert words[second[-1]] == "Haus"
    assert words[:4] == [""] * 4
    pieces = tokenizer.encode(["Hasu"])[0]  # no word of the text: it falls apart
    assert len(pieces) > 1
    assert words[pieces[-1]] == ""
    assert not any(word.startswith("<") for word in words)
