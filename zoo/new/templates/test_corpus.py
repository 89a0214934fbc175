"""What this corpus promises."""

from zoo.kinds import CORPUS

from my_part import MyPart, MyPartSpec


def corpus(**fields: int) -> MyPart:
    return CORPUS.build(MyPartSpec(**fields))


def rows(found: MyPart, split: str) -> list[dict[str, str]]:
    return list(found.rows(split, bad_lines=None))


def test_targets_are_the_sums_of_their_sources() -> None:
    for row in rows(corpus(n_train=23), "train"):
        assert sum(map(int, row["source"].split("+"))) == int(row["target"])


def test_no_sum_is_in_two_splits() -> None:
    found = corpus(n_train=61, n_dev=7, n_test=5)
    texts = [row["source"] for split in found.splits() for row in rows(found, split)]
    assert len(set(texts)) == len(texts) == 61 + 7 + 5


def test_it_is_the_same_each_time_and_its_fingerprint_says_when_not() -> None:
    prints = {corpus(n_train=n).fingerprint("train") for n in (23, 23, 24)}
    assert len(prints) == 2
