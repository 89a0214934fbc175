"""Attention maps of a run: of what it reads and writes, with the texts of the tokens."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import zoo
from registry import SpecError
from zoo.errors import DataError
from zoo.run.attending import _token_names
from zoo.special_ids import UNK

LINE = "The dog and the cat"


@pytest.fixture(scope="module")
def used(trained: Path) -> zoo.TrainedRun:
    return zoo.open(trained)


def test_what_a_translator_reads_and_writes_has_its_texts(used: zoo.TrainedRun) -> None:
    found = zoo.attention_maps(used, LINE)
    (answer,) = used.answers_to_lines([LINE])
    tokenizer = used.tokenizer
    written = tuple(tokenizer.shown(answer[0].tokens))
    source = (*tokenizer.shown(tokenizer.encode([LINE])[0]), "</s>")
    assert len(source) > 2
    assert (found.given, found.written, found.target) == (LINE, answer[0].text, None)
    assert [each.name for each in found.maps] == [
        "encoder.layers.0.self_attention",
        "decoder.layers.0.self_attention",
        "decoder.layers.0.cross_attention",
    ]
    encoder, decoder, cross = found.maps
    assert (encoder.queries, encoder.keys, encoder.writes, encoder.rows) == (source, source, None, source)
    assert (decoder.queries, decoder.keys) == (("<s>", *written), ("<s>", *written))
    assert (cross.queries, cross.keys) == (("<s>", *written), source)
    assert cross.rows == cross.writes == (*written, "</s>")
    for each in found.maps:
        assert each.weights.shape == (len(each.heads), len(each.queries), len(each.keys))
        assert_allclose(each.weights.sum(-1), 1, atol=1e-5)
    assert (decoder.weights == np.tril(decoder.weights)).all()
    assert found.unconfirmed == ()
    assert found["decoder.layers.0.cross_attention"] is cross
    with pytest.raises(KeyError, match=r"there are encoder\.layers"):
        found["decoder"]


def test_the_weights_are_those_of_the_model_called_with_the_same_ids(used: zoo.TrainedRun) -> None:
    found = zoo.attention_maps(used, LINE, target="Der Hund ist müde")
    tokenizer: Any = used.tokenizer
    source = torch.tensor([tokenizer.whole(tokenizer.encode([LINE])[0])])
    target = torch.tensor([[tokenizer.start, *tokenizer.encode(["Der Hund ist müde"])[0]]])
    expected = zoo.attention_weights(used.model, source, target).found
    for ours, other in zip(found.maps, expected, strict=True):
        assert_allclose(ours.weights, other.weights[0].numpy(), atol=1e-6)
    assert found.target == "Der Hund ist müde"
    assert found["decoder.layers.0.cross_attention"].queries == (
        "<s>",
        *tokenizer.shown(target[0, 1:].tolist()),
    )


def test_what_the_vocabulary_does_not_know_is_named_by_the_text_or_by_its_place(used: zoo.TrainedRun) -> None:
    encoder, _, cross = zoo.attention_maps(used, "The 漢 dog 字", target="Der 字 Hund").maps
    assert [name for name in encoder.keys if "⁇" in name] == ["漢 ⁇", "字 ⁇"]
    assert [name for name in cross.rows if "⁇" in name] == ["字 ⁇"]
    assert [name for name in cross.queries if "⁇" in name] == ["字 ⁇"]


@pytest.mark.parametrize(
    ("ids", "text", "names"),
    [
        ([5, UNK, 3], "ax", ["a", "x ⁇", "</s>"]),
        ([2, 5, UNK, 3], None, ["<s>", "a", "⁇3", "</s>"]),  # written by the model
        ([5, UNK, UNK], "axyz", ["a", "⁇2", "⁇3"]),  # cut
        ([5, 6], "ab", ["a", "b"]),
    ],
)
def test_tokens_are_named_by_their_texts(ids: list[int], text: str | None, names: list[str]) -> None:
    from zoo.data.tokenizers.characters import TrainedCharacters

    tokenizer = TrainedCharacters.of(["_", "a", "b"])
    assert _token_names(tokenizer, ids, text) == names


def test_a_target_changes_what_the_decoder_attends_to_alone(used: zoo.TrainedRun) -> None:
    first, second = (zoo.attention_maps(used, LINE, target=text) for text in ("das haus", "haus das haus"))
    assert_allclose(first.maps[0].weights, second.maps[0].weights)
    assert first.maps[2].weights.shape != second.maps[2].weights.shape


@pytest.mark.parametrize("text", ["", "   ", "\t"])
def test_a_sentence_without_words_is_refused(used: zoo.TrainedRun, text: str) -> None:
    with pytest.raises(DataError, match="there is no word in it"):
        zoo.attention_maps(used, text)


def test_bad_input_is_refused(used: zoo.TrainedRun) -> None:
    with pytest.raises(DataError, match=r"broken UTF-8"):
        zoo.attention_maps(used, "a \udcff")
    with pytest.raises(DataError, match="the target: no token in it"):
        zoo.attention_maps(used, LINE, target="")
    with pytest.raises(DataError, match="the target is no valid Unicode"):
        zoo.attention_maps(used, LINE, target="\udcff")
    with pytest.raises(DataError, match="positions for 20"):
        zoo.attention_maps(used, "the house " * 15)
    with pytest.raises(SpecError, match="layers: no layer 1: encoder has 0 alone, decoder has 0 alone"):
        zoo.attention_maps(used, LINE, layers=[1])
    assert not any(module._forward_hooks for module in used.model.modules())


def test_arrays_are_read_back_as_they_were(used: zoo.TrainedRun) -> None:
    found = zoo.attention_maps(used, LINE, heads=[1])
    arrays = np.load(io.BytesIO(found.npz()))
    for each in found.maps:
        assert (arrays[each.name] == each.weights).all()
        assert arrays[f"{each.name}/heads"].tolist() == [1]
        assert tuple(arrays[f"{each.name}/keys"]) == each.keys
        assert tuple(arrays[f"{each.name}/queries"]) == each.queries
    assert tuple(arrays["decoder.layers.0.cross_attention/writes"]) == found.maps[2].writes
    assert "encoder.layers.0.self_attention/writes" not in arrays
    about = json.loads(str(arrays["about"]))
    assert (about["given"], about["written"]) == (LINE, found.written)
    assert about["checked"] == found.checked
    assert found.checked.startswith("the model's own kernels gave what these weights give")


def test_a_kernel_that_is_wrong_is_told(used: zoo.TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.kernels import sdpa

    right = sdpa.attention
    monkeypatch.setattr(sdpa, "attention", lambda *given, **rest: right(*given, **rest) + 0.01)
    found = zoo.attention_maps(used, LINE, target="haus")
    assert [each.name for each in found.unconfirmed] == [each.name for each in found.maps]
    assert found.checked.startswith(
        "NOT what the model's own kernels gave: the outputs of encoder.layers.0.self_att"
    )
