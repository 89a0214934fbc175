"""Tokenizers: text to ids and back, and never with another vocabulary than the saved one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import Spec
from zoo.data.coders import load_coder
from zoo.data.grammar import english, german
from zoo.data.grammar.sampling import Sampler
from zoo.data.tokenizer import Tokenizer
from zoo.data.tokenizers.sentencepiece import thinned
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER
from zoo.special_ids import BOS, EOS, N_SPECIAL, PAD, UNK, UNKNOWN_TEXT


def sentences(seed: int = 1, n: int = 150) -> Iterator[str]:
    sampler = Sampler(seed)
    for _ in range(n):
        tree = sampler.sentence()
        yield from (english.sentence(tree), german.sentence(tree))


LINES = [*sentences(), "Zwei  Leerzeichen, ein\tTab: naïve ½ – “quoted” \u00a0 end ", " leading"]
SPECS = [spec for name in TOKENIZER.names() for spec in TOKENIZER.examples(name)]
NAMES = [f"{spec.type}{number}" for number, spec in enumerate(SPECS)]  # type: ignore[attr-defined]


def sentencepiece(**fields: object) -> Spec:
    return TOKENIZER.entry("sentencepiece").spec.model_validate(fields)


def train(spec: Spec, lines: list[str] = LINES, vocab_size: int = 601) -> Tokenizer:
    trained: Tokenizer = TOKENIZER.build(spec).train(iter(lines), vocab_size=vocab_size)
    return trained


@pytest.fixture(scope="module", params=SPECS, ids=NAMES)
def trained(request: pytest.FixtureRequest) -> Tokenizer:
    return train(request.param, vocab_size=2_003 if request.param.type in ("words", "symbols") else 601)


def test_decoding_gives_every_training_line_back_as_it_was(trained: Tokenizer) -> None:
    rows = trained.encode(LINES)
    assert trained.decode(rows) == LINES
    assert all(N_SPECIAL <= number < trained.vocab_size for row in rows for number in row)


def test_special_ids_say_nothing_and_the_unknown_is_seen(trained: Tokenizer) -> None:
    text = LINES[3]
    (row,) = trained.encode([text])
    assert trained.decode([[BOS, *row, EOS, PAD, PAD], [], [PAD]]) == [text, "", ""]
    assert UNKNOWN_TEXT in trained.decode([[*row, UNK]])[0]


@pytest.mark.parametrize("number", [-1, -601, 1 << 20, 1 << 40])
def test_an_id_that_no_token_has_is_shown_as_unknown(trained: Tokenizer, number: int) -> None:
    (row,) = trained.encode([LINES[3]])
    assert trained.decode([[*row, number]]) == trained.decode([[*row, UNK]])
    assert trained.decode([[trained.vocab_size]]) == trained.decode([[UNK]])
    assert list(trained.is_token()) == [True] * trained.vocab_size


def test_a_space_that_is_a_piece_by_itself_is_shown_as_one() -> None:
    tokenizer = train(sentencepiece())
    rows = [tokenizer.encode([text])[0] for text in ("cat .", "cat\u2603")]
    shown = [tokenizer.shown([*row, EOS]) for row in rows]
    assert "␣" in {each for row in shown for each in row}
    assert not [each for row in shown for each in row if each[0] == "<" and each != "</s>"]


def test_a_place_of_a_sentencepiece_vocabulary_that_is_not_in_use_holds_no_token() -> None:
    from sentencepiece import sentencepiece_model_pb2

    whole = train(sentencepiece())
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(whole.data)
    proto.pieces[600].type = proto.SentencePiece.UNUSED
    holed = TOKENIZER.entry("sentencepiece").builder.restore(proto.SerializeToString())  # type: ignore[attr-defined]
    assert [number for number, is_token in enumerate(holed.is_token()) if not is_token] == [600]
    assert holed.decode([[600]]) == [UNKNOWN_TEXT] != whole.decode([[600]])


def test_pieces_are_the_text_that_each_id_stands_for(trained: Tokenizer) -> None:
    text = "Der 漢字 Hund"
    pieces, ids = trained.pieces(text), trained.encode([text])[0]
    assert len(pieces) == len(ids)
    if any(pieces):
        unknown = [piece.strip() for piece, number in zip(pieces, ids, strict=True) if number == trained.unk]
        assert "".join(unknown) in ("漢字", "")
        if unknown:  # else tokens may be bytes of it
            assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    else:
        assert trained.type == "bytes"


def test_texts_encode_alone_as_they_do_together(trained: Tokenizer) -> None:
    assert [trained.encode([text])[0] for text in LINES[:9]] == trained.encode(LINES[:9])
    assert trained.encode([]) == []


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_training_twice_gives_the_same_bytes(spec: Spec) -> None:
    first, second = train(spec), train(spec)
    assert first.data == second.data
    assert first.sha256 == second.sha256
    learns = spec.type != "bytes"  # type: ignore[attr-defined]
    assert (first.sha256 != train(spec, LINES[::-1][:200]).sha256) == learns


def test_it_is_the_same_after_saving_and_loading(trained: Tokenizer, tmp_path: Path) -> None:
    trained.save(tmp_path, "tokenizer")
    loaded = load_coder(tmp_path, "tokenizer")
    assert isinstance(loaded, Tokenizer)
    assert type(loaded) is type(trained)
    assert (loaded.sha256, loaded.vocab_size, loaded.encode(LINES)) == (
        trained.sha256, trained.vocab_size, trained.encode(LINES))  # fmt: skip


def vocabulary_file(folder: Path) -> Path:
    return folder / json.loads((folder / "tokenizer.json").read_text())["file"]


def test_every_flipped_byte_and_every_cut_of_the_vocabulary_is_found(
    trained: Tokenizer, tmp_path: Path
) -> None:
    trained.save(tmp_path, "tokenizer")
    file = vocabulary_file(tmp_path)
    data = file.read_bytes()
    for place in range(0, len(data), len(data) // 23):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]):
            file.write_bytes(damaged)
            with pytest.raises(RunError, match="not what was saved: its SHA-256 is"):
                load_coder(tmp_path, "tokenizer")


def test_another_vocabulary_of_equal_size_is_found(tmp_path: Path) -> None:
    for name, lines in [("here", LINES), ("there", [*sentences(seed=2)])]:
        (tmp_path / name).mkdir()
        train(sentencepiece(), lines).save(tmp_path / name, "tokenizer")
    vocabulary_file(tmp_path / "there").replace(vocabulary_file(tmp_path / "here"))
    with pytest.raises(RunError, match=r"here.tokenizer\.model: not what was saved"):
        load_coder(tmp_path / "here", "tokenizer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "unheard"}, "holds a 'unheard', of which nothing is known"),
        ({"type": "words"}, "not a vocabulary"),
        ({"vocab_size": 7}, "says vocab_size 7, but tokenizer.model has 601"),
        ({"file": "nowhere.model"}, r"nowhere\.model: cannot be read"),
        ({"file": "/etc/../tokenizer.model"}, ""),
        ({"sha256": None}, "not what was saved"),
    ],
)
def test_a_record_that_does_not_fit_its_file_is_an_error(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    train(sentencepiece()).save(tmp_path, "tokenizer")
    record = tmp_path / "tokenizer.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    if not message:  # a path is cut down to a name in the record's own folder
        assert load_coder(tmp_path, "tokenizer").facts() == {"vocab_size": 601}
        return
    with pytest.raises(RunError, match=message):
        load_coder(tmp_path, "tokenizer")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"type": "words"}', "\ud800"])
def test_a_damaged_record_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RunError, match=r"tokenizer\.json: damaged"):
        load_coder(tmp_path, "tokenizer")


def test_a_missing_tokenizer_and_a_missing_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"tokenizer\.json: cannot be read: No such file"):
        load_coder(tmp_path, "tokenizer")
    with pytest.raises(RunError, match="cannot be written"):
        train(sentencepiece()).save(tmp_path / "nowhere", "tokenizer")


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_sentencepiece_says_the_largest_vocabulary_that_the_text_can_fill(algorithm: str) -> None:
    spec, lines = sentencepiece(algorithm=algorithm), ["the cat sees the dog", "the dog sees the cat"]
    with pytest.raises(
        DataError, match=r"vocab_size \(8000\) .* set it to \d+ at most, or give more text$"
    ) as raised:
        train(spec, lines, 8000)
    largest = int(str(raised.value).partition("set it to ")[2].split()[0])
    assert train(spec, lines, largest).vocab_size == largest


def test_sentencepiece_says_what_the_smallest_vocabulary_is() -> None:
    with pytest.raises(DataError, match=r"vocab_size 9 is too small .* must be above \d+"):
        train(sentencepiece(), LINES, 9)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_no_text_gives_no_tokenizer(spec: Spec) -> None:
    with pytest.raises(DataError, match="cannot be trained without text"):
        train(spec, [])


@pytest.mark.parametrize(("name", "kept", "rare"), [("characters", "b ", "a"), ("words", "b a", " b")])
def test_lists_keep_the_most_frequent_tokens_and_may_stay_small(name: str, kept: str, rare: str) -> None:
    spec = TOKENIZER.entry(name).spec()
    small = train(spec, ["b a b", "b"], 6)  # words: "b" twice, then " a" and " b" once each
    assert small.vocab_size == 6
    assert UNK not in small.encode([kept])[0]
    assert small.encode([rare]) == [[UNK]]
    assert train(spec, ["b a b", "b"], 99).vocab_size == 7
    with pytest.raises(DataError, match="vocab_size 4 leaves no room"):
        train(spec, ["b"], 4)


def test_byte_fallback_spells_unknown_characters_out() -> None:
    plain, falling = train(sentencepiece()), train(sentencepiece(byte_fallback=True), vocab_size=801)
    assert plain.decode(plain.encode(["日本"])) == [UNKNOWN_TEXT]
    assert falling.decode(falling.encode(["日本"])) == ["日本"]


def test_normalization_is_the_specs_choice() -> None:
    text = "ﬁne  ½"
    kept, unified = (
        train(sentencepiece(normalization=name), [*LINES, text]) for name in ("identity", "nmt_nfkc")
    )
    assert kept.decode(kept.encode([text])) == [text]
    assert unified.decode(unified.encode([text])) == ["fine 1⁄2"]


def test_a_lone_surrogate_is_an_error_not_a_crash() -> None:
    with pytest.raises(DataError, match="lone surrogate"):
        train(sentencepiece()).encode(["fine", "\ud800"])


@settings(deadline=None, max_examples=60)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_survives_words_and_characters_that_know_its_tokens(text: str) -> None:
    for name in ("words", "characters"):
        tokenizer = train(TOKENIZER.entry(name).spec(), [text, "x"], 999)
        assert tokenizer.decode(tokenizer.encode([text])) == [text]


@given(n=st.integers(0, 300), limit=st.integers(1, 40))
def test_of_many_lines_every_kth_is_learnt_from(n: int, limit: int) -> None:
    kept = [int(line) for line in thinned(map(str, range(n)), limit)]
    step = kept[1] if len(kept) > 1 else max(n, 1)
    assert kept == list(range(0, n, step))
    assert len(kept) <= limit
    assert len(kept) == n or len(kept) > limit // 2


def test_the_limit_on_training_lines_is_kept() -> None:
    limited = train(sentencepiece(max_training_lines=130))
    assert limited.sha256 == train(sentencepiece(), LINES[::4]).sha256 != train(sentencepiece()).sha256


def test_bytes_know_every_text_and_show_what_is_none() -> None:
    tokenizer = train(TOKENIZER.entry("bytes").spec(), ["a"], 260)
    text = "é\n한\U0001f600"
    (row,) = tokenizer.encode([text])
    assert row == [byte + N_SPECIAL for byte in text.encode()]
    assert tokenizer.decode([row, row[:1], [BOS, *row[:2], UNK, EOS]]) == [
        text,
        UNKNOWN_TEXT,
        "é" + UNKNOWN_TEXT,
    ]
    with pytest.raises(DataError, match="vocab_size 259 leaves no room: bytes need 260 ids"):
        train(TOKENIZER.entry("bytes").spec(), ["a"], 259)
