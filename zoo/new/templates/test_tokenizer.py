"""What this tokenizer promises."""

from pathlib import Path

from my_part import MyPart, MyPartTrained

LINES = ["A cat, a dog.", "The CAT sat."]


def trained(vocab_size: int) -> MyPartTrained:
    return MyPart().train(LINES, vocab_size=vocab_size)


def test_capitals_make_no_difference() -> None:
    upper, lower = trained(50).encode(["The CAT", "the cat"])
    assert upper == lower


def test_a_known_text_comes_back_in_small_letters_after_saving_too(
    tmp_path: Path,
) -> None:
    tokenizer = trained(50)
    restored = MyPart.restore(tokenizer.data)
    for each in (tokenizer, restored):
        assert each.decode(each.encode(LINES)) == ["a cat, a dog.", "the cat sat."]


def test_the_vocabulary_keeps_to_its_size() -> None:
    assert trained(7).vocab_size == 7
