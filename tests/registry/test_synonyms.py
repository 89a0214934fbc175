"""Other names for keys and values: each meaning exists, and a name's meaning goes before its spelling."""

from __future__ import annotations

import pytest

from registry import suggest
from registry.synonyms import KEYS, VALUES, meant_keys, meant_value, plain


@pytest.mark.parametrize("table", [KEYS, VALUES])
def test_the_tables_hold_plain_names_only(table: dict[str, tuple[str, ...]]) -> None:
    assert [name for name in table if plain(name) != name] == []


def test_the_likeliest_key_that_exists_is_meant() -> None:
    assert meant_keys("Learning-Rate", ["a.schedule.factor", "a.schedule.lr"]) == ["a.schedule.lr"]
    assert meant_keys("lr", ["a.schedule.factor", "a.factor"]) == ["a.schedule.factor"]
    assert meant_keys("n_layers", ["m.encoder.n_layers", "m.decoder.n_layers", "n"]) == [
        "m.encoder.n_layers",
        "m.decoder.n_layers",
    ]
    assert meant_keys("lr", ["a.lr"]) == []


def test_a_value_is_meant_only_where_it_is_known() -> None:
    assert meant_value("swish", ["mish", "silu"]) == "silu"
    assert meant_value("swish", ["mish"]) is None
    assert meant_value("Layer-Norm", ["layer_norm"]) == "layer_norm"
    assert suggest("swiglu", ["glu", "mlp"]) == "did you mean {type: glu, activation: silu}?"


def test_names_without_a_letter_or_of_other_alphabets_mean_nothing_else() -> None:
    assert meant_value("__", ["--"]) is None
    assert meant_value("日本.de", ["中国.de"]) is None


def test_beside_a_guess_many_names_are_only_counted_and_the_near_ones_told() -> None:
    many = ["windows", "winds", "silu", *(f"part_{letter}" for letter in "abcdefgh")]

    def told(name: str, known: list[str]) -> str:
        return suggest(name, known, listed=True, listing="zoo list part")

    assert told("windos", many) == "did you mean 'windows' or 'winds'? (9 others: zoo list part)"
    assert told("swish", many) == "did you mean 'silu'? (10 others: zoo list part)"  # by its meaning
    assert told("swiglu", [*many, "glu"]).endswith("silu}? (11 others: zoo list part)")
    assert told("windos", many[1:]).startswith("did you mean 'winds'? (known: part_a, ")  # ten
    assert told("qqq", many).startswith("known: part_a, ")
    assert suggest("windos", many, listed=True).startswith("did you mean 'windows'? (known: part_a, ")
